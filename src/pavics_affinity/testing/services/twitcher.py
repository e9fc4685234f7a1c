"""Twitcher, the security proxy of birdhouse sites, in front of a cluster's services."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import waitress
from twitcher import main
from twitcher.adapter.default import DefaultAdapter

_THREADS = 8


class FixedServices(DefaultAdapter):
    """Takes the services from the settings; real sites take them from Magpie's database."""

    def owsregistry_factory(self, request: Any) -> SimpleNamespace:
        """Return the registry that Twitcher asks for a service by its name."""
        return SimpleNamespace(get_service_by_name=self.settings["local_cluster.services"].get)


def serve(urls: Mapping[str, str], listener: socket.socket) -> None:
    """Serve the services at these URLs below ``/ows/proxy/NAME``, until killed."""
    services = {name: {"name": name, "url": url, "public": True} for name, url in urls.items()}
    settings = {
        "local_cluster.services": services,
        "twitcher.adapter": f"{__name__}.{FixedServices.__name__}",
        "sqlalchemy.url": "sqlite://",
    }
    waitress.serve(main({}, **settings), sockets=[listener], threads=_THREADS)
