"""The origins at which the URLs of a workflow's services lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from ..topology.urls import DEFAULT_PORTS, Origin, join_host, origin_of, split_url

_ALIKE_ON_ALL = frozenset({"getcapabilities", "describeprocess"})

# PyWPS, and most other servers, put an execution's files into a folder with a UUID for its name.
_EXECUTION = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


class Places:
    """Origins of services, and origins at which their documents put outputs.

    A plain proxy leads a request without a machineid to any node, whatever its path. So a URL at
    such an origin is the workflow's own, whichever document named it, and whether the process ran
    at once or as a job. Data elsewhere is not. `state` is that of another one.
    """

    def __init__(self, state: Iterable[Iterable[str]] = ((), (), ())) -> None:
        self._services, self._service_origins, self._output_origins = map(set, state)

    @property
    def state(self) -> list[list[str]]:
        """What is known, to make an equal one of."""
        return [
            sorted(known.copy())
            for known in (self._services, self._service_origins, self._output_origins)
        ]

    def add_service(self, url: str) -> None:
        """Learn a service's URL, which every node answers alike."""
        split = split_url(url)
        if split is not None:
            self._services.add(_address(split[0]) + _stem(split[1].path))

    def add_service_origin(self, url: str) -> None:
        """Learn an origin at which a service is, as the user or one of its documents names it."""
        origin = origin_of(url)
        if origin is not None:
            self._service_origins.add(_address(origin))

    def add_output(self, url: str) -> None:
        """Learn where a document puts an output, a status document or a job."""
        origin = origin_of(url)
        if origin is not None:
            self._output_origins.add(_address(origin))

    def is_service(self, url: str) -> bool:
        """Return whether every node answers the URL alike: a service's own, or its descriptions."""
        split = split_url(url)
        if split is None or _address(split[0]) + _stem(split[1].path) not in self._services:
            return False
        asked = [v.lower() for k, v in parse_qsl(split[1].query) if k.lower() == "request"]
        return not split[1].query or (len(asked) == 1 and asked[0] in _ALIKE_ON_ALL)

    def has_outputs(self, url: str) -> bool:
        """Return whether a document put an output at the URL's origin."""
        origin = origin_of(url)
        return origin is not None and _address(origin) in self._output_origins

    def has_services(self, url: str) -> bool:
        """Return whether a service is at the URL's origin."""
        origin = origin_of(url)
        return origin is not None and _address(origin) in self._service_origins


def is_of_an_execution(url: str) -> bool:
    """Return whether a URL's path has the UUID of an execution in it."""
    split = split_url(url)
    return split is not None and re.search(_EXECUTION, split[1].path, re.IGNORECASE) is not None


def _address(origin: Origin) -> str:
    """Return host and port; the port of http and that of https are one place."""
    own = DEFAULT_PORTS[origin.scheme] == origin.port
    return join_host(origin.host, 0 if own else origin.port)


def _stem(path: str) -> str:
    return path.rstrip("/") or "/"
