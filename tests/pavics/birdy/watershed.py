"""Climate data in a watershed: the outline from Raven is an input of finch.

After ``Subset_climate_data_over_watershed`` of Raven. That averages over the outline; this
one cuts it out, because finch's ``average_polygon`` needs ESMF, which PyPI does not have.
"""

import os

from birdy import WPSClient

finch = WPSClient(os.environ["FINCH_WPS_URL"])
raven = WPSClient(os.environ["RAVEN_WPS_URL"])
data = os.environ["DATA_URL"]

basins = raven.hydrobasins_select(location="-72.5, 46.5", aggregate_upstream=True)
outline, _ = basins.get()
subset = finch.subset_polygon(resource=f"{data}/tasmin.nc", shape=outline)
inside = subset.get(asobj=True).output.tasmin.isel(time=0)
answer = [int(inside.count()), len(basins.get(asobj=True).upstream_ids)]
