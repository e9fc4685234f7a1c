"""The configuration as the rules need it, and what chooses the target of a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ...machineid import derive_machineid
from ...placement.servers import Resolve
from ...topology import Topology
from ..nginx.config import NginxConfig
from ..nginx.maps import captures_in, sources_of, variables_in
from ..nginx.proxy_passes import ProxyPass, Target
from ..nginx.servers import Listen, ServerBlock, find_location
from ..nginx.statements import NginxFiles, Statement
from ..nginx.upstreams import Machine, Upstream
from .files import Files
from .rules import Findings, Place, Spot

# These name the requested service, or are the same for all requests to it.
OF_THE_SERVICE = frozenset(
    {
        "host", "http_host", "server_name", "server_port", "server_addr", "scheme", "https",
        "uri", "document_uri", "request_uri", "request_filename", "arg_service", "http_upgrade",
        "http_connection", "ssl_server_name", "ssl_preread_server_name", "hostname", "protocol",
        "ssl_preread_alpn_protocols", "ssl_preread_protocol", "upstream_addr",
    }
)  # fmt: skip
_SAMPLE = 1000
_CAPTURE = re.compile(r"\d+")


@dataclass(frozen=True, eq=False)
class Choice:
    """The targets of the requests at one place, and the variables that choose among them.

    `deciders` does not include the machineid, or variables that name the service.
    """

    passed: ProxyPass
    targets: tuple[Target, ...]
    deciders: tuple[str, ...]


class Site(NginxConfig):
    """The configuration, and what the caller of ``check`` said about it.

    `promised` is the topology that clients read.
    """

    def __init__(
        self, given: Files, files: NginxFiles, promised: Topology | None, resolve: Resolve | None
    ) -> None:
        super().__init__(files, resolve)
        self.promised = promised
        # Where a finding on the whole of the files is reported; they may be empty.
        self.place: Place = next(iter(self.statements), None) or Spot(given.nginx[0], 1)
        self.is_incomplete = any(error.missing is None for error in files.errors)
        self.is_tree = bool(given.trees)
        self._jumps: dict[tuple[Statement, str], Statement | None] = {}

    # ---- servers ----

    @cached_property
    def by_machine(self) -> Mapping[Machine, Upstream]:
        """The services, by the machines of their servers."""
        return {machine: service for service in self.services for machine in service.machines}

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Hosts of the services' servers, in lower case."""
        return frozenset(host for host, _ in self.by_machine)

    @cached_property
    def listens(self) -> tuple[tuple[ServerBlock, Listen], ...]:
        """Each ``listen`` line, with its block."""
        return tuple((server, listen) for server in self.servers for listen in server.listens)

    @cached_property
    def serving(self) -> frozenset[ServerBlock]:
        """The ``server`` blocks that pass requests to services."""
        return frozenset(passed.server for passed, _ in self.to_services)

    # ---- the header ----

    @cached_property
    def header(self) -> str:
        """The header that most services hash; ``machineid`` if none does."""
        counts = Counter(
            header for service in self.services for header in sorted(self.headers_of(service))
        )
        if not counts or counts["machineid"] == max(counts.values()):
            return "machineid"
        return counts.most_common(1)[0][0]

    @property
    def variable(self) -> str:
        """The variable with that header."""
        return "$http_" + self.header.replace("-", "_")

    @property
    def header_is_published(self) -> bool:
        """Whether clients know the header: by a topology, or by the proxy's own document."""
        promised = self.promised
        return self.takes_node_names or (
            promised is not None and promised.header.lower() == self.header
        )

    def sources(self, variable: str) -> set[str]:
        """Return the variables that decide a variable's value; none if it is the machineid."""
        return sources_of(variable, self.maps, self.header)

    @cached_property
    def sample(self) -> tuple[str, ...]:
        """Machineids to place on services, always the same ones."""
        return tuple(derive_machineid("check", number) for number in range(_SAMPLE))

    # ---- locations ----

    def location_of(self, goal: str, server: ServerBlock) -> Statement | None:
        """Find the location of a path, or of a name such as ``@spare``."""
        key = (server.statement, goal)
        if key not in self._jumps:
            self._jumps[key] = find_location(goal, server.statement)
        return self._jumps[key]

    @cached_property
    def _by_location(self) -> Mapping[tuple[ServerBlock, Statement | None], list[ProxyPass]]:
        found: dict[tuple[ServerBlock, Statement | None], list[ProxyPass]] = {}
        for passed in self.proxy_passes:
            found.setdefault((passed.server, passed.location), []).append(passed)
        return found

    def passed_in(self, server: ServerBlock, location: Statement | None) -> Sequence[ProxyPass]:
        """Return where a location passes requests on, without its inner locations."""
        return self._by_location.get((server, location), ())

    @cached_property
    def mirrors(self) -> frozenset[Statement]:
        """The locations whose answers nginx discards."""
        found = (
            self.location_of(line.args[0], passed.server)
            for passed in self.proxy_passes
            for line in passed.settings("mirror")
            if line.args
        )
        return frozenset(location for location in found if location is not None)

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """The places where requests go to several targets."""
        return tuple(_choices(self))


