"""Emu writes a NetCDF file and reads its metadata, with OWSLib."""

import os

from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

emu = WebProcessingService(os.environ["EMU_WPS_URL"])


def execute(process, inputs, name):
    execution = emu.execute(process, inputs, output=[(name, True)])
    monitorExecution(execution, sleepSecs=0.2)
    return next(each for each in execution.processOutputs if each.identifier == name)


netcdf = execute("output_formats", [], "netcdf")
metadata = execute("ncmeta", [("dataset", ComplexDataInput(netcdf.reference))], "output")
answer = b"MIME Type: application/x-netcdf" in metadata.retrieveData()
