"""``upstream`` blocks, and the ``location`` blocks that pass requests to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidPlacement, NginxConfigWarning
from ..placement.keys import HashDirective, parse_hash
from ..placement.servers import Server, parse_server
from ..topology.urls import origin_of
from ..warn import warn
from .maps import Maps, only_variable
from .statements import Statement

# A second variable behind the one with the upstream's name holds the URI as it came.
PASSED_TO = re.compile(
    r"(?P<scheme>https?)://(?P<host>\$\w+(?=\$)|[^/]+)(?:\$\w+)?(?P<uri>/.*)?", re.IGNORECASE
)
BARE_PORT = re.compile(r"[0-9]+", re.ASCII)
# Of all directives in an upstream that choose among its servers, the last decides.
METHODS = ("hash", "ip_hash", "least_conn", "least_time", "random")
# With these the server parameter slow_start is refused, as are backups.
WITHOUT_SLOW_START = ("hash", "ip_hash", "random")
# These decide first, whatever the method: nginx's own, Angie's, Tengine's, and a module's.
STICKY = ("sticky", "sticky_cookie_insert", "session_sticky", "jvm_route")
_NEUTRAL = re.compile(
    r"server|zone|state|status_zone|keepalive(_requests|_timeout|_time)?|ntlm|queue|resolver"
    r"|resolver_timeout|check(_\w+)?|sticky_(secret|strict|hide_cookie\w*)|log_\w+|include"
)
_REAL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", re.ASCII)


@dataclass(frozen=True)
class Upstream:
    """One ``upstream`` block.

    Attributes
    ----------
    name : str
        Its name.
    servers : tuple of Server
        Its ``server`` lines, in order.
    hashed : HashDirective or None
        Its ``hash`` directive; of several the last, as nginx has it.
    statement : Statement
        Where it stands; that of the ``hash`` directive where there is one.
    """

    name: str
    servers: tuple[Server, ...]
    hashed: HashDirective | None
    statement: Statement


@dataclass(frozen=True)
class Listener:
    """A ``server`` block's addresses.

    Attributes
    ----------
    listens : tuple of (str or None, int, bool)
        Address (None for any), port, and whether TLS is spoken there.
    names : tuple of str
        Its ``server_name`` that a client could use: no wildcards, no ``_``.
    """

    listens: tuple[tuple[str | None, int, bool], ...]
    names: tuple[str, ...]

    def has_port(self, port: int) -> bool:
        """Tell whether requests come in at a port."""
        return any(port == mine for _, mine, _ in self.listens)

    def listen_for(self, url: str | None) -> int | str:
        """Return the address or port for a URL, as a topology has it; else the first."""
        origin = origin_of(url) if url is not None else None
        fitting = [each for each in self.listens if origin and each[1] == origin.port]
        address, port, _ = (fitting or self.listens)[0]
        return port if address is None else f"{address}:{port}"

    def base_url(self) -> str | None:
        """Return scheme, name and port that a client would use, if the names tell."""
        if not self.names:
            return None
        _, port, tls = next((each for each in self.listens if each[2]), self.listens[0])
        scheme = "https" if tls else "http"
        return f"{scheme}://{self.names[0]}" + ("" if port == (80, 443)[tls] else f":{port}")


@dataclass(frozen=True)
class Route:
    """One place from which requests go to an upstream.

    Attributes
    ----------
    upstream : str
        Name of the upstream, or ``$`` and the name of a variable that holds it.
    listener : Listener
        Where the requests come in.
    prefix : str or None
        The location; None for a regular expression.
    uri : str or None
        What ``proxy_pass`` puts in the prefix's place.
    tls : bool
        Whether the backends speak https.
    headers : tuple of (str, str)
        Names and values of the response headers added there.
    """

    upstream: str
    listener: Listener
    prefix: str | None
    uri: str | None
    tls: bool
    headers: tuple[tuple[str, str], ...]

    def backend_path(self, path: str) -> str:
        """Return the path that a backend sees for one that begins with the prefix."""
        if self.uri is None or self.prefix is None:
            return path
        return self.uri + path[len(self.prefix) :]


def of_other_modules(block: Iterable[Statement]) -> list[Statement]:
    """Find directives of an upstream that are not known: they may choose the server."""
    return [
        line
        for line in block
        if not line.is_mark
        and line.name not in (*METHODS, *STICKY)
        and not _NEUTRAL.fullmatch(line.name)
    ]


def server_text(line: Statement, upstream: Statement) -> str:
    """Return what stands on a ``server`` line, without slow_start where it may stand."""
    methods = [each.name for each in upstream.block if each.name in METHODS]
    if methods and methods[-1] in WITHOUT_SLOW_START:
        return " ".join(line.args)
    return " ".join(word for word in line.args if not word.startswith("slow_start="))


def read_upstreams(statements: Iterable[Statement]) -> dict[str, Upstream]:
    """Collect the ``upstream`` blocks.

    Raises
    ------
    NginxConfigError
        nginx would refuse one, or take something else than was meant.
    """
    found: dict[str, Upstream] = {}
    for statement in statements:
        if statement.name != "upstream":
            continue
        name = statement.args[0]
        if name in found:
            raise statement.error(
                f"upstream {name!r} is there twice, first in {found[name].statement.where}; "
                "nginx refuses that"
            )
        hashed, where = None, statement
        for line in statement.named("hash"):
            hashed, where = _hash(line), line
        if hashed is not None:
            _see_that_the_hash_decides(statement)
        lines = list(statement.named("server"))
        if not lines:
            raise statement.error(
                f"upstream {name!r} has no server; add a line for each node, such as "
                "'server 10.0.0.1:8093;'"
            )
        servers = tuple(_server(line, statement) for line in lines)
        if all(server.backup for server in servers):
            raise statement.error(f"upstream {name!r} has backups only; nginx refuses that")
        found[name] = Upstream(name, servers, hashed, where)
    return found


def read_routes(statements: Sequence[Statement]) -> Iterator[Route]:
    """Yield where requests are passed on, in the order of the files."""
    outside = _added(statements)
    for statement in statements:
        if statement.name == "server":
            listener = read_listener(statement)
            yield from _routes_in(statement, listener, None, _added(statement.block) or outside)


def pool_of(variable: str, maps: Maps, upstreams: Mapping[str, Upstream]) -> str | None:
    """Name the upstream that a variable holds by default, through maps."""
    seen: set[str] = set()
    while variable in maps and variable not in seen:
        seen.add(variable)
        value = maps[variable].default
        if value in upstreams:
            return value
        variable = only_variable(value) or ""
    return None


def _routes_in(
    block: Statement, listener: Listener, prefix: str | None, headers: tuple[tuple[str, str], ...]
) -> Iterator[Route]:
    for inner in block.block:
        if inner.name == "proxy_pass" and inner.args:
            passed = PASSED_TO.fullmatch(inner.args[0])
            if passed is not None:
                yield Route(
                    upstream=passed["host"],
                    listener=listener,
                    prefix=prefix,
                    uri=passed["uri"],
                    tls=passed["scheme"].lower() == "https",
                    headers=headers,
                )
        elif inner.name == "location":
            added = _added(inner.block) or headers
            yield from _routes_in(inner, listener, location_prefix(inner.args), added)
        elif inner.block:  # if, limit_except
            added = _added(inner.block) or headers
            yield from _routes_in(inner, listener, prefix, added)


def location_prefix(args: tuple[str, ...]) -> str | None:
    """Return the path of a location; None for a regular expression or a named one."""
    modifier = re.match(r"(=|\^~|~\*?|@)?", "".join(args[:1]))
    path = (
        args[-1] if len(args) > 1 else "".join(args).removeprefix(modifier[0] if modifier else "")
    )
    return None if modifier and modifier[0][:1] in ("~", "@") else path


def _added(block: Iterable[Statement]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (inner.args[0], inner.args[1])
        for inner in block
        if inner.name == "add_header" and len(inner.args) > 1
    )


def read_listener(server: Statement) -> Listener:
    """Read a ``server`` block's addresses and names; raise on one that nginx refuses."""
    listens = [found for line in server.named("listen") if (found := read_listen(line)) is not None]
    names = [name for line in server.named("server_name") for name in line.args]
    return Listener(
        listens=tuple(listens) or ((None, 80, False),),
        names=tuple(name for name in names if _REAL_NAME.fullmatch(name)),
    )


