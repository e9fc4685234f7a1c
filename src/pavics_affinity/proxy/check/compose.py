"""Rules on docker-compose files: published ports must match the ports that nginx listens on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import MissingExtra
from .rules import Finding, Findings, Spot, finding, listed
from .site import Site
from .unjudged import CHECK_THE_RESULT

_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_VARIABLE = re.compile(r"\$\{\w+(?::?-(?P<default>[^}$]*))?[^}]*\}|\$\w+", re.ASCII)
_NAMES = ("proxy", "nginx")
_MOST_MERGED = 200


@dataclass(frozen=True)
class Port:
    """One published port of a container; `published` is None where docker chooses."""

    spot: Spot
    published: int | None
    target: int
    address: str = ""


@dataclass
class Container:
    """What the compose files say about one service."""

    name: str
    is_proxy: bool = False
    own_network: bool = True
    ports: list[Port] = field(default_factory=list)
    unread: list[tuple[Spot, str]] = field(default_factory=list)


def read_compose(files: Sequence[str]) -> tuple[list[Container], list[Finding]]:
    """Read the proxies of compose files, merged as docker-compose merges them."""
    try:
        import yaml
    except ImportError as missing:
        raise MissingExtra.of("nginx", "reading compose files") from missing
    containers: dict[str, Container] = {}
    found: list[Finding] = []
    for file in files:
        try:
            root = yaml.compose(Path(file).read_bytes().decode(), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, OSError) as bad:
            mark = getattr(bad, "problem_mark", None)
            spot = Spot(file, 1 if mark is None else mark.line + 1)
            problem = getattr(bad, "problem", None) or "it cannot be read"
            message = f"the file is not YAML: {problem}; docker-compose refuses it"
            remedy = "fix the line; 'docker-compose config' says more"
            found.append(finding("syntax", spot, message, remedy))
            continue
        for name, node in _items(_entry(root, "services")):
            _read(containers.setdefault(name, Container(name)), node, file)
    return [each for each in containers.values() if each.is_proxy], found


def compose_findings(site: Site, proxies: Sequence[Container], files: Sequence[str]) -> Findings:
    """Compare the proxies' published ports with the ``listen`` lines."""
    if not proxies:
        yield finding(
            "compose-ports",
            Spot(files[0], 1),
            f"no service in {listed(files)} is an nginx, so its ports were not checked",
            "give the compose file that holds the proxy (image: nginx)",
            severity="note",
        )
        return
    listening = {listen.port for _, listen in site.listens}
    if not listening or not all(proxy.own_network for proxy in proxies):
        return  # with the host's network nothing is published
    ports = [port for proxy in proxies for port in proxy.ports]
    for port in ports:
        if port.target not in listening:
            yield _not_listening(port, listening, site)
    yield from _published_twice(ports)
    unread = [each for proxy in proxies for each in proxy.unread]
    for spot, text in unread:
        yield finding(
            "compose-ports",
            spot,
            f"{text!r} was not checked: its numbers are not known here",
            "write the numbers, or a default: '${PORT:-8093}'; nginx's files take none from the "
            "environment",
            severity="note",
        )
    if not unread:
        yield from _unpublished(site, {port.target for port in ports})


def _not_listening(port: Port, listening: set[int], site: Site) -> Finding:
    if site.is_filled_in:
        return finding(
            "compose-ports",
            port.spot,
            f"no 'listen' in the files is for the container's port {port.target}, and a template "
            "may fill one in: whether they match was not checked",
            CHECK_THE_RESULT,
            severity="note",
        )
    return finding(
        "compose-ports",
        port.spot,
        f"port {port.published or 'of the host'} is published for the container's port "
        f"{port.target}, and nginx listens on {listed(sorted(listening), 8)}: users get no "
        "connection",
        f"publish a port that nginx listens on, or write 'listen {port.target};' into the server "
        "block",
    )


