"""A DAP dataset is opened as for an output, by the same engine of xarray."""

import numpy as np
import xarray
from pydap.handlers.lib import BaseHandler
from pydap.model import BaseType, DatasetType

made = DatasetType("made")
made["tas"] = BaseType("tas", np.arange(4.0), dims=("time",))
url = "http://127.0.0.1/made"
dataset = xarray.open_dataset(url, engine="pydap", application=BaseHandler(made))
assert dataset["tas"].values.tolist() == [0, 1, 2, 3]
print("reads a DAP dataset")
