"""Judge a probe's answers: one verdict, and the next step. No request is sent here.

One module, because the first judgement that fits is the verdict, so their order matters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .findings import ProbeFinding, are_together, find_all, misled, server_of
from .seen import Answer, NodeMarker, Seen, ServiceSeen, find_marker, plain_text

Kind = Literal[
    "strict", "plain", "single-node",
    "down", "nodes-down", "node-down", "no-service", "not-nginx",
    "no-hash", "other-header", "one-node", "apart", "not-strict",
    "hidden-down", "stripped", "cannot-tell",
]  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The result of a probe.

    Attributes
    ----------
    kind : str
        One of `Kind`; the manual has a line for each.
    works : bool or None
        Whether affinity works; None if the answers do not show it.
    words : str
        The verdict as a sentence.
    next : str
        What to do now.
    findings : tuple of ProbeFinding
        The findings, point by point.
    ids : dict of str to dict of str to list of str
        By URL and machineid, the nodes that answered, or values that identify them;
        empty if the answers do not identify nodes.
    """

    kind: Kind
    works: bool | None
    words: str
    next: str
    findings: tuple[ProbeFinding, ...] = ()
    ids: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def judge(seen: Seen) -> Verdict:
    """Judge the answers of a proxy, the result of `ask`."""
    of_a_node = _of_a_nodes_url(seen.first)
    if of_a_node is not None:
        return of_a_node
    marker = find_marker(seen.first, seen.evidence)
    found = (
        _hidden_down(seen, marker)
        or _without_answers(seen.first)
        or _without_evidence(seen, marker)
        or (_without_marker(seen.first) if marker is None else _by_nodes(seen, marker))
    )
    ids = {}
    if marker is not None:
        for service in seen.services:
            ids[service.url] = {key: marker.nodes_of(a) for key, a in service.by_id.items()}
    return dataclasses.replace(found, findings=find_all(seen, marker), ids=ids)


_SINGLE_NODE = Verdict(
    "single-node", True, "the site has one node, so every request goes there", "nothing to do"
)


def _of_a_nodes_url(first: ServiceSeen) -> Verdict | None:
    """Judge a URL that leads to one node with any key, and so shows nothing about the hash."""
    node = None if first.topology is None else first.topology.node_of_url(first.url)
    if node is None:
        return None
    return Verdict(
        "cannot-tell",
        None,
        f"{first.url} names node {node}: every request for it goes there, with any machineid",
        "probe the service's own URL",
    )


# ---- answers are missing, or do not identify nodes ----


def _without_answers(first: ServiceSeen) -> Verdict | None:
    """Judge a proxy if none of its answers comes from a service."""
    came = first.arrived()
    if not came:
        failure = first.answers()[0].failure
        return Verdict(
            "down", False, f"nothing answers at {first.url}: {failure}", _next_if_down(failure)
        )
    if all(answer.is_gateway_error for answer in came) and (
        len(first.dead_nodes()) == len(first.by_node)
    ):
        return Verdict(
            "nodes-down",
            False,
            f"the proxy answers, and no node behind it does ({_statuses(came)})",
            "start the service on its nodes; if it runs, compare its port with the proxy's "
            "server lines",
        )
    if all(answer.status is not None and 300 <= answer.status < 400 for answer in came):
        target = plain_text(came[0].headers.get("location", ""), 200)
        return Verdict(
            "no-service",
            False,
            f"{first.url} only redirects to {target!r}",
            "probe that URL, and give it to the users: a redirected Execute is not followed",
        )
    return None


def _hidden_down(seen: Seen, marker: NodeMarker | None) -> Verdict | None:
    """Judge nodes that do not answer, if a security proxy replaces their errors by its own."""
    asked = [a for s in seen.services for a in (*s.answers(), *s.by_node.values())]
    hidden = [answer for answer in asked if answer.hidden and answer.is_gateway_error]
    if not hidden:
        return None
    dead = {node for service in seen.services for node in service.dead_nodes()}
    if marker is not None:
        dead.update(marker.nodes_of(hidden))
    named = f" ({', '.join(sorted(dead))})" if dead else ""
    return Verdict(
        "hidden-down",
        False,
        f"behind a security proxy such as Twitcher, a node does not answer{named}: "
        f"{len(hidden)} of {len(asked)} answers were 400 with an exception report that is not the "
        "service's",
        "start the services on their nodes, and the proxy if all answers are like that; then "
        "probe again",
    )


