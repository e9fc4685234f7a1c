"""Emu counts words, and takes its list in the next process, with OWSLib."""

import json
import os

from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

emu = WebProcessingService(os.environ["EMU_WPS_URL"])
text = ComplexDataInput(f"{os.environ['DATA_URL']}/words.txt")


def execute(process, inputs, name):
    execution = emu.execute(process, inputs, output=[(name, True)])
    monitorExecution(execution, sleepSecs=0.2)
    return next(each for each in execution.processOutputs if each.identifier == name)


words = execute("wordcounter", [("text", text)], "output")
inputs = [("input 1", "1"), ("input-2", ComplexDataInput(words.reference))]
same = execute("non.py-id", inputs, "output 2")
answer = dict(map(reversed, json.loads(same.retrieveData())))
