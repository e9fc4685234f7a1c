"""What it means where the requests went, where the answers tell."""

from __future__ import annotations

import itertools

from .findings import are_together, astray, dead
from .judgement import SINGLE_NODE, Judgement
from .seen import Seen
from .telltale import Telltale, is_kept, places


def of_places(seen: Seen, telltale: Telltale) -> Judgement:
    """Judge by where the ids, and the keys that name a node, went."""
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
        return SINGLE_NODE
    node = places(telltale, itertools.chain(*first.by_id.values()))
    others = places(telltale, first.without)
    if not node:
        return Judgement(
            "cannot-tell",
            None,
            f"no answer to a request with an id tells its node, while others do by "
            f"{telltale.in_words()}",
            "look at what the answers to requests with an id are (the proxy's log); then probe "
            "again",
        )
    words = f"all {len(first.by_id)} ids went to {node[0]}"
    if others and others != node:
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
