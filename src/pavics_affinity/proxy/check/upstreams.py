"""Rules on one upstream: who chooses among its servers."""

from __future__ import annotations

from ..nginx.maps import variables_in
from ..nginx.statements import Statement
from .choices import site_choices, sources_of
from .findings import Findings, finding
from .pools import Pool
from .servers import refused
from .site import Site
from .unjudged import is_unknown

_HASH = "hash $http_machineid;"
_BY_METHOD = {
    "ip_hash": "ip_hash chooses by the client's address: everybody behind one gateway shares a "
    "node, and what a service itself fetches comes from another address and another node",
    "least_conn": "least_conn chooses the least busy node, whoever asks",
    "least_time": "least_time chooses the fastest node, whoever asks",
    "random": "random chooses any node",
}
_ANYWHERE = (
    "The steps of a chain run on several nodes, and one step does not find the files of another, "
    "except by luck"
)
_BY_ADDRESS = (
    "A step that is sent from another address runs on another node, and does not find the files of "
    "the first"
)
# Beside these methods nginx refuses backups.
_WITHOUT_BACKUP = ("hash", "ip_hash", "random")


def upstream_findings(site: Site) -> Findings:
    """Check each upstream by itself."""
    yield from _nothing_balances(site)
    seen: dict[str, Pool] = {}
    for pool in site.all_pools:
        first = seen.setdefault(pool.name.lower(), pool)
        if first is not pool and not site.fills_in(pool.statement.file):
            yield refused(
                pool.statement,
                f"upstream {pool.name!r} is there already, in {first.statement.where}",
                "rename one, or take it away",
            )
            continue
        yield from _refused_as_a_whole(pool)
        yield from _backups(pool)
        yield from _methods(pool)
        yield from _sticky(pool, site)
        yield from _without_hash(pool, site)


def _refused_as_a_whole(pool: Pool) -> Findings:
    if not pool.lines and not pool.incomplete and pool.first("state") is None:
        yield refused(
            pool.statement,
            f"upstream {pool.name!r} has no server",
            "add a line for each node, such as 'server 10.0.0.1:8093;'",
        )
    elif not pool.choices and pool.servers:
        yield refused(
            pool.statement,
            f"upstream {pool.name!r} has backups only",
            "take 'backup' from at least one of its servers",
        )
    if pool.problem:
        yield refused(pool.method, pool.problem, f"write '{_HASH}'")


# ---- who chooses ----


def _backups(pool: Pool) -> Findings:
    choosing = [line for line in pool.methods if line.name in _WITHOUT_BACKUP]
    for line in pool.lines:
        if not line.has("backup"):
            continue
        before = [method for method in choosing if _stands_before(pool, method, line.statement)]
        if before:
            yield finding(
                "backup",
                "error",
                line.statement,
                f"'backup' after '{before[0].name}': nginx refuses the file ('balancing method "
                'does not support parameter "backup"\')',
                "take 'backup' away: a node that stands in for another does not have its files",
            )
        elif pool.hashed is not None:
            yield finding(
                "backup",
                "warning",
                line.statement,
                f"when all other servers of {pool.name!r} have failed, every workflow goes on at "
                "this backup, where none of its files are: users see 'file not found'",
                "take 'backup' away: an error says more than a wrong node",
            )


def _stands_before(pool: Pool, method: Statement, line: Statement) -> bool:
    order = [id(each) for each in pool.statement.block]
    return order.index(id(method)) < order.index(id(line))


