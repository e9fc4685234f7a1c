"""Render the files of a proxy from a topology, without writing them to disk."""

from __future__ import annotations

import json
from typing import Literal, get_args

from ...errors import TopologyError
from ...topology import Tls, Topology
from . import values
from .birdhouse import Layout, render_birdhouse
from .plain import render_plain
from .strict import render_strict
from .tls import check_tls
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
    """Render the files for nginx and docker-compose.

    Parameters
    ----------
    topology : Topology
        The site.
    style : {"strict", "plain", "birdhouse"}, default "strict"
        ``"strict"``: a key that names a node goes to that node only, and the answer
        names its node. ``"plain"``: only a hash over the header.
        ``"birdhouse"``: a strict proxy as a component of birdhouse-deploy.
    compose : str, optional
        Name of the compose file; None for none. A component has its own compose files.
    layout : {"inner", "outer"}, default "inner"
        Place of a component: behind Twitcher, or in front of several stacks.

    Returns
    -------
    dict of str to str
        Text by relative path: ``config/proxy/nginx.conf``,
        ``config/proxy/conf.d/*.conf`` and the compose file; or those of a component.

    Raises
    ------
    TopologyError
        A value that a proxy needs is missing, or nginx cannot use it.
    """
    if style == "birdhouse":
        values.check_names(topology)
        return render_birdhouse(topology, layout)
    files = {f"config/proxy/{name}": text for name, text in render_proxy(topology, style).items()}
    if compose is not None:
        files[compose] = _render_compose(topology)
    return files


def render_proxy(topology: Topology, style: Style = "strict") -> dict[str, str]:
    """Return only nginx's files, by path below ``config/proxy``; see `render`."""
    if style not in ("plain", "strict"):
        raise TopologyError(f"style {style!r}: expected one of {', '.join(get_args(Style))}")
    values.check_names(topology)
    check_tls(topology)
    return render_plain(topology) if style == "plain" else render_strict(topology)


def _render_compose(topology: Topology) -> str:
    """Return a compose file with the service ``proxy``; also usable as an override."""
    published: dict[int, int] = {}
    for service in topology.services:
        values.listen(service)
        inside = service.listen_port or 0
        outside = service.publish or inside
        if published.setdefault(outside, inside) != inside:
            raise TopologyError(
                f"service {service.name!r}: port {outside} is published for the proxy's port "
                f"{published[outside]} already, and this service listens on {inside}; choose "
                "another port to publish",
                key=f"services.{service.name}.publish",
            )
    # YAML 1.1 reads 22:22 as a number in base 60, so the ports are quoted.
    ports = "\n".join(
        f"      - {json.dumps(f'{outside}:{inside}')}" for outside, inside in published.items()
    )
    tls = topology.tls
    files = dict.fromkeys([tls.certificate, tls.key] if isinstance(tls, Tls) else [])
    certificate = "".join(f"      - {file}:{file}:ro\n" for file in files)
    return f"""\
services:
  proxy:
    image: nginx
    ports:
{ports}
    volumes:
      - ./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro
      - ./config/proxy/conf.d:/etc/nginx/conf.d:ro
{certificate}    restart: always
"""
