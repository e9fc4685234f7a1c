"""The ambient session: that of the innermost ``with``, else that of this Python process."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar, Token

from ..pin import Pin
from ..topology.sources import default_sources
from .session import AffinitySession

MACHINEID_VARIABLE = "PAVICS_AFFINITY_MACHINEID"

_AMBIENT: ContextVar[AffinitySession | None] = ContextVar("pavics_affinity_session", default=None)
_LOCK = threading.Lock()
_OF_PROCESS: list[AffinitySession] = []


def ambient_session() -> AffinitySession:
    """Return the session that a client uses when it is given none.

    Returns
    -------
    AffinitySession
        That of the innermost ``with Workflow()`` of this thread or task; else
        the one of this Python process, whose machineid is taken from
        ``PAVICS_AFFINITY_MACHINEID`` or minted once.
    """
    ambient = _AMBIENT.get()
    if ambient is not None:
        return ambient
    with _LOCK:
        if not _OF_PROCESS or _OF_PROCESS[0].closed:
            given = os.environ.get(MACHINEID_VARIABLE)
            pin = Pin(given or None, sources=default_sources())
            _OF_PROCESS[:] = [AffinitySession(pin)]
        return _OF_PROCESS[0]


def use_session(session: AffinitySession) -> Token[AffinitySession | None]:
    """Make a session the ambient one of this context; returns the token to undo it."""
    return _AMBIENT.set(session)


def reset_session(token: Token[AffinitySession | None]) -> None:
    """Undo `use_session`; in another context than its own there is nothing to undo."""
    try:
        _AMBIENT.reset(token)
    except ValueError:
        return