def _methods(pool: Pool) -> Findings:
    if len(pool.methods) < 2 or all(method.name != "hash" for method in pool.methods):
        return
    last = pool.methods[-1]
    texts = ["'" + " ".join([method.name, *method.args]) + ";'" for method in pool.methods]
    same = len(set(texts)) == 1
    if pool.is_template:
        yield finding(
            "not-judged",
            "warning",
            last,
            f"upstream {pool.name!r} has {', '.join(texts)}, and the template decides which. "
            "Whether the steps of a chain stay on one node was not checked",
            "check the file that the template makes ('nginx -T' prints it)",
        )
        return
    yield finding(
        "several-methods",
        "warning" if last.name == "hash" else "error",
        last,
        f"upstream {pool.name!r} has {', '.join(texts)}: the last one decides, and 'nginx -t' only "
        "warns ('load balancing method redefined'). "
        + (
            f"{_BY_METHOD[last.name]}. {_BY_ADDRESS if last.name == 'ip_hash' else _ANYWHERE}"
            if last.name != "hash"
            else "Nothing changes as long as they are the same"
            if same
            else "Whoever reads or moves the lines gets another placement than they think"
        ),
        "keep one hash line, and take the others away",
    )


def _nothing_balances(site: Site) -> Findings:
    if any(pool.hashed is not None or pool.chooses(site.resolve) for pool in site.all_pools):
        return
    if any(pool.balancer or not pool.lines for pool in site.all_pools):
        return  # findings of their own
    if site.is_incomplete or any(
        is_unknown(passing.unknown, passing.file, site) for passing in site.passings
    ):
        return  # the same
    if any(True for _ in site_choices(site)):
        return  # between upstreams
    what = (
        "no upstream in these files has more than one server to choose from"
        if site.all_pools
        else "there is no upstream in these files"
        if not site.tcp.servers and not site.tcp.upstreams
        else "what balances in these files is TCP connections, in which nginx sees no header"
    )
    yield finding(
        "no-upstream",
        "error",
        site.place,
        f"{what}: nothing sends the requests of a workflow to its node. All requests to a service "
        "go to one place, or the upstreams are in files that were not given",
        f"give the files with the upstreams; if there are none, write one for each service, "
        f"with '{_HASH}' and a server line for each node",
    )


def _sticky(pool: Pool, site: Site) -> Findings:
    line = pool.sticky
    if line is None or (len(pool.choices) < 2 and not pool.incomplete):
        return
    named = variables_in(" ".join(line.args[1:]))
    if line.args[:1] == ("route",) and not any(
        sources_of(name, site.maps, site.header) for name in named
    ):
        return  # by the machineid
    hashed = pool.hashed is not None
    yield finding(
        "sticky",
        "error",
        line,
        f"'{line.text};' in upstream {pool.name!r} decides before "
        + (
            "the hash: a client that keeps cookies, or what else it goes by, stays on the node of "
            "an earlier request, whatever machineid it sends now. A workflow is then on another "
            "node than its key leads to"
            if hashed
            else "everything else, and does not look at the machineid: a client without the "
            "cookie, or what else it goes by, can be sent to any node at each request. OWSLib "
            "keeps no cookies"
        ),
        f"take it away{'' if hashed else f', and write {_HASH!r}'}",
    )


def _without_hash(pool: Pool, site: Site) -> Findings:
    if not pool.chooses(site.resolve) or pool.problem or pool.name.lower() in site.node_pools:
        return
    if any(method.name == "hash" for method in pool.methods) or pool.sticky or pool.strange:
        return  # decided otherwise, or by a hash
    if pool.incomplete and not pool.methods:
        return  # a method may be filled in
    shared = sorted({server.host for server in pool.servers if server.host.lower() in site.hosts})
    ours = bool(shared) or not site.services
    how = (
        _BY_METHOD[pool.method.name]
        if pool.methods
        else "nginx gives each request to the next node in turn"
    )
    condition = (
        ""
        if ours
        else "If its servers keep files of their own, as those of a WPS do, this breaks chains. "
    )
    yield finding(
        "no-hash",
        "error" if ours else "warning",
        pool.method,
        f"{condition}Upstream {pool.name!r} has no hash: {how}. "
        f"{_BY_ADDRESS if pool.method.name == 'ip_hash' else _ANYWHERE}",
        f"write '{_HASH}' into the upstream, before its server lines",
    )