def read_listen(line: Statement) -> tuple[str | None, int, bool] | None:
    """Read address (None for any), port and TLS of a ``listen`` line; None for a socket."""
    if not line.args or line.args[0].lower().startswith("unix:"):
        return None
    text = line.args[0]
    if BARE_PORT.fullmatch(text):
        address, port = "", text
    else:
        bare = text.endswith("]") or ":" not in text
        address, port = (text, "80") if bare else text.rsplit(":", 1)
    digits = port.lstrip("0") if BARE_PORT.fullmatch(port) else ""
    if not 0 < len(digits) < 6 or int(digits) > 65535:
        raise line.error(f"listen {text[:80]!r} has no valid port; expected one of 1 to 65535")
    anywhere = address in ("", "*", "0.0.0.0", "[::]")  # noqa: S104 - read here, not listened on
    return None if anywhere else address, int(digits), "ssl" in line.args


def _see_that_the_hash_decides(upstream: Statement) -> None:
    name = upstream.args[0]
    for line in upstream.block:
        if line.name in STICKY:
            raise line.error(
                f"'{line.text};' in upstream {name!r} decides before the hash: a client that keeps "
                "cookies stays where it was, whatever key it sends; take the line away"
            )
        if line.name.startswith("balancer_by_lua"):
            raise line.error(
                f"{line.name} chooses the servers of upstream {name!r}, and the hash does not; "
                "take one of them away"
            )
    last = [line for line in upstream.block if line.name in METHODS][-1]
    if last.name != "hash":
        raise last.error(
            f"'{last.text};' comes after the hash in upstream {name!r}, and the last one decides; "
            "take it away"
        )
    for line in of_other_modules(upstream.block):
        warn(
            f"{line.where}: '{line.name}' in upstream {name!r} is not known here; if it chooses "
            "servers, the topology read from this file is wrong",
            NginxConfigWarning,
        )


def _server(line: Statement, upstream: Statement) -> Server:
    text = server_text(line, upstream)
    if line.args and BARE_PORT.fullmatch(line.args[0]):
        raise line.error(
            f"'server {text};' names no host, and nginx takes the number for one; write "
            f"'server HOST:{line.args[0]};'"
        )
    try:
        server = parse_server(text)
    except InvalidPlacement as bad:
        raise line.error(str(bad)) from bad
    if server.at_run_time == "service":
        raise line.error(
            f"'server {text};': nginx asks DNS for the servers while it runs, and what it finds "
            "is not known here; list the servers"
        )
    return server


def _hash(line: Statement) -> HashDirective:
    try:
        return parse_hash(" ".join(["hash", *line.args]))
    except InvalidPlacement as bad:
        raise line.error(str(bad)) from bad
