"""Rules on one upstream: who chooses among its servers."""

from __future__ import annotations

from ..statements import Statement
from .findings import Findings, finding
from .pools import Pool
from .servers import refused
from .site import Site

_HASH = "hash $http_machineid;"
_BY_METHOD = {
    "ip_hash": "ip_hash chooses by the client's address: everybody behind one gateway shares a "
    "node, and what a service itself fetches comes from another address and another node",
    "least_conn": "least_conn chooses the least busy node, whoever asks",
    "least_time": "least_time chooses the fastest node, whoever asks",
    "random": "random chooses any node",
}
# Beside these methods nginx refuses backups.
_WITHOUT_BACKUP = ("hash", "ip_hash", "random")


def upstream_findings(site: Site) -> Findings:
    """Check each upstream by itself."""
    if not site.all_pools and site.statements:
        yield finding(
            "no-upstream",
            "error",
            site.statements[0],
            "there is no upstream in these files: all requests go to one place, or the upstreams "
            "are in files that were not given",
            f"give the files with the upstreams; if there are none, write one for each service, "
            f"with '{_HASH}' and a server line for each node",
        )
    seen: dict[str, Pool] = {}
    for pool in site.all_pools:
        first = seen.setdefault(pool.name.lower(), pool)
        if first is not pool:
            yield refused(
                pool.statement,
                f"upstream {pool.name!r} is there already, in {first.statement.where}",
                "rename one, or take it away",
            )
            continue
        yield from _refused_as_a_whole(pool)
        yield from _backups(pool)
        yield from _methods(pool)
        yield from _without_hash(pool, site)


def _refused_as_a_whole(pool: Pool) -> Findings:
    if not pool.lines:
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
    yield finding(
        "several-methods",
        "warning" if last.name == "hash" else "error",
        last,
        f"upstream {pool.name!r} has {', '.join(texts)}: the last one decides, and 'nginx -t' only "
        "warns ('load balancing method redefined'). "
        + (
            _BY_METHOD[last.name] + ": chains break"
            if last.name != "hash"
            else "Nothing changes as long as they are the same"
            if same
            else "Whoever reads or moves the lines gets another placement than they think"
        ),
        "keep one hash line, and take the others away",
    )


def _without_hash(pool: Pool, site: Site) -> Findings:
    if len(pool.lines) < 2 or pool.problem or pool.name.lower() in site.node_pools:
        return
    if any(method.name == "hash" for method in pool.methods):
        return  # decided otherwise, or by a hash
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
        f"{condition}Upstream {pool.name!r} has no hash: {how}. The steps of a chain run on "
        f"{len(pool.lines)} nodes, and one step does not find the files of another, except by luck",
        f"write '{_HASH}' into the upstream, before its server lines",
    )
