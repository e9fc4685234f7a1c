"""The findings of a probe: what its answers show, point by point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .seen import Answer, ByKey, NodeMarker, Seen, ServiceSeen, plain_text


class ProbeFinding(NamedTuple):
    """One point of a probe."""

    name: str  # the subject
    good: bool | None  # None if it is neither good nor bad, or unknown
    words: str  # what was seen


def find_all(seen: Seen, marker: NodeMarker | None) -> tuple[ProbeFinding, ...]:
    """Return the findings for what was seen."""
    first = seen.first
    findings = [_up(first), _document(first)]
    if findings[0].good is not False or marker is not None:
        findings.append(_evidence(seen, marker))
    if marker is not None:
        findings += [
            _header(seen.header, first.by_id, marker),
            _without(first.without, marker),
            _link("query key", first.by_query, first.by_id, marker),
        ]
        if first.by_path:
            findings.append(_link("path key", first.by_path, first.by_id, marker))
        findings += [_header(name, answers, marker) for name, answers in first.by_spelling.items()]
        findings += [_named(s, marker, seen) for s in seen.services if s.by_node]
    if len(seen.services) > 1 and (marker is None or marker.keeps(first.by_id)):
        findings.append(_together(seen, marker))
    return tuple(findings)


# ---- also for the verdict ----


def misled(service: ServiceSeen, marker: NodeMarker) -> dict[str, str | None]:
    """Return the nodes that keys named without reaching them, each with the one that answered."""
    found = {node: marker.node_of(answer) for node, answer in service.by_node.items()}
    return {node: other for node, other in found.items() if other != node}


def are_together(seen: Seen, marker: NodeMarker | None) -> bool | None:
    """Return whether each id has one node on all services; None if the answers do not show it."""
    if marker is None or not marker.names_nodes:
        return None
    rows = [_machines(service, marker) for service in seen.services]
    machines = [set(row.values()) for row in rows]
    if any(not row or not machines[0] & found for row, found in zip(rows, machines, strict=True)):
        return None  # the services name their nodes differently
    ids = set.intersection(*(set(row) for row in rows))
    return all(len({row[key] for row in rows}) == 1 for key in ids) if ids else None


def _machines(service: ServiceSeen, marker: NodeMarker) -> dict[str, str]:
    """Return each id's machine: an address without its port, which differs between services."""
    by_id = {key: marker.nodes_of(answers) for key, answers in service.by_id.items()}
    found = {key: nodes[0] for key, nodes in by_id.items() if nodes}
    hosts = {node: node.rpartition(":")[0] or node for node in found.values()}
    if len(set(hosts.values())) < len(hosts):
        return found  # several nodes on one machine differ by port only
    return {key: hosts[node] for key, node in found.items()}


def server_of(answer: Answer) -> str:
    """Return the ``Server`` header of an answer."""
    return plain_text(answer.headers.get("server", "")) or "a server without a name"


# ---- one finding each ----


def _up(service: ServiceSeen) -> ProbeFinding:
    answers, came = service.answers(), service.arrived()
    if not came:
        return ProbeFinding("up", False, f"no: {answers[0].failure}")
    words = f"{server_of(came[0])} answers {_counted(answer.said for answer in came)}"
    if len(came) < len(answers):
        words += f", and {len(answers) - len(came)} of {len(answers)} requests not at all"
    if any(answer.is_wps for answer in came):
        words += ", as a WPS"
    fine = all(
        answer.status is not None and answer.status < 500 and not answer.is_gateway_error
        for answer in answers
    )
    return ProbeFinding("up", fine, words)


def _document(service: ServiceSeen) -> ProbeFinding:
    document = service.document
    if document.trouble:
        return ProbeFinding("document", False, plain_text(document.trouble, 300))
    if document.topology is None:
        return ProbeFinding("document", None, "none: the proxy publishes nothing for clients")
    found = document.topology
    words = f"{_number(found.nodes, 'node')}, {_number(found.services, 'service')}, {found.proxy}"
    if service.topology is None:
        return ProbeFinding("document", False, f"{words}; but it does not contain this URL")
    return ProbeFinding("document", True, words)