def _next_if_down(failure: str) -> str:
    if "TLS" in failure:
        return (
            "give the proxy a certificate that clients trust, or make this client trust your "
            "authority (REQUESTS_CA_BUNDLE=file)"
        )
    if "HTTP" in failure or "head" in failure:
        return "the program that listens there is not a web server; check the port"
    if "name" in failure:
        return "check the host's name, and whether this machine's DNS knows it"
    return "start the proxy, or check host and port; nginx -t checks its files"


def _without_evidence(seen: Seen, marker: NodeMarker | None) -> Verdict | None:
    """Judge a proxy if its answers lack the evidence that it promises."""
    published = seen.first.topology
    if published is None or published.evidence is None or len(published.nodes) < 2:
        return None
    if marker is not None and marker.header == published.evidence.lower():
        return None
    return Verdict(
        "stripped",
        None,
        f"the proxy promises the response header {published.evidence}, and no answer has it: "
        "something in front of it, such as Twitcher, removes it. Clients warn, and predict the "
        "node",
        "find out what removes the header, and probe again; if it is Twitcher, let the URLs of "
        "outputs name the node, and probe an output, which does not pass Twitcher",
    )


def _without_marker(first: ServiceSeen) -> Verdict:
    """Judge a proxy whose answers do not identify nodes."""
    came = first.arrived()
    published = first.topology
    if published is not None and len(published.nodes) == 1:
        return _SINGLE_NODE
    if all(answer.status in {401, 403} for answer in came):
        return Verdict(
            "cannot-tell",
            None,
            f"{first.url} asks for credentials, and a probe sends none; its refusals do not "
            "show the node",
            "probe a public service, or from a host that has access; a rendered proxy names the "
            "node in refusals, too",
        )
    if all(answer.status != 200 for answer in came):
        return Verdict(
            "no-service",
            False,
            f"{first.url} answers {_statuses(came)}, and not as a service",
            "check the URL: use the scheme, port and path that users type, as in .../wps",
        )
    if not any("nginx" in answer.headers.get("server", "").lower() for answer in came):
        return Verdict(
            "not-nginx",
            False,
            f"the server here is not nginx, but {server_of(came[0])}; its answers do not tell one "
            "node from another",
            "give the proxy's URL, not a node's own; a proxy of another kind needs a topology "
            "and its nodes' addresses (see the manual on the direct route)",
        )
    return Verdict(
        "cannot-tell",
        None,
        "nginx answers, and its answers do not show which node gave them: this may be the "
        "manual's plain proxy, or one without a hash",
        "check its files (pavics-affinity check), or probe the URL of an output, which only "
        "one node has; for a proxy that names the node, render it (pavics-affinity render)",
    )


# ---- the answers identify nodes ----


def _by_nodes(seen: Seen, marker: NodeMarker) -> Verdict:
    """Judge by the nodes that got the requests with ids, and with keys that name a node."""
    first = seen.first
    published = first.topology
    if not marker.keeps(first.by_id):
        return _of_moved_ids(seen, marker)
    if published is not None and published.proxy == "strict":
        return _of_strict(seen, marker)
    if len(marker.nodes_of(first.with_ids())) < 2:
        return _of_one_node(seen, marker)
    if are_together(seen, marker) is False:
        return Verdict(
            "apart",
            False,
            "each service keeps an id on one node, but the services use different nodes: a chain "
            "that goes from one service to the other loses its files",
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
            "clients cannot use the document that the proxy publishes for this URL: give the "
            "service the URL that users type, or an alias, in the topology, and render again"
        )
    return Verdict("plain", True, words, step)


