"""What the answers mean: one verdict in plain words, and the next step. Nothing is asked here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .findings import Finding, are_together, astray, dead, find_all, server_of
from .seen import Seen, ServiceSeen
from .telltale import Telltale, is_kept, places, telltale_of

Kind = Literal[
    "strict", "plain", "single-node",
    "down", "nodes-down", "node-down", "no-service", "not-nginx",
    "no-hash", "other-header", "one-node", "apart", "not-strict", "no-evidence",
    "cannot-tell",
]  # fmt: skip


@dataclass(frozen=True)
class Judgement:
    """The verdict itself.

    Attributes
    ----------
    kind : str
        One of `Kind`; the manual has a line for each.
    works : bool or None
        None where it cannot be told.
    words : str
        What is so.
    next : str
        What to do now.
    """

    kind: Kind
    works: bool | None
    words: str
    next: str


@dataclass(frozen=True)
class Verdict(Judgement):
    """What a probe comes to.

    Attributes
    ----------
    findings : tuple of Finding
        What was seen, point by point.
    """

    findings: tuple[Finding, ...] = ()


def judge(seen: Seen) -> Verdict:
    """Judge what was seen of a proxy.

    Parameters
    ----------
    seen : Seen
        As `ask` brought it.
    """
    telltale = telltale_of(seen.first, seen.evidence)
    found = (
        _of_no_answer(seen.first)
        or (_of_evidence_missing(seen, telltale))
        or (_of_no_telltale(seen.first) if telltale is None else _of_places(seen, telltale))
    )
    return Verdict(found.kind, found.works, found.words, found.next, find_all(seen, telltale))


# ---- nothing to compare ----


def _of_no_answer(first: ServiceSeen) -> Judgement | None:
    answers = list(first.answers())
    came = [answer for answer in answers if answer.status is not None]
    if not came:
        return Judgement(
            "down",
            False,
            f"nothing answers at {first.url}: {answers[0].failure}",
            _next_when_down(answers[0].failure),
        )
    statuses = {answer.status for answer in came}
    if all(answer.is_gateway_error for answer in came):
        named = first.by_node
        if not named or len(dead(first)) == len(named):
            return Judgement(
                "nodes-down",
                False,
                f"the proxy answers, and no node behind it does ({_joined(statuses)})",
                "start the service on its nodes; if it runs, compare its port with the proxy's "
                "server lines",
            )
    if all(answer.status is not None and 300 <= answer.status < 400 for answer in came):
        target = came[0].headers.get("location", "")
        shown = "".join(c for c in target if c.isascii() and c.isprintable())[:200]
        return Judgement(
            "no-service",
            False,
            f"{first.url} only leads on, to {shown!r}",
            "probe that URL, and give it to the users: a redirected Execute is not followed",
        )
    return None


def _next_when_down(failure: str) -> str:
    if "TLS" in failure:
        return (
            "give the proxy a certificate that clients trust, or tell this one of your authority "
            "(REQUESTS_CA_BUNDLE=file)"
        )
    if "HTTP" in failure or "head" in failure:
        return "something else than a web server listens there; look at the port"
    if "name" in failure:
        return "look at the host's name, and whether this machine's DNS knows it"
    return "start the proxy, or look at host and port: nginx -t says whether its files will do"


def _of_evidence_missing(seen: Seen, telltale: Telltale | None) -> Judgement | None:
    first = seen.first
    published = first.topology
    if published is None or published.evidence is None or len(published.nodes) < 2:
        return None
    if telltale is not None and telltale.name == published.evidence.lower():
        return None
    return Judgement(
        "no-evidence",
        False,
        f"the proxy promises the response header {published.evidence}, and no answer has it: "
        "clients take that for another node's answer",
        "look at what stands in front of nginx and takes the header away; then probe again",
    )


def _of_no_telltale(first: ServiceSeen) -> Judgement:
    came = [answer for answer in first.answers() if answer.status is not None]
    published = first.topology
    if published is not None and len(published.nodes) == 1:
        return _single_node()
    if all(answer.status != 200 for answer in came):
        return Judgement(
            "no-service",
            False,
            f"{first.url} answers {_joined({a.status for a in came})}, and not as a service",
            "look at the path: it should be the one that users give, such as .../wps",
        )
    if not any("nginx" in answer.headers.get("server", "").lower() for answer in came):
        return Judgement(
            "not-nginx",
            False,
            f"no nginx answers here, but {server_of(came[0])}; nothing in its answers tells one "
            "node from another",
            "give the proxy's URL, not a node's own; a proxy of another kind needs a topology "
            "and its nodes' addresses (see the manual on the direct route)",
        )
    return Judgement(
        "cannot-tell",
        None,
        "nginx answers, and nothing in the answers tells which node gave them: this may be the "
        "manual's plain proxy, or one without a hash",
        "look into its files (pavics-affinity check), or probe the URL of an output, which only "
        "one node has; to be able to tell, render the proxy (pavics-affinity render)",
    )


def _single_node() -> Judgement:
    return Judgement(
        "single-node",
        True,
        "the site has one node, so that every request goes there",
        "nothing to do",
    )


# ---- where the requests went ----


def _of_places(seen: Seen, telltale: Telltale) -> Judgement:
    first = seen.first
    published = first.topology
    if not is_kept(telltale, first.by_id):
        return _of_moved(seen, telltale)
    if published is not None and published.proxy == "strict":
        return _of_strict(seen, telltale)
    if len({place for a in first.by_id.values() for place in places(telltale, a)}) < 2:
        return _of_one_node(seen, telltale)
    if are_together(seen, telltale) is False:
        return Judgement(
            "apart",
            False,
            "each service keeps an id on a node, but not on the same one: a chain that goes from "
            "one service to the other loses its files",
            "give all upstreams the same servers in the same order with the same weights, and no "
            "'consistent' (pavics-affinity check says where they differ); or render the proxy",
        )
    words = "an id's requests all go to one node, by the hash"
    if seen.header.lower() != "machineid":
        words += f" over the header {seen.header}"
    step = (
        "nothing to do; to let clients name their node, and keep it when servers change, render "
        "the proxy in the strict style (pavics-affinity render)"
    )
    if first.document.trouble or first.document.topology is not None:
        step = (
            "the document that the proxy publishes is of no use for this URL: give the service "
            "the URL that users type, or an alias, in the topology, and render again"
        )
    return Judgement("plain", True, words, step)


def _of_moved(seen: Seen, telltale: Telltale) -> Judgement:
    first = seen.first
    for name, by_id in first.by_spelling.items():
        if is_kept(telltale, by_id) and any(places(telltale, a) for a in by_id.values()):
            return _of_other_header(seen.header, name)
    failed = [answer for answer in first.answers() if answer.is_gateway_error]
    words = f"the header {seen.header} does not reach the hash: requests with one id go to "
    words += ", ".join(places(telltale, first.answers()))
    if failed:
        return Judgement(
            "nodes-down",
            False,
            f"{words}; {len(failed)} answers were 502, 503 or 504",
            "start the node that does not answer: by default nginx moves its ids to others "
            "(max_fails=0 and proxy_next_upstream off keep them); then probe again",
        )
    variable = f"$http_{seen.header.lower().replace('-', '_')}"
    return Judgement(
        "no-hash",
        False,
        words,
        f"put 'hash {variable};' into each upstream block, and see that nothing in front of nginx "
        "drops the header; pavics-affinity check finds the line",
    )


def _of_other_header(header: str, heeded: str) -> Judgement:
    variable = f"$http_{heeded.lower().replace('-', '_')}"
    if "_" in header or "-" in heeded:
        dropped = header if "_" in header else heeded.replace("-", "_")
        words = (
            f"the hash is over {variable}: it heeds the header {heeded}, not {header}; "
            f"a header {dropped} would be dropped by nginx for its underscore"
        )
    else:
        words = f"the hash is over {variable}: it heeds the header {heeded}, not {header}"
    wanted = header.replace("_", "")
    return Judgement(
        "other-header",
        False,
        words,
        f"write 'hash $http_{wanted.lower().replace('-', '_')};' into each upstream block, as "
        f"clients send {wanted}; until then, Workflow(header={heeded!r}) works",
    )


def _of_one_node(seen: Seen, telltale: Telltale) -> Judgement:
    first = seen.first
    published = first.topology
    if published is not None and len(published.nodes) == 1:
        return _single_node()
    [node] = places(telltale, [a for answers in first.by_id.values() for a in answers])
    others = places(telltale, first.without)
    words = f"all {len(first.by_id)} ids went to {node}"
    if others != [node]:
        return Judgement(
            "one-node",
            False,
            f"{words}, and requests without one to {', '.join(others)}",
            "the ids are not spread: look at what the hash is over, and at the servers' weights "
            "(pavics-affinity check)",
        )
    return Judgement(
        "one-node",
        None,
        f"{words}, and so did requests without one: there is one node, or the hash is over "
        "something else, such as the client's address",
        "if there are more nodes, look at the hash and at whether they are up "
        "(pavics-affinity check)",
    )


def _of_strict(seen: Seen, telltale: Telltale) -> Judgement:
    gone = {node for service in seen.services for node in dead(service)}
    if gone:
        return Judgement(
            "node-down",
            False,
            f"a strict proxy, and {', '.join(sorted(gone))} behind it does not answer: its "
            "workflows wait, and no other node gets their requests",
            "start the node again; or, if it is to go, drain it and take it out of the topology",
        )
    lost = {n: p for service in seen.services for n, p in astray(service, telltale).items()}
    refused = seen.first.unknown is not None and seen.first.unknown.status == 421
    if lost or not refused:
        what = "a key that names a node does not lead there" if lost else (
            "a key that names an unknown node is not refused"
        )  # fmt: skip
        return Judgement(
            "not-strict",
            False,
            f"the document says strict, but {what}: it is not of the configuration that nginx runs",
            "render again, nginx -t, reload; and see that the header reaches nginx unchanged",
        )
    strange = [service.url for service in seen.services if service.topology is None]
    if strange:
        return Judgement(
            "apart",
            False,
            f"a strict proxy, but {', '.join(strange)} is not in the document: clients cannot name "
            "their node there",
            "add the service to the topology, render, reload",
        )
    return Judgement(
        "strict",
        True,
        "an id's requests all go to one node, a key that names a node goes there and nowhere else, "
        "and clients find all they need by the service's URL",
        "nothing to do",
    )


def _joined(statuses: set[int | None]) -> str:
    return ", ".join(str(status) for status in sorted(s for s in statuses if s is not None))
