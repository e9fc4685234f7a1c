"""From a topology to the files of its proxy; no file is touched here."""

from __future__ import annotations

from typing import Literal, get_args

from ...errors import TopologyError
from ...topology import Topology
from .compose import render_compose
from .nodes import named_hosts
from .plain import render_plain
from .strict import render_strict
from .values import check_names

Style = Literal["plain", "strict"]

COMPOSE_FILE = "docker-compose.yml"
MAIN_FILE = "config/proxy/nginx.conf"

__all__ = ["COMPOSE_FILE", "MAIN_FILE", "Style", "named_hosts", "render", "render_proxy"]


def render(
    topology: Topology, style: Style = "strict", *, compose: str | None = COMPOSE_FILE
) -> dict[str, str]:
    """Write a site's proxy: nginx's files, and docker-compose's.

    Parameters
    ----------
    topology : Topology
        The site.
    style : {"strict", "plain"}, default "strict"
        ``"strict"``: a key that names a node goes there and nowhere else, and the
        answer names its node. ``"plain"``: the hash over the header alone.
    compose : str, optional
        Name of the compose file; None for none.

    Returns
    -------
    dict of str to str
        Text by relative path: ``config/proxy/nginx.conf``,
        ``config/proxy/conf.d/*.conf`` and the compose file.

    Raises
    ------
    TopologyError
        Something that a proxy needs is missing, or cannot be said to nginx.
    """
    files = {f"config/proxy/{name}": text for name, text in render_proxy(topology, style).items()}
    if compose is not None:
        files[compose] = render_compose(topology)
    return files


def render_proxy(topology: Topology, style: Style = "strict") -> dict[str, str]:
    """Return nginx's files alone, by path below ``config/proxy``; see `render`."""
    if style not in get_args(Style):
        raise TopologyError(f"style {style!r}: expected one of {', '.join(get_args(Style))}")
    check_names(topology)
    return render_plain(topology) if style == "plain" else render_strict(topology)
