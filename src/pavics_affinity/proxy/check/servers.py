"""Rules on ``server`` and ``listen`` lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...errors import NginxConfigError
from ...placement.servers import Server, peers_of
from ..nginx.passings import Passing, Target
from ..nginx.statements import Statement, has_placeholder, marks_in
from ..nginx.upstreams import read_listen
from .findings import Finding, Findings, finding, listed
from .pools import Pool, ServerLine
from .site import Site


def server_findings(site: Site) -> Findings:
    """Check each line that names a server, or a port to listen on."""
    for pool in site.pools.values():
        yield from _unusable(pool, site)
        yield from _twice(pool)
        if pool.hashed is not None:
            yield from _ports(pool)
            yield from _names(pool, site)
    yield from _listens(site)
    yield from _marks(site)
    yield from _passed_to_names(site)
    yield from _shared(site)


def refused(statement: Statement, problem: str, remedy: str) -> Finding:
    """Make the finding for a line that nginx refuses."""
    return finding(
        "refused",
        "error",
        statement,
        f"{problem}: nginx does not start with this file, and on a reload silently goes on with "
        "the old one",
        remedy,
    )


def _unusable(pool: Pool, site: Site) -> Findings:
    for line in pool.lines:
        if line.server is not None:
            continue
        address = line.statement.args[0] if line.statement.args else ""
        port = address.lstrip(":")
        if line.is_template:
            yield _placeholder(line.statement, line.text, site)
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
            yield refused(line.statement, line.problem, "write 'server HOST:PORT;'")


def _as_address(number: str) -> str:
    value = int(number[:18]) & 0xFFFFFFFF
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _placeholder(statement: Statement, text: str, site: Site) -> Finding:
    if site.fills_in(statement.file):
        return finding(
            "placeholder",
            "note",
            statement,
            f"'{text};' was not checked: the template is filled in before nginx reads it",
            "check the file that it makes ('nginx -T' in the container prints it)",
        )
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
            if has_placeholder(line):
                yield _placeholder(line, text, site)
            elif problem:
                yield refused(line, problem, "write a port such as 8093")


def _marks(site: Site) -> Findings:
    """Find what stands for whole directives, once for each file."""
    by_file: dict[str, list[Statement]] = {}
    for mark in [*marks_in(site.statements), *_variable_includes(site.statements)]:
        by_file.setdefault(mark.file, []).append(mark)
    for marks in by_file.values():
        names = listed(dict.fromkeys(f"'{mark.text}'" for mark in marks))
        if site.fills_in(marks[0].file):
            yield finding(
                "placeholder",
                "note",
                marks[0],
                f"{names}: what the template is filled in with there was not checked, the rest was",
                "check the file that it makes ('nginx -T' in the container prints it)",
            )
        else:
            yield finding(
                "placeholder",
                "error",
                marks[0],
                f"{names}: nginx knows no variables that stand for directives or files, least of "
                "all those of the environment, and refuses the file",
                "write what is meant; or name the file NAME.template and let envsubst fill it in",
            )


def _variable_includes(block: Sequence[Statement]) -> Iterator[Statement]:
    for line in block:
        if line.name == "include":
            yield line  # others are resolved
        yield from _variable_includes(line.block)


def _passed_to_names(site: Site) -> Findings:
    """Find names, in place of upstreams, that stand for several machines."""
    told: set[str] = set()
    for passing in site.passings:
        for target in passing.targets:
            host = target.host.lower()
            server = target.as_server()
            if (target.port is None and host in site.pools) or host in told:
                continue
            if server is None or not target.is_real:
                continue
            told.add(host)
            yield from _of_a_name(passing, target, server, site)


def _of_a_name(passing: Passing, target: Target, server: Server, site: Site) -> Findings:
    peers = peers_of(server, site.resolve)
    addresses = sorted({str(peer.address) for peer in peers})
    text = passing.statement.text
    if len(addresses) > 1:
        yield finding(
            "several-addresses",
            "error",
            passing.statement,
            f"'{text};': {target.host} has {len(addresses)} addresses ({listed(addresses)}), and "
            "nginx gives requests to them in turn, also those of one workflow. If these are "
            "several machines, chains break",
            "write an upstream with 'hash $http_machineid;' and a server line for each machine",
        )
    elif target.variable and peers[0].address is None and passing.setting("resolver"):
        yield finding(
            "changing-addresses",
            "warning",
            passing.statement,
            f"'{text};': nginx looks {target.host} up again and again, and gives requests to all "
            "the addresses that DNS answers with. If these are several machines with files of "
            "their own, chains break",
            "write an upstream with 'hash $http_machineid;' and a server line for each machine",
        )


# ---- server lines ----


def _twice(pool: Pool) -> Findings:
    seen: dict[tuple[str, int | None], ServerLine] = {}
    for line in pool.lines:
        if line.server is None or pool.is_template:
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
        elif found == {None} and len(pool.choices) == 1:
            yield _perhaps_several(pool, line, server)


def _perhaps_several(pool: Pool, line: ServerLine, server: Server) -> Finding:
    return finding(
        "several-addresses",
        "warning",
        line.statement,
        f"{server.host} is the only server of {pool.name!r}, and how many addresses it has is not "
        "known here. If it has several, as a scaled service of docker-compose, nginx makes a "
        "server of each, in the order in which DNS gives them at start: when that changes, ids "
        "move, and chains break",
        "write one server line for each machine, with its address; --resolve asks this machine",
    )


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
