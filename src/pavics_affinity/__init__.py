"""Keep a chain of WPS processes on the machine that holds its files.

>>> with Workflow() as wf:  # doctest: +SKIP
...     malleefowl = wf.wps("http://proxy:58091/wps")
...     flyingpigeon = wf.wps("http://proxy:58093/wps")

Names are loaded when they are first used, because the command line and the pytest plugin,
which every pytest loads, need neither OWSLib nor requests.
"""

import importlib
import importlib.util
import typing

if typing.TYPE_CHECKING:
    from .batch import map_workflows
    from .clients.birdy.client import WPSClient as WPSClient
    from .clients.gdal import GdalEnv as GdalEnv
    from .clients.ogcapi.jobs import Job as Job
    from .clients.ogcapi.results import Results as Results
    from .clients.ogcapi.service import Processes as Processes
    from .clients.outputs.boxes import Box as Box
    from .clients.outputs.download import Download as Download
    from .clients.outputs.output import Output as Output
    from .clients.sessions import pin_session
    from .clients.wps.execution import Execution as Execution
    from .clients.wps.service import WebProcessingService
    from .discovery import discover
    from .machineid import derive_machineid, mint_machineid
    from .placement import NginxConsistentHash, NginxHash, Rendezvous
    from .proxy.read import read_nginx
    from .topology import Backend, Node, Service, Topology
    from .workflow import Workflow, current_workflow

__all__ = [
    "Backend",
    "NginxConsistentHash",
    "NginxHash",
    "Node",
    "Rendezvous",
    "Service",
    "Topology",
    "WebProcessingService",
    "Workflow",
    "current_workflow",
    "derive_machineid",
    "discover",
    "map_workflows",
    "mint_machineid",
    "pin_session",
    "read_nginx",
]

# `WPSClient` is not among them: it needs birdy, and ``import *`` and ``help`` must not. Nor are the
# classes that a workflow's calls return: only annotations and `isinstance` need them by name.

__version__ = "0.2.0"

_HOMES = {
    "Backend": "topology",
    "Box": "clients.outputs.boxes",
    "Download": "clients.outputs.download",
    "Execution": "clients.wps.execution",
    "GdalEnv": "clients.gdal",
    "Job": "clients.ogcapi.jobs",
    "NginxConsistentHash": "placement",
    "NginxHash": "placement",
    "Node": "topology",
    "Output": "clients.outputs.output",
    "Processes": "clients.ogcapi.service",
    "Rendezvous": "placement",
    "Results": "clients.ogcapi.results",
    "Service": "topology",
    "Topology": "topology",
    "WPSClient": "clients.birdy.client",
    "WebProcessingService": "clients.wps",
    "Workflow": "workflow",
    "current_workflow": "workflow",
    "derive_machineid": "machineid",
    "discover": "discovery",
    "map_workflows": "batch",
    "mint_machineid": "machineid",
    "pin_session": "clients.sessions",
    "read_nginx": "proxy.read",
}

_ROOMS = ("clients", "errors", "machineid", "placement", "proxy", "record", "topology", "transport")
"""Modules such as ``pavics_affinity.errors``, found without their own import."""

# Hidden from type checkers, which would accept any name.
if not typing.TYPE_CHECKING:

    def __getattr__(name):
        if name in _HOMES:
            found = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
        elif name in _ROOMS:
            return importlib.import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__():
        there = {"WPSClient"} if _is_installed("birdy") else set()
        return sorted({*globals(), *__all__, *_ROOMS} | there)

    def _is_installed(package):
        try:
            return importlib.util.find_spec(package) is not None
        except ValueError:  # blocked by None in sys.modules
            return False
