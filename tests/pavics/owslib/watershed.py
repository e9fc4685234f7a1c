"""Climate data in a watershed, with OWSLib: after ``Subset_climate_data_over_watershed``."""

import json
import os
from pathlib import Path

import xarray as xr
from owslib.wps import ComplexDataInput, monitorExecution

from owslib.wps import WebProcessingService

finch = WebProcessingService(os.environ["FINCH_WPS_URL"])
raven = WebProcessingService(os.environ["RAVEN_WPS_URL"])
resource = ComplexDataInput(f"{os.environ['DATA_URL']}/tasmin.nc")


def execute(service, process, inputs, outputs):
    execution = service.execute(process, inputs, output=[(name, True) for name in outputs])
    monitorExecution(execution, sleepSecs=0.2)
    found = {output.identifier: output for output in execution.processOutputs}
    return [found[name] for name in outputs]


point = [("location", "-72.5, 46.5"), ("aggregate_upstream", "true")]
feature, basins = execute(raven, "hydrobasins-select", point, ["feature", "upstream_ids"])
inputs = [("resource", resource), ("shape", ComplexDataInput(feature.reference))]
[subset] = execute(finch, "subset_polygon", inputs, ["output"])
Path("inside.nc").write_bytes(subset.retrieveData())
with xr.open_dataset("inside.nc") as dataset:
    inside = int(dataset.tasmin.isel(time=0).count())
answer = [inside, len(json.loads(basins.retrieveData()))]
