"""Heat waves in a rectangle, with OWSLib: after ``subset-user-input`` of PAVICS."""

import os
from pathlib import Path

import xarray as xr
from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

finch = WebProcessingService(os.environ["FINCH_WPS_URL"])
data = os.environ["DATA_URL"]

rectangle = [("lon0", "-74.5"), ("lon1", "-71.5"), ("lat0", "45.2"), ("lat1", "47.8")]
year = [("start_date", "1958-01-01"), ("end_date", "1958-12-31")]


def execute(process, inputs):
    execution = finch.execute(process, inputs, output=[("output", True)])
    monitorExecution(execution, sleepSecs=0.2)
    return next(each for each in execution.processOutputs if each.identifier == "output")


def subset(variable):
    resource = ComplexDataInput(f"{data}/{variable}.nc")
    inputs = [("resource", resource), ("variable", variable), *rectangle, *year]
    return ComplexDataInput(execute("subset_bbox", inputs).reference)


thresholds = [("thresh_tasmin", "14 degC"), ("thresh_tasmax", "22 degC")]
inputs = [("tasmin", subset("tasmin")), ("tasmax", subset("tasmax")), *thresholds]
Path("waves.nc").write_bytes(execute("heat_wave_frequency", inputs).retrieveData())
with xr.open_dataset("waves.nc") as dataset:
    answer = dataset.heat_wave_frequency.max().item()
