"""Keep a chain of WPS processes on the machine that holds its files.

>>> with Workflow() as wf:  # doctest: +SKIP
...     malleefowl = wf.wps("http://proxy:58091/wps")
...     flyingpigeon = wf.wps("http://proxy:58093/wps")
"""

from .clients.pinned import pin_session
from .clients.wps import WebProcessingService
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
    "mint_machineid",
    "pin_session",
    "read_nginx",
]

__version__ = "0.1.0"
