"""Rules on a single upstream, and on what chooses between upstreams."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..nginx.maps import variables_in
from ..nginx.upstreams import WITHOUT_BACKUPS, Upstream
from .rules import Finding, Findings, finding, listed
from .servers import refused
from .site import Choice, Site
from .unjudged import CHECK_THE_RESULT, is_unknown

_HASH = "hash $http_machineid;"
_WPS = re.compile(r"twitcher|wps|ows")
_ANYWHERE = (
    "The steps of a chain run on several nodes, and one step does not find the files of another, "
    "except by luck"
)
# What an upstream does by the directive that decides; the block itself if there is none.
_EFFECTS = {
    "upstream": f"nginx gives each request to the next node in turn. {_ANYWHERE}",
    "ip_hash": "ip_hash chooses by the client's address. All users behind one gateway share a "
    "node, and what a service itself fetches comes from another address and another node. A step "
    "that is sent from another address runs on another node, and does not find the files of the "
    "first",
    "least_conn": f"least_conn chooses the least busy node, whichever workflow asks. {_ANYWHERE}",
    "least_time": f"least_time chooses the fastest node, whichever workflow asks. {_ANYWHERE}",
    "random": f"random chooses any node. {_ANYWHERE}",
}


def upstream_findings(site: Site) -> Findings:
    """Check each upstream, and what chooses between them."""
    yield from _nothing_balances(site)
    for upstream in site.all_upstreams:
        is_second = site.upstreams[upstream.name.lower()] is not upstream
        if is_second and not site.is_template(upstream.statement.file):
            yield refused(upstream.refusals[0])
            continue
        # Server lines have their own rules.
        lines = {line.statement for line in upstream.lines}
        own = upstream.refusals[1:] if is_second else upstream.refusals
        yield from (refused(each) for each in own if each.statement not in lines)
        yield from _backups(upstream)
        yield from _methods(upstream)
        yield from _sticky(upstream, site)
        yield from _without_hash(upstream, site)
    for choice in site.choices:
        yield from _chosen(choice, site)


def _nothing_balances(site: Site) -> Findings:
    every = site.all_upstreams
    if any(upstream.hashed is not None or upstream.chooses(site.resolve) for upstream in every):
        return
    if any(upstream.balancer or not upstream.lines for upstream in every):
        return  # reported by other rules
    if site.is_incomplete or any(
        is_unknown(passed.unknown, passed.statement, site) for passed in site.proxy_passes
    ):
        return  # the same
    if site.choices:
        return  # between upstreams
    if site.is_tree and site.proxy_passes and not site.streams.blocks:
        yield _where_one_would_go(site)
        return
    what = (
        "no upstream in these files has more than one server to choose from"
        if every
        else "there is no upstream in these files"
        if not site.streams.blocks
        else "these files balance only TCP connections, in which nginx sees no header"
    )
    yield finding(
        "no-upstream",
        site.place,
        f"{what}: nothing sends the requests of a workflow to its node. All requests to a service "
        "go to one place, or the upstreams are in files that were not given",
        f"give the files with the upstreams; if there are none, write one for each service, "
        f"with '{_HASH}' and a server line for each node",
    )


def _where_one_would_go(site: Site) -> Finding:
    """Report where a site with one machine would begin to balance."""
    passed = max(
        site.proxy_passes,
        key=lambda each: len(_WPS.findall(" ".join([each.place, *map(str, each.targets)]))),
    )
    targets = listed(dict.fromkeys(each.host for each in passed.targets))
    return finding(
        "no-upstream",
        passed.statement,
        f"there is no upstream in this tree, as on a site with one machine: requests in "
        f"{passed.place} go to {targets}, and there is nothing to balance",
        "nothing, if one machine runs the services. With several, write an upstream with "
        f"'{_HASH}' and a server line for each machine into a file that the http block includes, "
        "and pass requests to it, here or behind the gateway that asks the services; "
        "'pavics-affinity render --style birdhouse' writes a component of birdhouse-deploy",
        severity="note",
    )


# ---- what chooses the server ----


def _backups(upstream: Upstream) -> Findings:
    order = {line: number for number, line in enumerate(upstream.statement.block)}
    choosing = [line for line in upstream.methods if line.name in WITHOUT_BACKUPS]
    for line in upstream.lines:
        if not line.has("backup"):
            continue
        before = [method for method in choosing if order[method] < order[line.statement]]
        if before:
            yield finding(
                "backup",
                line.statement,
                f"'backup' after '{before[0].name}': nginx refuses the file ('balancing method "
                'does not support parameter "backup"\')',
                "remove 'backup': a node that replaces another one does not have its files",
            )
        elif upstream.hashed is not None:
            yield finding(
                "backup",
                line.statement,
                f"when all other servers of {upstream.name!r} have failed, every workflow "
                "continues on this backup, which has none of its files: users see 'file not "
                "found'",
                "remove 'backup': an error is clearer than answers of a wrong node",
                severity="warning",
            )


def _methods(upstream: Upstream) -> Findings:
    if len(upstream.methods) < 2 or all(method.name != "hash" for method in upstream.methods):
        return
    last = upstream.methods[-1]
    texts = ["'" + " ".join([method.name, *method.args]) + ";'" for method in upstream.methods]
    what = f"upstream {upstream.name!r} has {', '.join(texts)}"
    if upstream.is_template:
        yield finding(
            "not-judged",
            last,
            f"{what}, and the template decides which one is used. Whether the steps of a chain "
            "stay on one node was not checked",
            CHECK_THE_RESULT,
            severity="warning",
        )
        return
    if last.name != "hash":
        effect = _EFFECTS[last.name]
    elif len(set(texts)) == 1:
        effect = "Nothing changes as long as they are the same"
    else:
        effect = "A person who reads or moves the lines expects another placement"
    yield finding(
        "several-methods",
        last,
        f"{what}: the last one decides, and 'nginx -t' only warns ('load balancing method "
        f"redefined'). {effect}",
        "keep one hash line, and remove the others",
        severity="warning" if last.name == "hash" else "error",
    )


def _sticky(upstream: Upstream, site: Site) -> Findings:
    line = upstream.sticky
    if line is None or (len(upstream.choices) < 2 and not upstream.incomplete):
        return
    named = variables_in(" ".join(line.args[1:]))
    if line.args[:1] == ("route",) and not any(map(site.sources, named)):
        return  # by the machineid
    hashed = upstream.hashed is not None
    effect = (
        "the hash. A client that sends the session's cookie, route or address stays on the node of "
        "an earlier request, whatever machineid it sends now. A workflow is then on another node "
        "than its key says"
        if hashed
        else "all methods, and ignores the machineid. A client that does not send the session's "
        "cookie or route can be sent to any node at each request. OWSLib keeps no cookies"
    )
    yield finding(
        "sticky",
        line,
        f"'{line.text};' in upstream {upstream.name!r} decides before {effect}",
        f"remove it{'' if hashed else f', and write {_HASH!r}'}",
    )


def _without_hash(upstream: Upstream, site: Site) -> Findings:
    if not upstream.chooses(site.resolve) or upstream.name.lower() in site.node_upstreams:
        return
    if upstream.statement.named("hash") or upstream.sticky or upstream.of_other_modules:
        return  # a hash decides, or other rules report it
    if upstream.incomplete and not upstream.methods:
        return  # a template may fill a method in
    ours = not site.services or any(
        server.host.lower() in site.hosts for server in upstream.servers
    )
    condition = "If each of its servers has its own files, as in a WPS, this breaks chains. "
    yield finding(
        "no-hash",
        upstream.method,
        f"{'' if ours else condition}Upstream {upstream.name!r} has no hash: "
        f"{_EFFECTS[upstream.method.name]}",
        f"write '{_HASH}' into the upstream, before its server lines",
        severity="error" if ours else "warning",
    )


# ---- what chooses between upstreams ----


def _chosen(choice: Choice, site: Site) -> Findings:
    """Report requests of one workflow that can go to several targets."""
    named = {each: site.upstream_of(each) for each in choice.targets}
    services = [each for each in named.values() if each is not None and site.is_service(each)]
    others = [target for target, each in named.items() if not site.is_service(each)]
    if not others:
        return  # the rules on services against each other compare them
    statement = choice.passed.statement
    targets = listed(dict.fromkeys(str(target) for target in others))
    if not choice.deciders:
        yield from _split_by_the_id(choice, services, targets, site)
        return
    what = f"'{statement.text};' in {choice.passed.place}: " + listed(
        f"${name}" for name in choice.deciders
    )
    if services:
        yield finding(
            "bypass",
            statement,
            f"{what} sends requests to {targets}, which bypasses the hash of "
            f"{services[0].name!r}. The files that a workflow wrote through the hash are not found "
            "there, and vice versa",
            f"pass all requests to {services[0].name!r}; or choose by the machineid, the same for "
            "all services: 'split_clients $http_machineid ...'",
        )
        return
    yield finding(
        "no-hash",
        statement,
        f"{what} chooses between {targets}, and the machineid does not. Steps of one chain can go "
        "to each of them, and one step does not find the files of another",
        f"write one upstream with 'hash {site.variable};' and a server line for each node; or "
        "choose by the machineid",
    )


def _split_by_the_id(
    choice: Choice, services: Sequence[Upstream], targets: str, site: Site
) -> Findings:
    deciders = {name for target in choice.targets for name in target.deciders}
    if not services or len(site.services) < 2 or all(map(site.sources, deciders)):
        return
    statement = choice.passed.statement
    yield finding(
        "bypass",
        statement,
        f"'{statement.text};' in {choice.passed.place}: the machineid decides whether a workflow "
        f"goes to {targets} or by the hash of {services[0].name!r}. If other services do not "
        "divide the ids in the same way, to the same machines, chains that cross services break",
        "divide all services that chains cross in the same way",
        severity="warning",
    )
