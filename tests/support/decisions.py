"""Drive the transport's loop through every situation and outcome, without a network.

Time is a fake clock, the wire is a script, and what comes out is one line of text: each attempt
and each wait, how the request ended, and what it left behind.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import socket
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import requests
import urllib3

from pavics_affinity import Node, Service, Topology
from pavics_affinity.pin import Pin
from pavics_affinity.placement import split_key
from pavics_affinity.record import Record
from pavics_affinity.topology import FixedSource
from pavics_affinity.transport import AffinityAdapter, times
from pavics_affinity.transport.wire import WireRequest, WireResponse
from support import wpsdocs

URL = "http://proxy.example:8093/wps"
NODES = ("n1", "n2")

FOR_A_PLACE = 1.0
"""Seconds for which an Execute waits for a place in a full queue."""

SITES = ("plain", "strict", "bare", "outside")
"""A proxy that names the node that answered; a strict one; one without topology; out of scope."""
HOLDS = ("free", "way", "pinned")
"""Nothing executed; an Execute on its way; one executed."""
ROUTES = ("auto", "proxy", "direct")
REQUESTS = ("get", "execute", "stream")
"""Repeatable; an Execute; an Execute whose body can be read only once."""
STRICT = (True, False)
PATIENCE = (("again", 0.1), ("ok", 0.1))
"""What is answered after the outcome, and for how many seconds a request is repeated."""


@cache
def topology(kind: str, *, turned: bool = False) -> Topology:
    """A site of two nodes; turned, it lists its servers the other way round."""
    order = reversed(NODES) if turned else NODES
    return Topology(
        nodes=[Node(name, host=f"10.0.0.{name[1]}") for name in order],
        services=(Service("fp", url=URL, port=8093),),
        evidence="X-Node",
        proxy="strict" if kind == "strict" else "plain",
    )


class Source(FixedSource):
    """A topology that changes when it is asked for while `later` is set."""

    later: Topology | None = None

    def renew(self, *, thorough: bool = False) -> bool:
        if not thorough or self.later is None:
            return False
        self.current, self.later = self.later, None
        return True


# ---- outcomes ----


def _fault(kind: type[requests.RequestException], *causes: BaseException) -> Any:
    return lambda: kind(*causes)


def _marked(fault: BaseException) -> BaseException:
    fault._pavics_affinity_while_connecting = True  # type: ignore[attr-defined]
    return fault


FAULTS: dict[str, Callable[[], BaseException]] = {
    "refused": lambda: requests.ConnectionError(_marked(ConnectionRefusedError(111, "refused"))),
    "no such host": lambda: requests.ConnectionError(
        _marked(socket.gaierror(socket.EAI_NONAME, "unknown"))
    ),
    "slow to connect": _fault(requests.ConnectTimeout),
    "broken": _fault(requests.ConnectionError, ConnectionResetError(104, "reset")),
    "silent": _fault(requests.ReadTimeout),
}

REASONS = {"421": "Misdirected Request", "502": "Bad Gateway", "503": "Service Unavailable"}

OK = (200, {})
ANSWERS: dict[str, tuple[int, dict[str, str]]] = {
    "ok": OK,
    "ok, cut": OK,
    "ok, other node": (200, {"X-Node": "other"}),
    "ok, other node, topology changed": (200, {"X-Node": "other"}),
    "404, other node, topology changed": (404, {"X-Node": "other"}),
    "429, other node, topology changed": (429, {"X-Node": "other"}),
    "ok, unknown node": (200, {"X-Node": "10.9.9.9:1"}),
    "ok, no evidence": (200, {"X-Node": ""}),
    "404": (404, {}),
    "404, other node": (404, {"X-Node": "other"}),
    "404, no evidence": (404, {"X-Node": ""}),
    "429": (429, {}),
    "429, in 0.3 s": (429, {"Retry-After": "0"}),
    "429, in 30 s": (429, {"Retry-After": "30"}),
    "421": (421, {"X-Node": ""}),
    "421, topology changed": (421, {"X-Node": ""}),
    "500": (500, {}),
    "400, a security proxy's for 421": (400, {"X-Node": "", "Content-Type": "text/xml"}),
    "400, a security proxy's for 502": (400, {"X-Node": "", "Content-Type": "text/xml"}),
    "400, a security proxy's for 503": (400, {"X-Node": "", "Content-Type": "text/xml"}),
    "502": (502, {}),
    "502, xml": (502, {"Content-Type": "text/xml"}),
    "502, node not reached": (502, {"X-Pavics-Connect": "-"}),
    "502, node reached": (502, {"X-Pavics-Connect": "0.001"}),
    "503": (503, {}),
    "503, node not reached": (503, {"X-Pavics-Connect": "-, -"}),
    "503, in 0 s": (503, {"Retry-After": "0"}),
    "503, in 30 s": (503, {"Retry-After": "30"}),
    "503, of a proxy that may have lost the node": (503, {"Retry-After": "0", "Server": "Varnish"}),
    "504": (504, {}),
    "301": (301, {"Location": "/new"}),
    "303": (303, {"Location": "/outputs/1.xml"}),
    "307": (307, {"Location": "/new"}),
    "307, other host": (307, {"Location": "http://else.example/"}),
}
OUTCOMES = (*FAULTS, *ANSWERS)


# ---- the wire ----


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Cut(io.BytesIO):
    def read(self, *_: Any) -> bytes:
        raise ConnectionResetError(104, "reset")

    read1 = readinto = read  # type: ignore[assignment]


class ScriptedAdapter(AffinityAdapter):
    """Answers as a script says, and writes down what was sent."""

    def __init__(self, pin: Pin, record: Record, source: Source | None, deadline: float) -> None:
        super().__init__(pin, record, deadline=deadline, patience=FOR_A_PLACE)
        self.source = source
        self.script: Iterator[str] = itertools.repeat("ok")
        self.trace: list[str] = []

    def transmit(self, wire: WireRequest, *, fresh: bool, **options: Any) -> WireResponse:
        host = urlsplit(wire.url).hostname or ""
        at = f"n{host[-1]}" if host.startswith("10.") else "proxy"
        key = wire.headers.get("machineid")
        node = self._node(at, key)
        outcome = next(self.script)
        way = at if at != "proxy" else f"proxy:{node or '-'}"
        if wire.body is None and "GetCapabilities" in (wire.url or ""):
            way = f"ask {way}"
        self.trace.append(way if key else f"{way} without id")
        return self.answer(outcome, node)

    def _node(self, at: str, key: str | None) -> str | None:
        if at != "proxy" or self.source is None or key is None:
            return at if at != "proxy" else None
        named = split_key(key)[1]
        current = self.source.current
        return named if current.proxy == "strict" else current.first_node("fp", key)

    def answer(self, outcome: str, node: str | None) -> WireResponse:
        if outcome in FAULTS:
            raise FAULTS[outcome]()
        status, told = ANSWERS[outcome]
        if "topology changed" in outcome and self.source is not None:
            self.source.later = topology(self.source.current.proxy, turned=True)
        other = next(name for name in NODES if name != node)
        headers = {"X-Node": node or "", **told}
        headers["X-Node"] = {"other": other}.get(headers["X-Node"], headers["X-Node"])
        headers = {name: value for name, value in headers.items() if value}
        body = Cut(b"half") if outcome.endswith("cut") else io.BytesIO(b"whole")
        if "security proxy" in outcome:
            report = wpsdocs.twitcher_report(f"Response is not ok: {REASONS[outcome[-3:]]}")
            headers["Content-Length"], body = str(len(report)), io.BytesIO(report)
        response = WireResponse()
        response.status_code = status
        response.headers.update(headers)
        response.raw = urllib3.HTTPResponse(
            body=body, headers=headers, status=status, preload_content=False
        )
        return response


def request(kind: str) -> requests.PreparedRequest:
    """A request of one of `REQUESTS`."""
    made = _prepared(kind).copy()
    if kind == "stream":
        made.body = iter([b"<x/>"])
    return made


@cache
def _prepared(kind: str) -> requests.PreparedRequest:
    if kind == "get":
        return requests.Request("GET", URL).prepare()
    body: Any = b"<x/>" if kind == "execute" else iter([b"<x/>"])
    return requests.Request("POST", URL, data=body).prepare()


# ---- one run ----


def run(
    site: str,
    hold: str,
    route: str,
    kind: str,
    strict: bool,
    outcome: str,
    *,
    then: str,
    deadline: float,
) -> str:
    """Send a request that meets an outcome, and then, again and again, another one."""
    source = None if site in ("bare", "outside") else Source(topology(site))
    pin = Pin(
        "a1b2",
        sources=[source] if source else [],
        route=route,
        strict=strict,
    )
    if site == "bare":
        pin.add_scope(URL)
    record = Record()
    adapter = ScriptedAdapter(pin, record, source, deadline)
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.now += seconds
        adapter.trace.append("wait" if seconds < 0.9 else f"wait {seconds:.0f}")

    patient = {"clock": clock, "sleep": sleep}
    with (
        mock.patch.dict(times.Patience.__init__.__kwdefaults__, patient),
        mock.patch.object(times.random, "uniform", lambda low, high: high),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        if hold == "pinned":
            adapter.send(request("execute"))
        adapter.trace.clear()
        before = len(list(record)), len(list(record.steps))
        script = itertools.chain([outcome], itertools.repeat(then))
        if hold == "way":
            ended = _while_an_execute_waits(adapter, script, kind)
        else:
            adapter.script = script
            ended = _ended(adapter, request(kind))
        entry = list(record)[before[0]]
        steps = [s.state for s in list(record.steps)[before[1] + (hold == "way") :]]
    found = [
        _short(adapter.trace),
        ended,
        f"{entry.node or '-'} {entry.node_known} {entry.route}",
        *steps,
        f"then {_left(pin)}",
    ]
    said = [_about(str(w.message)) for w in caught] + [_about(note) for note in record.notes]
    found += dict.fromkeys(said)
    return " | ".join(found)


def _while_an_execute_waits(adapter: ScriptedAdapter, script: Iterator[str], kind: str) -> str:
    """Send the request while another Execute is on its way, which is then answered."""
    ended: list[str] = []
    transmit = adapter.transmit

    def first(wire: WireRequest, **options: Any) -> WireResponse:
        adapter.transmit = transmit  # type: ignore[method-assign]
        adapter.script = script
        ended.append(_ended(adapter, request(kind)))
        node = adapter._node("proxy", wire.headers.get("machineid"))
        host = urlsplit(wire.url).hostname or ""
        return adapter.answer("ok", f"n{host[-1]}" if host.startswith("10.") else node)

    adapter.transmit = first  # type: ignore[method-assign]
    outer = _ended(adapter, request("execute"))
    return f"{ended[0]} | the other: {outer}"


def _ended(adapter: ScriptedAdapter, prepared: requests.PreparedRequest) -> str:
    try:
        response = adapter.send(prepared)
    except Exception as error:  # noqa: BLE001  # every way to end is a row of the table
        return type(error).__name__
    return str(response.status_code)


def _left(pin: Pin) -> str:
    held = f"{pin.node or '-'} {pin.node_known}{' pinned' if pin.pinned else ''}"
    with contextlib.suppress(Exception):
        target = pin.route(URL)
        return f"{held} -> {target.route} {target.node or '-'}"
    return f"{held} -> no way"


def _short(trace: list[str]) -> str:
    runs = ((item, len(list(same))) for item, same in groupby(_paired(trace)))
    return ", ".join(item if count == 1 else f"{item} x{count}" for item, count in runs)


def _paired(trace: list[str]) -> list[str]:
    paired: list[str] = []
    for item in trace:
        if item == "wait" and paired:
            paired[-1] += "~"
        else:
            paired.append(item)
    return paired


def _about(message: str) -> str:
    for words, short in (
        ("not strict", "warned: left"),
        ("from now on", "said: direct"),
        ("asked again", "said: back"),
        ("waits for one", "said: waits"),
        ("Another node is asked", "said: passes"),
        ("removes it", "warned: stripped"),
        ("files of workflow", "warned: lost"),
    ):
        if words in message:
            return short
    return "said: something else"


def combinations() -> Iterator[tuple[Any, ...]]:
    """Yield the arguments of `run` that make sense together."""
    for site, hold, route, kind, strict in itertools.product(
        SITES, HOLDS, ROUTES, REQUESTS, STRICT
    ):
        if site in ("bare", "outside") and route == "direct":
            continue
        if site == "outside" and hold != "free":
            continue
        yield site, hold, route, kind, strict


def table(outcome: str) -> Iterator[str]:
    """Yield what follows an outcome: each distinct course of events, and where it happens."""
    for then, deadline in PATIENCE:
        courses: dict[str, dict[str, list[str]]] = {}
        after = outcome if then == "again" else then
        for site, hold, route, kind, strict in combinations():
            course = run(site, hold, route, kind, strict, outcome, then=after, deadline=deadline)
            what = f"{kind[0]}{'+' if strict else '-'}"
            courses.setdefault(course, {}).setdefault(f"{site}/{hold}/{route}", []).append(what)
        yield f"# {outcome}, then {then}"
        for course, ways in courses.items():
            yield course
            alike: dict[str, list[str]] = {}
            for way, found in ways.items():
                alike.setdefault("".join(found), []).append(way)
            for what, together in alike.items():
                yield f"    {what} {' '.join(together)}"


if __name__ == "__main__":  # writes tests/transport/decisions.txt
    for name in OUTCOMES:
        print(*table(name), sep="\n")
