"""Heat waves in a rectangle: two subsets, whose URLs are the inputs of an index.

After ``subset-user-input`` of PAVICS.
"""

import os

from birdy import WPSClient

finch = WPSClient(os.environ["FINCH_WPS_URL"])
data = os.environ["DATA_URL"]

rectangle = {"lon0": -74.5, "lon1": -71.5, "lat0": 45.2, "lat1": 47.8}
year = {"start_date": "1958-01-01", "end_date": "1958-12-31"}

nights = finch.subset_bbox(f"{data}/tasmin.nc", variable="tasmin", **rectangle, **year)
days = finch.subset_bbox(f"{data}/tasmax.nc", variable="tasmax", **rectangle, **year)
waves = finch.heat_wave_frequency(
    tasmin=nights.get().output,
    tasmax=days.get().output,
    thresh_tasmin="14 degC",
    thresh_tasmax="22 degC",
)
answer = waves.get(asobj=True).output.heat_wave_frequency.max().item()