def once(site: Site, rule: Callable[[ProxyPass, Upstream, Site], Findings]) -> Findings:
    """Apply a rule on settings to each place that passes requests to a service.

    A setting that several places share is reported once, and a missing one once for each
    ``server`` block.
    """
    reported: set[object] = set()
    for passed, service in site.to_services:
        for found in rule(passed, service, site):
            place = (found.file, found.line)
            missing = place == (passed.statement.file, passed.statement.line)
            key = (found.rule, passed.server if missing else place)
            if key not in reported:
                reported.add(key)
                yield found


# ---- what chooses between targets: split_clients, maps, and conditions ----


def _choices(site: Site) -> Iterator[Choice]:
    seen: set[ProxyPass] = set()
    for passed in site.proxy_passes:
        if passed in seen:
            continue
        ways = list(_ways(passed, site))
        seen |= {each for each, _ in ways if each.location is passed.location}
        targets = dict.fromkeys(target for each, _ in ways for target in each.targets)
        real = [each for each in targets if each.is_real and not each.of_node]
        if len({(each.name, each.port) for each in real}) < 2:
            continue
        deciders = {name for each in real for name in each.deciders}
        deciders |= {name for _, condition in ways for name in condition}
        yield Choice(passed, tuple(real), tuple(sorted(_foreign(deciders, passed, site))))


def _foreign(deciders: Iterable[str], passed: ProxyPass, site: Site) -> set[str]:
    """Return the variables that are not the machineid and do not name the service."""
    captured = set(_captured(passed))
    return {
        name
        for decider in deciders
        for name in site.sources(decider)
        if name not in OF_THE_SERVICE and name not in captured and not _CAPTURE.fullmatch(name)
    }


def _captured(passed: ProxyPass) -> Iterator[str]:
    """Yield what the expressions of locations and server names capture: parts of path and host."""
    location = () if passed.location is None else passed.location.args
    for pattern in (*location, *passed.server.names):
        yield from captures_in(pattern.lower())


def _ways(passed: ProxyPass, site: Site) -> Iterator[tuple[ProxyPass, tuple[str, ...]]]:
    """Yield where a location's requests can go, and the variables that send them there."""
    yield passed, _condition(passed.block)
    for other in site.passed_in(passed.server, passed.location):
        if other is not passed:
            yield other, _condition(other.block)
    for condition, location in _jumps(passed, site):
        if location is not passed.location:
            for other in site.passed_in(passed.server, location):
                yield other, _condition(condition)


def _condition(block: Statement) -> tuple[str, ...]:
    if block.name == "limit_except":
        return ("request_method",)
    return tuple(variables_in(" ".join(block.args))) if block.name == "if" else ()


def _jumps(passed: ProxyPass, site: Site) -> Iterator[tuple[Statement, Statement]]:
    """Yield the conditions that send requests to another location, and that location."""
    for level in passed.levels:
        for condition in level.named("if"):
            for line in condition.block:
                location = _jumped_to(line, passed, site)
                if location is not None:
                    yield condition, location


def _jumped_to(line: Statement, passed: ProxyPass, site: Site) -> Statement | None:
    goal = None
    if line.name == "return" and line.args:
        pages = passed.settings("error_page")
        goal = next((page.args[-1] for page in pages if line.args[0] in page.args[:-1]), None)
    elif line.name == "rewrite" and len(line.args) > 1 and line.args[1].startswith("/"):
        goal = line.args[1].partition("$")[0]
    return None if goal is None else site.location_of(goal, passed.server)