def _evidence(seen: Seen, marker: NodeMarker | None) -> ProbeFinding:
    promised = seen.evidence
    if promised and (marker is None or marker.header != promised.lower()):
        return ProbeFinding("evidence", False, f"no answer has the header {promised}")
    if marker is None:
        return ProbeFinding("evidence", None, "none: no answer shows which node gave it")
    return ProbeFinding("evidence", marker.names_nodes or None, marker.describe())


def _header(name: str, by_id: ByKey, marker: NodeMarker) -> ProbeFinding:
    each = max(map(len, by_id.values()), default=0)
    kept = marker.keeps(by_id)
    counts = Counter(node for answers in by_id.values() for node in marker.nodes_of(answers))
    if not counts:
        return ProbeFinding(f"header {name}", None, "no answer to a bare id shows its node")
    if kept:
        spread = ", ".join(f"{node}: {count}" for node, count in sorted(counts.items()))
        words = f"each of {len(by_id)} ids stayed on its node, {each} requests each ({spread})"
    else:
        moved = [answers for answers in by_id.values() if len(marker.nodes_of(answers)) > 1]
        shown = " ".join(str(marker.node_of(answer)) for answer in moved[0])
        words = f"{len(moved)} of {len(by_id)} ids went to several nodes, one of them to {shown}"
    return ProbeFinding(f"header {name}", kept, words)


def _without(answers: Sequence[Answer], marker: NodeMarker) -> ProbeFinding:
    nodes = marker.nodes_of(answers)
    words = f"{len(answers)} requests went to {', '.join(nodes) or 'no known node'}"
    if len(nodes) > 1:
        words += ": any node may answer"
    return ProbeFinding("no header", None, words)


def _link(name: str, by_key: ByKey, by_id: ByKey, marker: NodeMarker) -> ProbeFinding:
    obeyed = all(
        marker.nodes_of(answers) == marker.nodes_of(by_id[key]) for key, answers in by_key.items()
    )
    words = "leads to the id's node, as the header does" if obeyed else "has no effect"
    return ProbeFinding(name, obeyed or None, words)


def _named(service: ServiceSeen, marker: NodeMarker, seen: Seen) -> ProbeFinding:
    lost, dead = misled(service, marker), service.dead_nodes()
    parts = []
    good = [node for node in service.by_node if node not in lost and node not in dead]
    if good:
        parts.append(f"keys that name {', '.join(good)} went there")
    parts += [f"{node} does not answer ({service.by_node[node].said})" for node in dead]
    parts += [
        f"a key that names {node} went to {other or 'an unknown node'}"
        for node, other in lost.items()
        if node not in dead
    ]
    whole = service.topology
    if whole is not None and len(service.by_node) < len(whole.nodes):
        parts.append(f"asked for {len(service.by_node)} of {len(whole.nodes)}")
    refused = service.unknown is None or service.unknown.is_misdirected
    if service.unknown is not None:
        how = "is refused" if refused else f"is answered {service.unknown.said}"
        parts.append(f"an unknown one {how}")
    where = "" if service is seen.first else f"at {service.url}: "
    return ProbeFinding("node names", not lost and not dead and refused, where + "; ".join(parts))


def _together(seen: Seen, marker: NodeMarker | None) -> ProbeFinding:
    together = are_together(seen, marker)
    count = len(seen.services)
    words = {
        True: f"the ids have the same node on all {count} services",
        False: f"the {count} services put ids on different nodes",
        None: f"the answers do not show whether the {count} services agree",
    }[together]
    if together is False and all(service.topology is not None for service in seen.services):
        words += "; keys that name their node are unaffected"
        return ProbeFinding("together", None, words)
    return ProbeFinding("together", together, words)


def _number(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _counted(values: Iterable[str]) -> str:
    counts: Mapping[str, int] = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count}x)" for value, count in counts.items())