def _of_moved_ids(seen: Seen, marker: NodeMarker) -> Verdict:
    first = seen.first
    for name, by_id in first.by_spelling.items():
        if marker.keeps(by_id) and any(marker.nodes_of(answers) for answers in by_id.values()):
            return _of_other_header(seen.header, name)
    failed = [answer for answer in first.answers() if answer.is_gateway_error]
    words = f"the header {seen.header} does not reach the hash: requests with one id go to "
    words += ", ".join(marker.nodes_of(first.answers()))
    if failed:
        return Verdict(
            "nodes-down",
            False,
            f"{words}; {len(failed)} answers were 502, 503 or 504",
            "start the node that does not answer: by default nginx moves its ids to others "
            "(max_fails=0 and proxy_next_upstream off keep them); then probe again",
        )
    return Verdict(
        "no-hash",
        False,
        words,
        f"write 'hash {_variable(seen.header)};' into each upstream block, and check that nothing "
        "in front of nginx drops the header; pavics-affinity check finds the line",
    )


def _of_other_header(header: str, used: str) -> Verdict:
    words = f"the hash is over {_variable(used)}: it uses the header {used}, not {header}"
    if "_" in header or "-" in used:
        dropped = header if "_" in header else used.replace("-", "_")
        words += f"; nginx drops a header {dropped} because of its underscore"
    wanted = header.replace("_", "")
    return Verdict(
        "other-header",
        False,
        words,
        f"write 'hash {_variable(wanted)};' into each upstream block, as clients send {wanted}; "
        f"until then, Workflow(header={used!r}) works",
    )


def _of_one_node(seen: Seen, marker: NodeMarker) -> Verdict:
    first = seen.first
    published = first.topology
    if published is not None and len(published.nodes) == 1:
        return _SINGLE_NODE
    node = marker.nodes_of(first.with_ids())
    others = marker.nodes_of(first.without)
    if not node:
        return Verdict(
            "cannot-tell",
            None,
            f"no answer to a request with an id shows its node, although others do, by "
            f"{marker.describe()}",
            "look up the requests with an id in the proxy's log; then probe again",
        )
    words = f"all {len(first.by_id)} ids went to {node[0]}"
    if others and others != node:
        return Verdict(
            "one-node",
            False,
            f"{words}, and requests without one to {', '.join(others)}",
            "the ids are not spread: check the hash and the servers' weights "
            "(pavics-affinity check)",
        )
    return Verdict(
        "one-node",
        None,
        f"{words}, and so did requests without one: there is one node, or the hash is over "
        "something else, such as the client's address, or the URL itself names its node",
        "if there are more nodes, probe the service's own URL, check the hash, and whether they "
        "are up (pavics-affinity check)",
    )


def _of_strict(seen: Seen, marker: NodeMarker) -> Verdict:
    dead = {node for service in seen.services for node in service.dead_nodes()}
    if dead:
        return Verdict(
            "node-down",
            False,
            f"a strict proxy, and {', '.join(sorted(dead))} behind it does not answer: "
            "workflows of that node wait, and no other node gets their requests",
            "start the node again; or, to remove it, drain it and take it out of the topology",
        )
    lost = any(misled(service, marker) for service in seen.services)
    refused = seen.first.unknown is not None and seen.first.unknown.is_misdirected
    if lost or not refused:
        what = "a node does not lead there" if lost else "an unknown node is not refused"
        return Verdict(
            "not-strict",
            False,
            f"the document says strict, but a key that names {what}: the document does not match "
            "the configuration that nginx runs",
            "render again, nginx -t, reload; and check that the header reaches nginx unchanged",
        )
    missing = [service.url for service in seen.services if service.topology is None]
    if missing:
        return Verdict(
            "apart",
            False,
            f"a strict proxy, but {', '.join(missing)} is not in the document: clients cannot name "
            "their node there",
            "add the service to the topology, render, reload",
        )
    return Verdict(
        "strict",
        True,
        "an id's requests all go to one node, a key that names a node goes to that node only, and "
        "the service's URL is all that clients need",
        "nothing to do",
    )


def _variable(header: str) -> str:
    return f"$http_{header.lower().replace('-', '_')}"


def _statuses(answers: Iterable[Answer]) -> str:
    return ", ".join(sorted({str(answer.status) for answer in answers}))
