"""Twitcher in front of a cluster: its ports, its services, and the nginx before it."""

from __future__ import annotations

TWITCHER = "twitcher"
"""Name of Twitcher's port among those of the services."""

TWITCHER_PORT = 8_000
"""As in birdhouse-deploy."""


def server_in_front(listen: str, twitcher: str, proxy: str) -> str:
    """Return the public nginx server of a site whose Twitcher is in front of the proxy.

    Like birdhouse-deploy's, it sends only ``/twitcher/`` to Twitcher. It does not log, because the
    proxy behind it does.
    """
    host = "proxy_set_header Host $http_host;"
    return f"""\
server {{
  listen {listen};
  access_log off;
  client_max_body_size 1g;
  location /twitcher/ {{ proxy_pass http://{twitcher}/; {host} }}
  location / {{ proxy_pass http://{proxy}; {host} }}
}}
"""
