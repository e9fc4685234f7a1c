"""What a probe will ask: checked, and counted, before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from ...errors import InvalidRequest
from ...protocol import is_free_header
from ...topology.urls import origin_of

WITHOUT = 4
"""Requests without any key."""

LINKED = 2
"""Machineids that are sent in the query, and in the path."""

NAMED = 8
"""Most nodes that are asked for by name, per service."""

MORE = 8
"""Further machineids, where the first ones all went to one node."""

SPELLINGS = 2
"""Other names of the header that are tried where this one is not heeded."""

SPELLED = 3
"""Machineids that are sent by each of them, once more often than by the header itself."""

_CAPABILITIES = "service=WPS&request=GetCapabilities"
_MOST_URLS, _MOST_IDS, _MOST_REQUESTS = 20, 50, 20


@dataclass(frozen=True)
class Plan:
    """A probe that has not been sent yet.

    Parameters
    ----------
    urls : sequence of str
        Of services; what the first one shows is compared with the others. The
        URL of an output will do, too: it stands on one node only, so whether it
        is found tells nodes apart where nothing else does.
    header : str, optional
        Request header that carries the machineid; by default what the proxy
        publishes, else ``machineid``.
    evidence : str, optional
        Response header that names the node, where the proxy publishes none.
    ids : int, default 5
        Machineids, 2 to 50.
    requests : int, default 3
        Requests with each of them, 2 to 20.
    timeout : float, default 5.0
        Seconds for each request.

    Raises
    ------
    InvalidRequest
        A URL, a name or a number of another kind.
    """

    urls: tuple[str, ...]
    header: str | None = None
    evidence: str | None = None
    ids: int = 5
    requests: int = 3
    timeout: float = 5.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "urls", tuple(dict.fromkeys(self.urls)))
        if not 1 <= len(self.urls) <= _MOST_URLS:
            raise InvalidRequest(f"{len(self.urls)} URLs: expected 1 to {_MOST_URLS}")
        for url in self.urls:
            _check_url(url)
        for what, name in (("header", self.header), ("evidence", self.evidence)):
            if name is not None:
                _check_header(what, name)
        for what, number, most in (
            ("ids", self.ids, _MOST_IDS),
            ("requests", self.requests, _MOST_REQUESTS),
        ):
            if not 2 <= number <= most:
                raise InvalidRequest(f"{what} = {number}: expected 2 to {most}")
        if not 0 < self.timeout <= 60:
            raise InvalidRequest(f"timeout = {self.timeout}: expected seconds, up to 60")

    @property
    def most(self) -> int:
        """How many GETs it takes at most."""
        documents = len({origin_of(url) for url in self.urls})
        first = self.ids * self.requests + WITHOUT + 2 * LINKED
        strict = LINKED + NAMED + 1
        diagnosis = max(MORE, SPELLINGS * SPELLED * (self.requests + 1))
        others = (len(self.urls) - 1) * (self.ids + NAMED)
        return documents + first + max(strict, diagnosis) + others


def asked_url(url: str) -> str:
    """Return the URL that is asked: the capabilities, unless it is a request already."""
    parts = urlsplit(url)
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    query = parts.query if "request" in keys else f"{parts.query}&{_CAPABILITIES}".lstrip("&")
    return parts._replace(query=query, fragment="").geturl()


def spellings(header: str) -> list[str]:
    """Return names that a site may mean where it does not heed this one.

    nginx writes a hyphen in a header's name as an underscore in its variable, and
    drops headers that have an underscore themselves.
    """
    words = re.sub(r"machine[-_]?id", "machine-id", header, flags=re.IGNORECASE)
    guesses = [words.replace("_", "-"), words.replace("-", "_"), re.sub("[-_]", "", header)]
    return [name for name in dict.fromkeys(guesses) if name != header][:SPELLINGS]


def _check_url(url: str) -> None:
    if origin_of(url) is None:
        raise InvalidRequest(
            f"{url[:200]!r} is no http or https URL; expected a service's, such as "
            "'http://proxy.example:58093/wps'",
            url=url,
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            "the URL has a user or a password in it, and a probe sends none; leave them out",
            url=url,
        )
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key.lower() == "request" and value.strip().lower() == "execute":
            raise InvalidRequest(
                f"{url[:200]!r} executes a process, and a probe only looks; give the service's URL",
                url=url,
            )


def _check_header(what: str, name: str) -> None:
    # The nginx of a site may have underscores_in_headers on.
    if not is_free_header(name.replace("_", "-")):
        raise InvalidRequest(
            f"{what} = {name[:100]!r}: expected the name of a header of its own, such as "
            f"{'machineid' if what == 'header' else 'X-Pavics-Node'!r}"
        )
