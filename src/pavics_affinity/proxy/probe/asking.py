"""Puts the questions: GETs alone, one after the other, bounded in number, time and size."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import re
from collections.abc import Iterable, Mapping

import requests

from ...discovery.document import LARGEST, topology_of
from ...errors import TopologyError
from ...machineid import mint_machineid
from ...protocol import DEFAULT_HEADER, DOCUMENT_MARK, WELL_KNOWN, name_key, with_key
from ...topology import Topology
from ...topology.urls import Origin, origin_of
from ...transport.bounded import Bounded, get_bounded
from ...transport.faults import causes_of, in_words
from .plan import LINKED, MORE, NAMED, SPELLED, WITHOUT, Plan, asked_url, spellings
from .seen import Answer, ByKey, Document, Seen, ServiceSeen
from .telltale import is_kept, places, telltale_of

_LARGEST_BODY = 65_536
_LONGEST_VALUE = 300
_PATIENCE = 3
"""Requests in succession that bring nothing, after which no more are sent."""

_CAPABILITIES = re.compile(rb"<(?:\w+:)?Capabilities\b")
_NO_NODE = "no-such-node"


def ask(plan: Plan) -> Seen:
    """Ask a proxy, and the services behind it, what a client would find.

    Nothing is raised for what goes wrong out there: it is among what was seen.

    Parameters
    ----------
    plan : Plan
        Whom, and how much.
    """
    wire = _Wire(plan)
    documents: dict[Origin | None, Document] = {}
    services = []
    for url in plan.urls:
        origin = origin_of(url)
        if origin is not None and origin not in documents:
            documents[origin] = wire.document(origin)
        services.append(ServiceSeen(url, documents[origin]))
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
    # One id after the other: in turns, round robin could look like a hash.
    first.by_id = wire.with_header(first.url, header, ids, plan.requests)
    first.without = [wire.get(asked_url(first.url)) for _ in range(WITHOUT)]
    url = asked_url(first.url)
    for key in ids[:LINKED]:
        first.by_query[key] = [wire.get(with_key(url, key, "query")) for _ in range(2)]
    if first.topology is not None and first.topology.proxy == "strict":
        for key in ids[:LINKED]:
            first.by_path[key] = [wire.get(with_key(url, key, "path"))]
        _ask_by_name(wire, first, header)
        first.unknown = wire.get(url, {header: name_key(ids[0], _NO_NODE)})
        return
    telltale = telltale_of(first, evidence)
    if telltale is None:
        return
    if not is_kept(telltale, first.by_id):
        chosen, times = _fresh_ids(SPELLED), plan.requests + 1
        for name in spellings(header):
            first.by_spelling[name] = wire.with_header(first.url, name, chosen, times)
    elif len(places(telltale, itertools.chain(*first.by_id.values()))) < 2:
        first.by_id |= wire.with_header(first.url, header, _fresh_ids(MORE), 1)


def _fresh_ids(count: int) -> list[str]:
    # A name of its own, by which the operator knows the requests in the log.
    return [f"probe-{mint_machineid()[:12]}" for _ in range(count)]


def _ask_by_name(wire: _Wire, service: ServiceSeen, header: str) -> None:
    topology = service.document.topology
    match = None if topology is None else topology.covering(service.url)
    if topology is None or match is None or topology.proxy != "strict":
        return
    nodes = dict.fromkeys(b.node for b in topology.backends(match.service) if not b.down)
    for node in list(nodes)[:NAMED]:
        key = name_key(_fresh_ids(1)[0], node)
        service.by_node[node] = wire.get(asked_url(service.url), {header: key})


class _Wire:
    """Sends, counts, and stops where nobody answers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sent = 0
        self._silent = 0

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        found = self._get(url, headers or {}, _LARGEST_BODY)
        if isinstance(found, str):
            return Answer(None, failure=found)
        return Answer(
            status=found.status,
            headers={n.lower(): v[:_LONGEST_VALUE] for n, v in found.headers.items()},
            digest=hashlib.sha256(found.body).hexdigest(),
            is_wps=_CAPABILITIES.search(found.body[:4096]) is not None,
        )

    def with_header(self, url: str, header: str, ids: Iterable[str], times: int) -> ByKey:
        asked = asked_url(url)
        return {key: [self.get(asked, {header: key}) for _ in range(times)] for key in ids}

    def document(self, origin: Origin) -> Document:
        url = f"{origin}{WELL_KNOWN}"
        found = self._get(url, {"Accept": "application/json"}, LARGEST)
        if isinstance(found, str) or found.status != 200:
            return Document(url)
        try:
            data = json.loads(found.body)
        except (ValueError, RecursionError):
            return Document(url)
        if not isinstance(data, dict) or DOCUMENT_MARK not in data:
            return Document(url)
        try:
            topology: Topology | None = topology_of(data, origin)
        except TopologyError as bad:
            return Document(url, trouble=str(bad))
        return Document(url, topology)

    def _get(self, url: str, headers: Mapping[str, str], largest: int) -> Bounded | str:
        if self._silent >= _PATIENCE:
            return "not asked, since nothing answered before"
        self.sent += 1
        agent = {"User-Agent": "pavics-affinity probe"}
        try:
            answer = get_bounded(
                url, headers={**agent, **headers}, timeout=self.plan.timeout, largest=largest
            )
        except requests.RequestException as bad:
            self._silent += 1
            return _why(bad)
        self._silent = 0
        return answer


def _why(error: requests.RequestException) -> str:
    found = list(causes_of(error))
    if any(isinstance(cause, http.client.RemoteDisconnected) for cause in found):
        return "it closed the connection without an answer"
    if any(isinstance(cause, http.client.BadStatusLine) for cause in found):
        return "what answers speaks no HTTP"
    if any(type(cause) in {http.client.LineTooLong, http.client.HTTPException} for cause in found):
        return "the head of its answer is too long"
    return in_words(error)
