"""Frost days at a point, with OWSLib: after ``finch-usage`` of finch."""

import os
from pathlib import Path

import xarray as xr
from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

finch = WebProcessingService(os.environ["FINCH_WPS_URL"])
resource = ComplexDataInput(f"{os.environ['DATA_URL']}/tasmin.nc")


def execute(process, inputs):
    execution = finch.execute(process, inputs, output=[("output", True)])
    monitorExecution(execution, sleepSecs=0.2)
    return next(each for each in execution.processOutputs if each.identifier == "output")


point = execute("subset_gridpoint", [("resource", resource), ("lon", "-73"), ("lat", "46")])
frost = execute("frost_days", [("tasmin", ComplexDataInput(point.reference))])
Path("frost.nc").write_bytes(frost.retrieveData())
with xr.open_dataset("frost.nc", decode_timedelta=False) as dataset:
    answer = int(dataset.frost_days.item())
