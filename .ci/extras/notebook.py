"""Progress bars, datasets and pictures."""

import ipywidgets
import numpy as np
import xarray
from tqdm.notebook import tqdm

from pavics_affinity.display import plot_steps

assert ipywidgets.IntProgress
assert tqdm
xarray.Dataset({"tas": ("time", np.arange(4.0))}).to_netcdf("made.nc")
with xarray.open_dataset("made.nc", engine="netcdf4") as dataset:
    assert dataset["tas"].size == 4
plot_steps([]).figure.savefig("steps.png")
print("reads NetCDF and draws")
