"""Emu makes a text and a NetCDF file, and copies both in the next process, with OWSLib."""

import os

from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

emu = WebProcessingService(os.environ["EMU_WPS_URL"])


def execute(process, inputs, names):
    execution = emu.execute(process, inputs, output=[(name, True) for name in names])
    monitorExecution(execution, sleepSecs=0.2)
    found = {output.identifier: output for output in execution.processOutputs}
    return [found[name] for name in names]


[text] = execute("chomsky", [("times", "3")], ["output"])
[netcdf] = execute("output_formats", [], ["netcdf"])
made = {"text": text, "dataset": netcdf}
inputs = [(name, ComplexDataInput(output.reference)) for name, output in made.items()]
copies = execute("inout", inputs, list(made))
answer = [
    copy.retrieveData() == output.retrieveData()
    for copy, output in zip(copies, made.values(), strict=True)
]
