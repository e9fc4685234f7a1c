"""The words by which servers say how far a job is.

OGC API - Processes has five. Its drafts, WPS, and the servers of both use others
for the same: pygeoapi, Weaver, ZOO-Project, the ADES of the EOEPCA, javaPS,
GeoServer and openEO's. Capitals, blanks, ``-``, ``_`` and the ``Process`` that WPS
puts in front of its words make no difference.
"""

from __future__ import annotations

import re
from typing import Literal

JobState = Literal["accepted", "running", "successful", "failed", "dismissed"]

ENDED: frozenset[str] = frozenset({"successful", "failed", "dismissed"})

_SYNONYMS: dict[JobState, str] = {
    "accepted": "accepted created enqueued initialized pending queued received scheduled submitted "
    "waiting",
    "running": "running active executing inprogress ongoing paused processing restarted resumed "
    "retry retrying started suspended",
    "successful": "successful complete completed done finished succeeded success",
    "failed": "failed aborted crashed error errored exception failure timedout timeout",
    "dismissed": "dismissed canceled cancelled killed revoked terminated",
}
_STATES: dict[str, JobState] = {
    word: state for state, words in _SYNONYMS.items() for word in words.split()
}


def state_of(word: object) -> JobState | None:
    """Return what a server's word for a job's state means, or None if that is not known.

    Parameters
    ----------
    word : object
        As a status document gives it.
    """
    if not isinstance(word, str):
        return None
    plain = re.sub(r"[\s_-]+", "", word.rpartition(":")[2]).lower()
    return _STATES.get(plain) or _STATES.get(plain.removeprefix("process"))
