"""Send the requests of a probe: only GETs, one by one, limited in number, time and size."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import requests

from ...discovery.document import topology_of
from ...discovery.finder import LARGEST
from ...errors import InvalidRequest, TopologyError
from ...machineid import mint_machineid
from ...protocol import (
    DEFAULT_EVIDENCE,
    DEFAULT_HEADER,
    DOCUMENT_MARK,
    WELL_KNOWN,
    is_free_header,
    name_key,
    with_key,
)
from ...topology.urls import Origin, origin_of
from ...transport.bounded import Bounded, get_bounded
from ...transport.faults import causes_of, describe
from ...transport.wire import hidden_status
from .seen import Answer, ByKey, Document, Seen, ServiceSeen, find_marker

_WITHOUT_KEY = 4  # requests without a key
_LINKED = 2  # machineids sent in the query and in the path
_NAMED = 8  # most nodes of a service that are requested by name
_MORE = 8  # further machineids, if the first ones all went to one node
# If the header has no effect: other spellings to try, and machineids for each of them, one
# more than for the header itself.
_SPELLINGS, _SPELLED = 2, 3

_MOST_URLS, _MOST_IDS, _MOST_REQUESTS = 20, 50, 20
_LARGEST_BODY = 65_536
_LONGEST_VALUE = 300
_MOST_SILENT = 3  # unanswered requests in a row after which no more are sent

_CAPABILITIES = "service=WPS&request=GetCapabilities"
_IS_CAPABILITIES = re.compile(rb"<(?:\w+:)?Capabilities\b")
_NO_NODE = "no-such-node"


@dataclass(frozen=True)
class Plan:
    """The requests of a probe, not sent yet, with a known limit of their number.

    Parameters
    ----------
    urls : sequence of str
        URLs of services; the first one's answers are compared with the others'. The URL of
        an output works, too: the output is on one node only, so a 404 tells nodes apart
        where nothing else does.
    header : str, optional
        Request header that carries the machineid. By default the one that the proxy
        publishes, otherwise ``machineid``.
    evidence : str, optional
        Response header that names the node, if the proxy publishes none.
    ids : int, default 5
        Number of machineids, 2 to 50.
    requests : int, default 3
        Requests with each of them, 2 to 20.
    timeout : float, default 5.0
        Seconds for each request.

    Raises
    ------
    InvalidRequest
        A URL, a header's name or a number is not valid.
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
        _check_header("header", self.header, DEFAULT_HEADER)
        _check_header("evidence", self.evidence, DEFAULT_EVIDENCE)
        for name, most in (("ids", _MOST_IDS), ("requests", _MOST_REQUESTS)):
            if not 2 <= getattr(self, name) <= most:
                raise InvalidRequest(f"{name} = {getattr(self, name)}: expected 2 to {most}")
        if not 0 < self.timeout <= 60:
            raise InvalidRequest(f"timeout = {self.timeout}: expected seconds, up to 60")

    @property
    def most(self) -> int:
        """The largest number of GETs that the probe can send."""
        documents = len({origin_of(url) for url in self.urls})
        first = self.ids * self.requests + _WITHOUT_KEY + 2 * _LINKED
        strict = _LINKED + _NAMED + 1
        diagnosis = max(_MORE, _SPELLINGS * _SPELLED * (self.requests + 1))
        others = (len(self.urls) - 1) * (self.ids + _NAMED)
        return documents + first + max(strict, diagnosis) + others


def ask(plan: Plan) -> Seen:
    """Send a probe's requests to a proxy and the services behind it.

    Failures of the proxy do not raise; they are part of the result.
    """
    wire = _Wire(plan)
    origins = {url: origin for url in plan.urls if (origin := origin_of(url)) is not None}
    documents = {origin: wire.document(origin) for origin in dict.fromkeys(origins.values())}
    services = [ServiceSeen(url, documents[origin]) for url, origin in origins.items()]
    first = services[0]
    published = first.topology
    header = plan.header or (published.header if published else DEFAULT_HEADER)
    evidence = plan.evidence or (published.evidence if published else None)
    ids = _fresh_ids(plan.ids)
    _ask_everything(wire, first, header, evidence, ids)
    for service in services[1:]:
        service.by_id = wire.with_header(service.url, header, ids, 1)
        _ask_by_name(wire, service, header)
    return Seen(header, evidence, tuple(services), wire.sent)


def _ask_everything(
    wire: _Wire, first: ServiceSeen, header: str, evidence: str | None, ids: list[str]
) -> None:
    plan = wire.plan
    # One id after the other: with alternating ids, round robin could look like a hash.
    first.by_id = wire.with_header(first.url, header, ids, plan.requests)
    url = asked_url(first.url)
    first.without = [wire.get(url) for _ in range(_WITHOUT_KEY)]
    for key in ids[:_LINKED]:
        first.by_query[key] = [wire.get(with_key(url, key, "query")) for _ in range(2)]
    if first.topology is not None and first.topology.proxy == "strict":
        for key in ids[:_LINKED]:
            first.by_path[key] = [wire.get(with_key(url, key, "path"))]
        _ask_by_name(wire, first, header)
        first.unknown = wire.get(url, {header: name_key(ids[0], _NO_NODE)})
        return
    marker = find_marker(first, evidence)
    if marker is None:
        return
    if not marker.keeps(first.by_id):
        chosen = _fresh_ids(_SPELLED)
        for name in spellings(header):
            times = plan.requests + 1
            first.by_spelling[name] = wire.with_header(first.url, name, chosen, times)
    elif len(marker.nodes_of(first.with_ids())) < 2:
        first.by_id |= wire.with_header(first.url, header, _fresh_ids(_MORE), 1)


