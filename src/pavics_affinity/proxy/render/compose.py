"""The proxy's part of a docker-compose file."""

from __future__ import annotations

import json

from ...errors import TopologyError
from ...topology import Topology
from . import values


def render_compose(topology: Topology) -> str:
    """Return a compose file with the service ``proxy``; on its own, or as an override.

    Raises
    ------
    TopologyError
        Two ports of the proxy would be published as one.
    """
    published: dict[int, int] = {}
    for service in topology.services:
        values.listen(service)
        inside = service.listen_port or 0
        outside = service.publish or inside
        if published.setdefault(outside, inside) != inside:
            raise TopologyError(
                f"service {service.name!r}: port {outside} is published for the proxy's port "
                f"{published[outside]} already, and this one listens on {inside}; choose another",
                key=f"services.{service.name}.publish",
            )
    # YAML 1.1 reads 22:22 as a number of base 60, so ports stand in quotes.
    ports = "\n".join(
        f"      - {json.dumps(f'{outside}:{inside}')}" for outside, inside in published.items()
    )
    return f"""\
services:
  proxy:
    image: nginx
    ports:
{ports}
    volumes:
      - ./config/proxy/nginx.conf:/etc/nginx/nginx.conf:ro
      - ./config/proxy/conf.d:/etc/nginx/conf.d:ro
    restart: always
"""
