"""Frost days at a point: a subset, whose URL is the input of an indicator.

After ``subsetting`` of PAVICS and ``finch-usage`` of finch.
"""

import os

from birdy import WPSClient

finch = WPSClient(os.environ["FINCH_WPS_URL"])
data = os.environ["DATA_URL"]

point = finch.subset_gridpoint(resource=f"{data}/tasmin.nc", lon=-73, lat=46)
frost = finch.frost_days(tasmin=point.get().output)
answer = int(frost.get(asobj=True).output.frost_days.item())