def _ask_by_name(wire: _Wire, service: ServiceSeen, header: str) -> None:
    topology = service.document.topology
    match = None if topology is None else topology.covering(service.url)
    if topology is None or match is None or topology.proxy != "strict":
        return
    nodes = dict.fromkeys(b.node for b in topology.backends(match.service) if not b.down)
    for node in list(nodes)[:_NAMED]:
        key = name_key(_fresh_ids(1)[0], node)
        service.by_node[node] = wire.get(asked_url(service.url), {header: key})


def _fresh_ids(count: int) -> list[str]:
    # The prefix lets the operator recognise the requests in the log.
    return [f"probe-{mint_machineid()[:12]}" for _ in range(count)]


def asked_url(url: str) -> str:
    """Return the URL to request: the capabilities, unless it contains a request already."""
    parts = urlsplit(url)
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    query = parts.query if "request" in keys else f"{parts.query}&{_CAPABILITIES}".lstrip("&")
    return parts._replace(query=query, fragment="").geturl()


def spellings(header: str) -> list[str]:
    """Return other spellings of a header that a site may use.

    nginx writes a hyphen in a header's name as an underscore in its variable, and
    drops headers that have an underscore themselves.
    """
    words = re.sub(r"machine[-_]?id", "machine-id", header, flags=re.IGNORECASE)
    guesses = [words.replace("_", "-"), words.replace("-", "_"), re.sub("[-_]", "", header)]
    return [name for name in dict.fromkeys(guesses) if name != header][:_SPELLINGS]


def _check_url(url: str) -> None:
    if origin_of(url) is None:
        raise InvalidRequest(
            f"{url[:200]!r} is not an http or https URL; give a service's, such as "
            "'http://proxy.example:58093/wps'",
            url=url,
        )
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(
            "the URL contains a user or a password, and a probe sends no credentials; leave them "
            "out",
            url=url,
        )
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key.lower() == "request" and value.strip().lower() == "execute":
            raise InvalidRequest(
                f"{url[:200]!r} executes a process, and a probe executes nothing; give the "
                "service's URL",
                url=url,
            )


def _check_header(what: str, name: str | None, example: str) -> None:
    # The site's nginx may have underscores_in_headers on.
    if name is not None and not is_free_header(name.replace("_", "-")):
        raise InvalidRequest(
            f"{what} = {name[:100]!r}: expected the name of a header that has no other meaning, "
            f"such as {example!r}"
        )


class _Wire:
    """Sends and counts requests, and stops if there are no answers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sent = 0
        self._silent = 0

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        found = self._get(url, headers or {}, _LARGEST_BODY)
        if isinstance(found, str):
            return Answer(None, failure=found)
        hidden = hidden_status(found.body) if found.status == 400 else None
        return Answer(
            status=found.status,
            headers={n.lower(): v[:_LONGEST_VALUE] for n, v in found.headers.items()},
            digest=hashlib.sha256(found.body).hexdigest(),
            is_wps=_IS_CAPABILITIES.search(found.body[:4096]) is not None,
            hidden=None if hidden is None else hidden[0],
        )

    def with_header(self, url: str, header: str, ids: Iterable[str], times: int) -> ByKey:
        asked = asked_url(url)
        return {key: [self.get(asked, {header: key}) for _ in range(times)] for key in ids}

    def document(self, origin: Origin) -> Document:
        found = self._get(f"{origin}{WELL_KNOWN}", {"Accept": "application/json"}, LARGEST)
        data = None
        if not isinstance(found, str) and found.status == 200:
            with contextlib.suppress(ValueError, RecursionError):
                data = json.loads(found.body)
        if not isinstance(data, dict) or DOCUMENT_MARK not in data:
            return Document()
        try:
            return Document(topology_of(data, origin))
        except TopologyError as bad:
            return Document(trouble=bad.message)

    def _get(self, url: str, headers: Mapping[str, str], largest: int) -> Bounded | str:
        if self._silent >= _MOST_SILENT:
            return "not asked, because nothing answered before"
        self.sent += 1
        agent = {"User-Agent": "pavics-affinity probe"}
        try:
            answer = get_bounded(
                url, headers={**agent, **headers}, timeout=self.plan.timeout, largest=largest
            )
        except requests.RequestException as bad:
            self._silent += 1
            return _describe(bad)
        self._silent = 0
        return answer


def _describe(error: requests.RequestException) -> str:
    found = list(causes_of(error))
    if any(isinstance(cause, http.client.RemoteDisconnected) for cause in found):
        return "it closed the connection without an answer"
    if any(isinstance(cause, http.client.BadStatusLine) for cause in found):
        return "it does not speak HTTP"
    if any(type(cause) in {http.client.LineTooLong, http.client.HTTPException} for cause in found):
        return "the head of its answer is too long"
    return describe(error)
