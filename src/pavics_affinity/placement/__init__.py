"""Placement: pure functions from a key to backends, and steering through them.

Nothing here does any I/O: the caller passes a function that resolves host names.
"""

from ..protocol import name_key, split_key
from .base import Placement
from .keys import key_for
from .nginx import NginxConsistentHash, NginxHash, nginx_placement
from .rendezvous import Rendezvous
from .steering import steer

__all__ = [
    "NginxConsistentHash",
    "NginxHash",
    "Placement",
    "Rendezvous",
    "key_for",
    "name_key",
    "nginx_placement",
    "split_key",
    "steer",
]
