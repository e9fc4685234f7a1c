"""Rules on one upstream: its servers, and who chooses among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...errors import NginxConfigError
from ...placement.servers import peers_of
from ..statements import Statement
from ..upstreams import read_listen
from .findings import Finding, Findings, finding, listed
from .site import Pool, ServerLine, Site

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
            yield _refused(
                pool.statement,
                f"upstream {pool.name!r} is there already, in {first.statement.where}",
                "rename one, or take it away",
            )
            continue
        yield from _servers(pool)
        yield from _backups(pool)
        yield from _methods(pool)
        yield from _without_hash(pool, site)
        yield from _twice(pool)
        if pool.hashed is not None:
            yield from _ports(pool)
            yield from _names(pool, site)
    yield from _listens(site)
    yield from _shared(site)


def _refused(statement: Statement, problem: str, remedy: str) -> Finding:
    return finding(
        "refused",
        "error",
        statement,
        f"{problem}: nginx does not start with this file, and on a reload silently goes on with "
        "the old one",
        remedy,
    )


def _servers(pool: Pool) -> Findings:
    for line in pool.lines:
        if line.server is not None:
            continue
        address = line.statement.args[0] if line.statement.args else ""
        port = address.lstrip(":")
        if "$" in address:
            yield _placeholder(line.statement, line.text)
        elif address.startswith(":"):
            yield finding(
                "server-without-host",
                "error",
                line.statement,
                f"'{line.text};' names no host: nginx refuses the file ('no host in upstream'). "
                "Documentation with the addresses taken out prints it like this",
                f"write the node's address before the port: 'server 10.0.0.1:{port};'",
            )
        elif line.problem == "a bare number":
            yield finding(
                "server-without-host",
                "error",
                line.statement,
                f"'{line.text};' names no host: nginx takes the number for the address "
                f"{_as_address(address)}, port 80, and 'nginx -t' is content. Every workflow of "
                "this node waits for a machine that is not there, until it times out",
                f"write the node's address before the port: 'server 10.0.0.1:{address};'",
            )
        else:
            yield _refused(line.statement, line.problem, "write 'server HOST:PORT;'")
    if not pool.lines:
        yield _refused(
            pool.statement,
            f"upstream {pool.name!r} has no server",
            "add a line for each node, such as 'server 10.0.0.1:8093;'",
        )
    elif not pool.choices and pool.servers:
        yield _refused(
            pool.statement,
            f"upstream {pool.name!r} has backups only",
            "take 'backup' from at least one of its servers",
        )
    if pool.problem:
        yield _refused(pool.method, pool.problem, f"write '{_HASH}'")


def _as_address(number: str) -> str:
    value = int(number) & 0xFFFFFFFF
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _placeholder(statement: Statement, text: str) -> Finding:
    return finding(
        "placeholder",
        "error",
        statement,
        f"'{text};': nginx puts no variables in here, least of all those of the environment, and "
        "refuses the file ('host not found')",
        "write the value; or keep the file as a template that envsubst fills in; or let "
        "'pavics-affinity render' write it from a topology",
    )


def _listens(site: Site) -> Findings:
    for front in site.fronts:
        for line in front.statement.named("listen"):
            text = f"listen {' '.join(line.args)}"
            problem = "" if line.args else "'listen' has no port"
            try:
                read_listen(line)
            except NginxConfigError as bad:
                problem = str(bad).removeprefix(f"{line.where}: ")
            if "$" in text:
                yield _placeholder(line, text)
            elif problem:
                yield _refused(line, problem, "write a port such as 8093")


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


# ---- server lines ----


def _twice(pool: Pool) -> Findings:
    seen: dict[tuple[str, int | None], ServerLine] = {}
    for line in pool.lines:
        if line.server is None:
            continue
        first = seen.setdefault((line.server.host.lower(), line.server.port), line)
        if first is not line:
            yield finding(
                "server-twice",
                "note",
                line.statement,
                f"{line.server.text} stands in upstream {pool.name!r} already, in line "
                f"{first.statement.line}: it gets two shares of the workflows; or another node "
                "was meant, and gets none",
                "write 'weight=2' if two shares are meant, and the other node's address if not",
            )


def _ports(pool: Pool) -> Findings:
    ports = Counter(line.server.port for line in pool.lines if line.server is not None)
    hosts = Counter(line.server.host.lower() for line in pool.lines if line.server is not None)
    if len(ports) < 2 or max(hosts.values()) > 1 or pool.servers[0].port is None:
        return
    usual, times = ports.most_common(1)[0]
    if times < 2:
        return
    for line in pool.lines:
        if line.server is not None and line.server.port not in (usual, None):
            yield finding(
                "ports-differ",
                "warning",
                line.statement,
                f"'{line.text};' has port {line.server.port}, and the other servers of "
                f"{pool.name!r} have {usual}: if another service answers there, this node's "
                "workflows get its answers",
                f"write {line.server.host}:{usual}, unless this node is different",
            )


def _names(pool: Pool, site: Site) -> Findings:
    for line in pool.lines:
        server = line.server
        if server is None:
            continue
        if server.at_run_time is not None:
            yield finding(
                "changing-addresses",
                "warning",
                line.statement,
                f"nginx looks {server.host} up again and again: when the answer of DNS changes, "
                f"{'all ids of ' + repr(pool.name) if not _consistent(pool) else 'ids'} can move "
                "to another node, in the middle of chains",
                "write the nodes' addresses, and reload nginx when they change",
            )
            continue
        found = {peer.address for peer in peers_of(server, site.resolve)}
        if len(found) > 1:
            yield _several(pool, line, sorted(map(str, found)))


def _several(pool: Pool, line: ServerLine, addresses: list[str]) -> Finding:
    host = line.server.host if line.server is not None else ""
    if _consistent(pool):
        return finding(
            "several-addresses",
            "error",
            line.statement,
            f"{host} has {len(addresses)} addresses ({listed(addresses)}): under 'consistent' "
            "their requests take turns, also those of one workflow. If these are several machines, "
            "chains break",
            "write one server line for each machine, with its address",
        )
    return finding(
        "several-addresses",
        "warning",
        line.statement,
        f"{host} has {len(addresses)} addresses ({listed(addresses)}), and nginx makes a server of "
        "each, in the order in which DNS gives them at start: if that order changes, or differs "
        "between services, ids move and chains that cross services break",
        "write one server line for each machine, with its address",
    )


def _consistent(pool: Pool) -> bool:
    return pool.hashed is not None and pool.hashed.consistent


def _shared(site: Site) -> Findings:
    """Find a server that is in two services of which each has servers of its own."""
    for i, pool in enumerate(site.services):
        mine = _addresses(pool)
        for other in site.services[:i]:
            theirs = _addresses(other)
            both = mine.keys() & theirs.keys()
            if both and both != mine.keys() and both != theirs.keys():
                for address in sorted(both, key=str):
                    yield finding(
                        "shared-server",
                        "warning",
                        mine[address].statement,
                        f"'{mine[address].text};' is a server of {other.name!r}, too "
                        f"({theirs[address].statement.where}), and their other servers are not: "
                        "part of the workflows get answers of the wrong service",
                        f"look up which of {pool.name!r} and {other.name!r} listens there",
                    )


def _addresses(pool: Pool) -> dict[tuple[str, int | None], ServerLine]:
    return {(s.host.lower(), s.port): line for line in pool.lines if (s := line.server) is not None}


def each_service(site: Site) -> Iterator[Pool]:
    """Yield the services that have something to choose among."""
    return (pool for pool in site.services if len(pool.choices) > 1)