def _published_twice(ports: Sequence[Port]) -> Findings:
    taken: dict[tuple[str, int], Port] = {}
    for port in ports:
        first = taken.setdefault((port.address, port.published or 0), port)
        if port.published and first is not port and first.target != port.target:
            yield finding(
                "compose-ports",
                port.spot,
                f"port {port.published} is published twice, for {first.target} and {port.target}: "
                "docker refuses to start the container",
                "choose another port for one of them",
            )


def _unpublished(site: Site, published: set[int]) -> Findings:
    for server, listen in site.listens:
        if server in site.serving and listen.port not in published:
            yield finding(
                "compose-ports",
                listen.statement,
                f"nginx listens on {listen.port}, and the compose file publishes "
                f"{listed(sorted(published), 8) or 'no port'}: from outside, users get no "
                "connection to this service",
                f"add '- \"{listen.port}:{listen.port}\"' to the ports of the proxy, or remove the "
                "server",
                severity="warning",
            )


# ---- YAML nodes ----


def _read(container: Container, node: Any, file: str) -> None:
    image = _text(_entry(node, "image")).rpartition("/")[2]
    volumes = [_text(each) or _text(_entry(each, "target")) for each in _list(node, "volumes")]
    container.is_proxy |= (
        container.name in _NAMES
        or "nginx" in image
        or any("/etc/nginx" in volume for volume in volumes)
    )
    container.own_network &= _text(_entry(node, "network_mode")) != "host"
    for each in _list(node, "ports"):
        spot = Spot(file, each.start_mark.line + 1)
        text, protocol = _port_text(each)
        if protocol not in ("", "tcp"):
            continue
        ports = list(_ports(spot, text))
        container.ports += ports
        if not ports:
            container.unread.append((spot, text))


def _port_text(node: Any) -> tuple[str, str]:
    """Return a port in the short form, and its protocol."""
    if hasattr(node, "value") and isinstance(node.value, str):
        text, _, protocol = node.value.strip().partition("/")
        return text, protocol
    parts = [_text(_entry(node, key)) for key in ("host_ip", "published", "target")]
    return ":".join(part for part in parts if part), _text(_entry(node, "protocol"))


def _ports(spot: Spot, text: str) -> Iterator[Port]:
    filled = _VARIABLE.sub(lambda found: found["default"] or "$", text)
    *before, target = filled.rsplit(":", 2) if not filled.startswith("[") else _bracketed(filled)
    inside = _numbers(target)
    outside = _numbers(before[-1]) if before and before[-1] else [None] * len(inside)
    address = before[0] if len(before) > 1 else ""
    if len(inside) == len(outside):
        for published, number in zip(outside, inside, strict=True):
            yield Port(spot, published, number, address)


def _bracketed(text: str) -> list[str]:
    address, _, rest = text.partition("]:")
    return [address + "]", *rest.split(":")]


def _numbers(text: str) -> list[int]:
    found = _RANGE.fullmatch(text)
    if found is None:
        return []
    first, last = int(found[1]), int(found[2] or found[1])
    return list(range(first, last + 1)) if 0 < first <= last < 65536 else []


def _entry(node: Any, key: str, seen: set[int] | None = None) -> Any:
    """Return a mapping's value, also from merged mappings (``<<``), each visited once."""
    seen = set() if seen is None else seen
    items = node.value if _is_mapping(node) and len(seen) < _MOST_MERGED else []
    if id(node) in seen:
        return None
    seen.add(id(node))
    for name, value in items:
        if name.value == key:
            return value
    for name, value in items:
        if name.value == "<<":
            for merged in [value] if _is_mapping(value) else _sequence(value):
                found = _entry(merged, key, seen)
                if found is not None:
                    return found
    return None


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    for name, value in node.value if _is_mapping(node) else []:
        if isinstance(name.value, str) and _is_mapping(value):
            yield name.value, value


def _list(node: Any, key: str) -> list[Any]:
    return _sequence(_entry(node, key))


def _sequence(node: Any) -> list[Any]:
    return node.value if getattr(node, "id", "") == "sequence" else []


def _text(node: Any) -> str:
    return str(node.value) if getattr(node, "id", "") == "scalar" else ""


def _is_mapping(node: Any) -> bool:
    return getattr(node, "id", "") == "mapping"
