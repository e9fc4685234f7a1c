"""The ``server`` lines of an nginx upstream, read as nginx reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from ipaddress import AddressValueError, IPv6Address
from typing import NamedTuple

from ..errors import InvalidPlacement

Resolve = Callable[[str], Sequence[str]]
"""Returns the addresses of a host name, without ports, in the order in which nginx gets them."""

DEFAULT_PORT = 80
LONGEST_SOCKET_PATH = 107  # sun_path holds 108 bytes, the last of them NUL

_NUMBER = r"[0-9]{1,18}"
_TIME = (
    r"(?=[0-9])(?:[0-9]+y *)?(?:[0-9]+M *)?(?:[0-9]+w *)?(?:[0-9]+d *)?"
    r"(?:[0-9]+h *)?(?:[0-9]+m *)?(?:[0-9]+s? *)?"
)
_PARAMETER = (
    rf"weight=(?!0+$){_NUMBER}|(?:max_conns|max_fails)={_NUMBER}|fail_timeout={_TIME}|"
    r"(?:service|route)=.+|down|drain|backup|resolve"
)


class Server(NamedTuple):
    """One ``server`` line."""

    text: str
    """The address as it is written; ``hash ... consistent`` hashes this text."""
    host: str
    """Name, IPv4 address or bracketed IPv6 address; for a unix socket its path."""
    port: int | None
    weight: int = 1
    down: bool = False
    """Marked ``down`` or ``drain``: it keeps its share of the keys, but gets no requests."""
    backup: bool = False
    at_run_time: str | None = None
    """``"resolve"`` if nginx looks the name up while it runs, ``"service"`` for SRV records."""


class Peer(NamedTuple):
    """One address behind a ``server`` line, whose weight counts for each: nginx's choice."""

    address: str | None
    """As nginx prints it in ``$upstream_addr``; None if the name's addresses are not known."""
    server: Server


def parse_server(line: str) -> Server:
    """Read the part between ``server`` and the semicolon, such as ``10.0.0.1:8093 down``."""
    words = line.split() if isinstance(line, str) else []
    if not words:
        raise InvalidPlacement(
            f"server line {line!r} has no address; expected something like '10.0.0.1:8093 weight=2'"
        )
    text, *parameters = words
    weight = 1
    flags = set()
    for parameter in parameters:
        if not re.fullmatch(_PARAMETER, parameter):
            raise InvalidPlacement(
                f"server line {line!r}: nginx refuses the parameter {parameter!r}; "
                "expected weight=, max_conns=, max_fails=, fail_timeout=, backup, down or resolve"
            )
        name, _, value = parameter.partition("=")
        if name == "weight":
            weight = int(value)
        flags.add(name)
    try:
        host, port = _host_and_port(text)
    except _Refused as bad:
        raise InvalidPlacement(
            f"server line {line!r}: {bad}; expected HOST, HOST:PORT, [IPv6]:PORT or unix:PATH"
        ) from None
    return Server(
        text=text,
        host=host,
        port=port,
        weight=weight,
        down=not flags.isdisjoint({"down", "drain"}),
        backup="backup" in flags,
        at_run_time=next((name for name in ("service", "resolve") if name in flags), None),
    )


def parse_servers(lines: Iterable[str]) -> tuple[Server, ...]:
    """Read the ``server`` lines of one upstream, in the order of the file."""
    if isinstance(lines, str | bytes):
        raise InvalidPlacement(
            f"servers is {lines!r}; expected a list with the parameters of each server line"
        )
    servers = tuple(parse_server(line) for line in lines)
    if all(server.backup for server in servers):
        raise InvalidPlacement(
            "nginx refuses an upstream without servers that are not backups: "
            f"add a server line to {[server.text for server in servers]!r}"
        )
    return servers


def peers_of(server: Server, resolve: Resolve | None) -> tuple[Peer, ...]:
    """Return the peers that nginx makes from a server line: one for each address.

    A name that cannot be resolved becomes a single peer without an address.
    """
    literal = _literal_address(server)
    if literal is not None:
        return (Peer(literal, server),)
    try:
        found = list(resolve(server.host) or ()) if resolve is not None else []
    except (OSError, LookupError):
        found = []
    if not found:
        return (Peer(None, server),)
    return tuple(Peer(_join(address, server), server) for address in found)


