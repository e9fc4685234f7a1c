"""nginx's files as the rules need them: read in full even where nginx would refuse them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...errors import NginxConfigError
from ...placement.servers import Resolve
from ..hashed import FOREIGN_HEADERS
from ..nginx.maps import Maps, headers_behind, pools_by_node, read_maps, read_sets
from ..nginx.parsing import fills_in
from ..nginx.passings import Passing, read_passings
from ..nginx.statements import Statement, has_placeholder, marks_in
from ..nginx.streams import read_tcp
from ..nginx.upstreams import read_listen
from .findings import Findings, Place, Spot
from .pools import Pool, read_pool


@dataclass(frozen=True)
class Front:
    """A ``server`` block.

    Attributes
    ----------
    statement : Statement
        The block.
    listens : tuple of (Statement, str or None, int)
        Its ``listen`` lines, with address (None for any) and port.
    names : frozenset of str
        Its ``server_name``; empty without.
    """

    statement: Statement
    listens: tuple[tuple[Statement, str | None, int], ...]
    names: frozenset[str]


class Site:
    """All that the rules look at.

    Parameters
    ----------
    statements : sequence of Statement
        Those inside ``http``.
    resolve : callable, optional
        Name of a host to the list of its addresses.
    header : str, optional
        The header that clients are told to send.
    place : Place, optional
        Where files without a statement are.
    is_incomplete : bool, default: False
        Whether a part of the files could not be read.

    Attributes
    ----------
    place : Place
        For what is true of the files as a whole.
    tcp : Tcp
        The part that balances connections.
    jumps : dict
        The locations that were looked for, by the server's id and the path or name.
    """

    def __init__(
        self,
        statements: Sequence[Statement],
        resolve: Resolve | None = None,
        header: str | None = None,
        place: Place | None = None,
        is_incomplete: bool = False,
    ) -> None:
        self.is_incomplete = is_incomplete
        self._templates: dict[str, bool] = {}
        self.jumps: dict[tuple[int, str], Statement | None] = {}
        self.place: Place = statements[0] if statements else place or Spot("", 1)
        self.statements = statements
        self.told_header = header
        self.resolve = resolve
        maps = read_maps(statements)
        # What a variable is looked up by in the end; where it is set does not matter for that.
        self.maps: Maps = {**read_sets(statements), **maps}
        self.tcp = read_tcp(statements)
        self.all_pools = tuple(
            read_pool(each)
            for each in statements
            if each.name == "upstream" and each.args and not self.tcp.owns(each)
        )
        self.pools: dict[str, Pool] = {}
        for pool in self.all_pools:
            # nginx compares the names of upstreams without regard to case.
            self.pools.setdefault(pool.name.lower(), pool)
        servers = [each for each in statements if each.name == "server"]
        self.fronts = tuple(_front(each) for each in servers if not self.tcp.owns(each))
        self.passings: tuple[Passing, ...] = tuple(
            each for each in read_passings(statements, maps) if not self.tcp.owns(each.server)
        )

    # ---- pools ----

    @cached_property
    def _passings_in(self) -> Mapping[tuple[int, int], list[Passing]]:
        found: dict[tuple[int, int], list[Passing]] = {}
        for passing in self.passings:
            key = (id(passing.server), id(passing.location))
            found.setdefault(key, []).append(passing)
        return found

    def passings_in(self, server: Statement, location: Statement | None) -> Sequence[Passing]:
        """Return where requests are passed on from a location, not from those inside it."""
        return self._passings_in.get((id(server), id(location)), ())

    def fills_in(self, file: str) -> bool:
        """Tell whether a file is a template; each file is looked at once."""
        if file not in self._templates:
            self._templates[file] = fills_in(file)
        return self._templates[file]

    @cached_property
    def is_filled_in(self) -> bool:
        """Whether a template fills directives or ports in."""
        lines = [line for front in self.fronts for line in front.statement.named("listen")]
        return any(marks_in(self.statements)) or any(map(has_placeholder, lines))

    @cached_property
    def node_pools(self) -> frozenset[str]:
        """Names, in lower case, of the upstreams that a key's node name chooses."""
        return frozenset(
            pool.lower() for mapped in self.maps.values() for pool in pools_by_node(mapped).values()
        )

    @cached_property
    def hashed(self) -> tuple[Pool, ...]:
        """The upstreams with a hash that decides."""
        return tuple(pool for pool in self.pools.values() if pool.hashed is not None)

    @cached_property
    def services(self) -> tuple[Pool, ...]:
        """The upstreams that choose a node for a bare machineid."""
        return tuple(pool for pool in self.hashed if pool.name.lower() not in self.node_pools)

    @cached_property
    def takes_names(self) -> bool:
        """Whether keys may name nodes, as on a strict proxy."""
        return any(name in self.pools for name in self.node_pools)

    @cached_property
    def addresses(self) -> Mapping[tuple[str, int | None], Pool]:
        """Hosts, in lower case, and ports of the services' servers."""
        return {
            (server.host.lower(), server.port): pool
            for pool in self.services
            for server in pool.servers
        }

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts of the services' servers, in lower case."""
        return frozenset(host for host, _ in self.addresses)

    # ---- the key ----

    def headers_of(self, pool: Pool) -> set[str]:
        """Name the request headers in a pool's key that a workflow could send."""
        parts = pool.hashed.parts if pool.hashed is not None else ()
        found = (headers_behind(part.text, self.maps) for part in parts if part.is_variable)
        return set().union(*found) - FOREIGN_HEADERS

    @cached_property
    def header(self) -> str:
        """The header that most services hash; ``machineid`` if none does."""
        counts = Counter(
            header for pool in self.services for header in sorted(self.headers_of(pool))
        )
        if not counts or counts["machineid"] == max(counts.values()):
            return "machineid"
        return counts.most_common(1)[0][0]

    @property
    def header_is_told(self) -> bool:
        """Whether clients know the header: by a topology, or by the proxy's own document."""
        told = self.told_header
        return self.takes_names or (told is not None and told.lower() == self.header)

    # ---- passings ----

    def pools_of(self, passing: Passing) -> list[Pool]:
        """Return the upstreams to which requests can go from a location."""
        named = (target.host.lower() for target in passing.targets if target.port is None)
        return [self.pools[name] for name in dict.fromkeys(named) if name in self.pools]

    @cached_property
    def to_services(self) -> tuple[tuple[Passing, Pool], ...]:
        """The locations that pass requests to a service, and which."""
        return tuple(
            (passing, pool)
            for passing in self.passings
            for pool in self.pools_of(passing)
            if pool in self.services
        )

    @property
    def workers(self) -> Statement | None:
        """The ``worker_processes`` line."""
        lines = [each for each in self.statements if each.name == "worker_processes"]
        return lines[-1] if lines else None


def once(site: Site, rule: Callable[[Passing, Pool, Site], Findings]) -> Findings:
    """Apply a rule on settings to each place from which requests go to a service.

    A setting that several places share is told once, and a missing one once for each
    ``server`` block.
    """
    told: set[object] = set()
    for passing, pool in site.to_services:
        for found in rule(passing, pool, site):
            place = (found.file, found.line)
            missing = place == (passing.file, passing.line)
            key = (found.rule, id(passing.server) if missing else place)
            if key not in told:
                told.add(key)
                yield found


def usable_listens(fronts: Iterable[Front]) -> Iterator[tuple[Front, Statement, str | None, int]]:
    """Yield each ``listen`` line with its block, address and port."""
    for front in fronts:
        for line, address, port in front.listens:
            yield front, line, address, port


def _front(statement: Statement) -> Front:
    listens = []
    for line in statement.named("listen"):
        try:
            found = read_listen(line)
        except NginxConfigError:
            continue  # a finding of its own
        if found is not None:
            listens.append((line, found[0], found[1]))
    if not any(statement.named("listen")):
        listens.append((statement, None, 80))
    names = {name for line in statement.named("server_name") for name in line.args}
    return Front(statement, tuple(listens), frozenset(names))
