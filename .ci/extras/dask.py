"""A batch runs on a Dask cluster of this process."""

import warnings

from dask.distributed import Client

from pavics_affinity import map_workflows
from pavics_affinity.errors import UnevenLoadWarning

warnings.simplefilter("ignore", UnevenLoadWarning)  # no node is asked anything


def chain(wf, item):
    return item + 1


with Client(processes=False, dashboard_address=None) as client:
    results = map_workflows(chain, [1, 2], executor=client.get_executor(), order="input")
    assert [result.get() for result in results] == [2, 3]
print("runs a batch")
