"""Render the files of a proxy from a topology, without writing them to disk."""

from __future__ import annotations

from typing import Literal, get_args

from ...errors import TopologyError
from ...topology import Topology
from . import values
from .birdhouse import Layout, render_birdhouse
from .layout import published_ports
from .plain import render_plain
from .strict import render_strict
from .tls import certificate_mounts, check_tls
from .values import named_hosts

Style = Literal["plain", "strict", "birdhouse"]

COMPOSE_FILE = "docker-compose.yml"
MAIN_FILE = "config/proxy/nginx.conf"

__all__ = ["COMPOSE_FILE", "MAIN_FILE", "Layout", "Style", "named_hosts", "render", "render_proxy"]


def render(
    topology: Topology,
    style: Style = "strict",
    *,
    compose: str | None = COMPOSE_FILE,
    layout: Layout = "inner",
) -> dict[str, str]:
    """Return the files for nginx and docker-compose: text by relative path.

    ``"strict"``: a key that names a node goes to that node only, and the answer names its node.
    ``"plain"``: only a hash over the header. ``"birdhouse"``: a strict proxy as a component of
    birdhouse-deploy, behind Twitcher (the layout ``"inner"``) or in front of several stacks
    (``"outer"``). A component has its own compose files; otherwise `compose` names one, and None
    leaves it out. Raises `TopologyError` if a value is missing, or nginx cannot use it.
    """
    if style == "birdhouse":
        _check(topology)
        return render_birdhouse(topology, layout)
    files = {f"config/proxy/{name}": text for name, text in render_proxy(topology, style).items()}
    if compose is not None:
        files[compose] = _render_compose(topology)
    return files


def render_proxy(topology: Topology, style: Style = "strict") -> dict[str, str]:
    """Return only nginx's files, by path below ``config/proxy``; see `render`."""
    if style not in ("plain", "strict"):
        raise TopologyError(f"style {style!r}: expected one of {', '.join(get_args(Style))}")
    _check(topology)
    return render_plain(topology) if style == "plain" else render_strict(topology)


def _check(topology: Topology) -> None:
    values.check_names(topology)
    check_tls(topology)
    values.header_name(topology.header, "header")


def _render_compose(topology: Topology) -> str:
    """Return a compose file with the service ``proxy``; also usable as an override."""
    ports = "\n".join(published_ports(topology))
    certificate = "".join(f"      - {mount}\n" for mount in certificate_mounts(topology))
    return f"""\
services:
  proxy:
    image: nginx
{ports}
    volumes:
      - ./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro
      - ./config/proxy/conf.d:/etc/nginx/conf.d:ro
{certificate}    restart: always
"""
