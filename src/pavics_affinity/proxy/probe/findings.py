"""What was seen, point by point, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .seen import Answer, ByKey, Seen, ServiceSeen
from .telltale import Telltale, is_kept, places


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
        What.
    good : bool or None
        None where it is neither good nor bad, or cannot be told.
    words : str
        What was seen.
    """

    name: str
    good: bool | None
    words: str


def find_all(seen: Seen, telltale: Telltale | None) -> tuple[Finding, ...]:
    """Put into words what was seen.

    Parameters
    ----------
    seen : Seen
        As `ask` brought it.
    telltale : Telltale or None
        What tells nodes apart.
    """
    first = seen.first
    findings = [_up(first), _document(first)]
    if findings[0].good is not False or telltale is not None:
        findings.append(_evidence(seen, telltale))
    if telltale is not None:
        findings += [
            _header(seen.header, first.by_id, telltale),
            _without(first.without, telltale),
            _link("query key", first.by_query, first.by_id, telltale),
        ]
        if first.by_path:
            findings.append(_link("path key", first.by_path, first.by_id, telltale))
        findings += [
            _header(name, answers, telltale) for name, answers in first.by_spelling.items()
        ]
    findings += [f for s in seen.services if (f := _named(s, telltale, seen)) is not None]
    if len(seen.services) > 1 and (telltale is None or is_kept(telltale, first.by_id)):
        findings.append(_together(seen, telltale))
    return tuple(findings)


# ---- what the verdict needs, too ----


def astray(service: ServiceSeen, telltale: Telltale) -> dict[str, str | None]:
    """Return who answered instead, by the node that a key named."""
    found = {node: telltale.of(answer) for node, answer in service.by_node.items()}
    return {node: place for node, place in found.items() if place != node}


def dead(service: ServiceSeen) -> list[str]:
    """Return the nodes that did not answer to their name."""
    return [
        node
        for node, answer in service.by_node.items()
        if answer.status is None or answer.is_gateway_error
    ]


def are_together(seen: Seen, telltale: Telltale | None) -> bool | None:
    """Tell whether ids have one node on all services; None where it cannot be told."""
    if telltale is None or not telltale.names_nodes:
        return None
    rows = [_machines(service, telltale) for service in seen.services]
    machines = [set(row.values()) for row in rows]
    if any(not row or not machines[0] & found for row, found in zip(rows, machines, strict=True)):
        return None  # they speak of their nodes in different words
    ids = set.intersection(*(set(row) for row in rows))
    return all(len({row[key] for row in rows}) == 1 for key in ids) if ids else None


def _machines(service: ServiceSeen, telltale: Telltale) -> dict[str, str]:
    """Return each id's machine: of addresses the host, for a node's services differ by port."""
    found = {
        key: place
        for key, answers in service.by_id.items()
        if (place := next(iter(places(telltale, answers)), None)) is not None
    }
    hosts = {place: place.rpartition(":")[0] or place for place in found.values()}
    if len(set(hosts.values())) < len(hosts):
        return found  # several nodes on one machine: only the port tells them apart
    return {key: hosts[place] for key, place in found.items()}


# ---- point by point ----


def _up(service: ServiceSeen) -> Finding:
    answers = list(service.answers())
    came = [answer for answer in answers if answer.status is not None]
    if not came:
        return Finding("up", False, f"no: {answers[0].failure}")
    words = f"{server_of(came[0])} answers {_counted(str(answer.status) for answer in came)}"
    if len(came) < len(answers):
        words += f", and {len(answers) - len(came)} of {len(answers)} requests not at all"
    if any(answer.is_wps for answer in came):
        words += ", as a WPS"
    fine = all(answer.status is not None and answer.status < 500 for answer in answers)
    return Finding("up", fine, words)


def server_of(answer: Answer) -> str:
    """Return what an answer says that it comes from."""
    return _plain(answer.headers.get("server", "")) or "a server without a name"


def _document(service: ServiceSeen) -> Finding:
    document = service.document
    if document.trouble:
        return Finding("document", False, _plain(document.trouble, 300))
    if document.topology is None:
        return Finding("document", None, "none: the proxy publishes nothing for clients")
    found = document.topology
    words = f"{_number(found.nodes, 'node')}, {_number(found.services, 'service')}, {found.proxy}"
    if service.topology is None:
        return Finding("document", False, f"{words}; but it does not speak of this URL")
    return Finding("document", True, words)