class _Refused(Exception):
    """Why nginx would refuse an address."""


def _host_and_port(text: str) -> tuple[str, int | None]:
    if text[:5].lower() == "unix:":
        return _socket_path(text[5:]), None
    host, colon, port = _bracketed(text) if text.startswith("[") else text.partition(":")
    if not host or not {"/", "?"}.isdisjoint(text):
        raise _Refused("the host is not valid")
    if not colon:
        return host, DEFAULT_PORT
    if not re.fullmatch(_NUMBER, port) or not 1 <= int(port) <= 65535:
        raise _Refused(f"the port {port!r} is not valid")
    return host, int(port)


def _socket_path(path: str) -> str:
    if not path:
        raise _Refused("the socket has no path")
    if len(path.encode(errors="surrogatepass")) > LONGEST_SOCKET_PATH:
        raise _Refused(f"the path is longer than {LONGEST_SOCKET_PATH} bytes")
    return path


def _bracketed(text: str) -> tuple[str, str, str]:
    inside, bracket, rest = text[1:].partition("]")
    if not bracket or _ipv6(inside) is None:
        raise _Refused("there is no IPv6 address in the brackets")
    if rest and not rest.startswith(":"):
        raise _Refused("only a port may follow the bracket")
    return f"[{inside}]", rest[:1], rest[1:]


def _literal_address(server: Server) -> str | None:
    if server.port is None:
        return server.text
    if server.host.startswith("["):
        return _join(server.host[1:-1], server)
    address = _ipv4(server.host)
    return None if address is None else f"{address}:{server.port}"


def _join(address: str, server: Server) -> str:
    # nginx prints the binary address: canonical, however it was written.
    ipv4 = _ipv4(address)
    if ipv4 is not None:
        return f"{ipv4}:{server.port}"
    ipv6 = _ipv6(address)
    if ipv6 is not None:
        return f"[{_print_ipv6(ipv6)}]:{server.port}"
    raise InvalidPlacement(
        f"{server.host!r} resolves to {address!r}; expected IPv4 or IPv6 addresses without a port"
    )


def _ipv4(text: str) -> str | None:
    # nginx counts three dots and reads digits, so it accepts 127.0.0.02 and 127..0.2.
    octets = text.split(".")
    if len(octets) != 4 or not set(text) <= set("0123456789."):
        return None
    digits = [octet.lstrip("0") or "0" for octet in octets]
    if max(map(len, digits)) > 3 or max(map(int, digits)) > 255:
        return None
    return ".".join(digits)


def _ipv6(text: str) -> IPv6Address | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    return None if address.scope_id else address


def _print_ipv6(address: IPv6Address) -> str:
    groups = [int.from_bytes(address.packed[i : i + 2]) for i in range(0, 16, 2)]
    runs = re.finditer("0{2,}", "".join("0" if group == 0 else "x" for group in groups))
    longest = max(runs, key=lambda run: len(run.group()), default=None)
    if longest is None:
        return ":".join(f"{group:x}" for group in groups)
    start, stop = longest.span()
    head = ":".join(f"{group:x}" for group in groups[:start])
    tail = ":".join(f"{group:x}" for group in groups[stop:])
    if start == 0 and _ends_in_ipv4(stop, groups):
        dotted = ".".join(str(byte) for byte in address.packed[12:])
        tail = f"ffff:{dotted}" if stop == 5 else dotted
    return f"{head}::{tail}"


def _ends_in_ipv4(zeros: int, groups: Sequence[int]) -> bool:
    # The conditions of ngx_inet6_ntop, which differ from RFC 5952.
    high, low = divmod(groups[7], 256)
    return (
        (zeros == 5 and groups[5] == 0xFFFF)
        or zeros == 6
        or (zeros == 7 and high != 0 and low != 1)
    )