def _evidence(seen: Seen, telltale: Telltale | None) -> Finding:
    promised = seen.evidence
    if promised and (telltale is None or telltale.name != promised.lower()):
        return Finding("evidence", False, f"no answer has the header {promised}")
    if telltale is None:
        return Finding("evidence", None, "none: no answer tells which node gave it")
    return Finding("evidence", telltale.names_nodes or None, telltale.in_words())


def _header(name: str, by_id: ByKey, telltale: Telltale) -> Finding:
    each = max(map(len, by_id.values()), default=0)
    kept = is_kept(telltale, by_id)
    where = Counter(place for a in by_id.values() for place in places(telltale, a))
    if not where:
        return Finding(f"header {name}", None, "no answer to a bare id tells its node")
    if kept:
        spread = ", ".join(f"{place}: {count}" for place, count in sorted(where.items()))
        words = f"each of {len(by_id)} ids stayed on its node, {each} requests each ({spread})"
    else:
        moved = [a for a in by_id.values() if len(places(telltale, a)) > 1]
        shown = " ".join(str(telltale.of(answer)) for answer in moved[0])
        words = f"{len(moved)} of {len(by_id)} ids went to several nodes, one of them to {shown}"
    return Finding(f"header {name}", kept, words)


def _without(answers: Sequence[Answer], telltale: Telltale) -> Finding:
    found = places(telltale, answers)
    if len(found) > 1:
        words = f"{len(answers)} requests went to {', '.join(found)}: any node will do"
    else:
        words = f"{len(answers)} requests went to {', '.join(found) or 'nobody'}"
    return Finding("no header", None, words)


def _link(name: str, by_key: ByKey, by_id: ByKey, telltale: Telltale) -> Finding:
    obeyed = all(
        places(telltale, answers) == places(telltale, by_id[key]) for key, answers in by_key.items()
    )
    words = "leads to the id's node, as the header does" if obeyed else "is not heeded"
    return Finding(name, obeyed or None, words)


def _named(service: ServiceSeen, telltale: Telltale | None, seen: Seen) -> Finding | None:
    if not service.by_node or telltale is None:
        return None
    lost, missing = astray(service, telltale), dead(service)
    parts = []
    good = [node for node in service.by_node if node not in lost and node not in missing]
    if good:
        parts.append(f"keys that name {', '.join(good)} went there")
    parts += [f"{node} does not answer ({_status(service.by_node[node])})" for node in missing]
    parts += [
        f"a key that names {node} went to {place or 'nobody knows where'}"
        for node, place in lost.items()
        if node not in missing
    ]
    whole = service.topology
    if whole is not None and len(service.by_node) < len(whole.nodes):
        parts.append(f"asked for {len(service.by_node)} of {len(whole.nodes)}")
    refused = service.unknown is None or service.unknown.status == 421
    if service.unknown is not None:
        how = "is refused" if refused else f"is answered {_status(service.unknown)}"
        parts.append(f"an unknown one {how}")
    where = "" if service is seen.first else f"at {service.url}: "
    return Finding("node names", not lost and not missing and refused, where + "; ".join(parts))


def _together(seen: Seen, telltale: Telltale | None) -> Finding:
    together = are_together(seen, telltale)
    count = len(seen.services)
    words = {
        True: f"the ids have the same node on all {count} services",
        False: f"the {count} services put ids on different nodes",
        None: f"whether the {count} services agree cannot be told from the answers",
    }[together]
    strict = all(service.topology is not None for service in seen.services)
    if together is False and strict:
        return Finding("together", None, f"{words}; keys that name their node are not concerned")
    return Finding("together", together, words)


def _status(answer: Answer) -> str:
    return str(answer.status) if answer.status is not None else answer.failure


def _number(things: Sequence[object], name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _counted(values: Iterable[str]) -> str:
    counts: Mapping[str, int] = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{value} ({count}x)" for value, count in counts.items())


def _plain(text: str, longest: int = 60) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)[:longest]
