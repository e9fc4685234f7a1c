"""How nginx's configuration of one service looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Upstream:
    """How nginx's upstream of one service looks.

    Parameters
    ----------
    directive : str, default "hash $http_machineid;"
        Chooses the server; empty for round robin.
    servers : tuple of str, optional
        Names of nodes in nginx's order, each with its parameters, as
        ``"node3 weight=5 max_fails=0"``. By default all nodes, with their
        weights.
    parameters : str, default ""
        Added to every server line.
    upstream, location, server : str, default ""
        Further directives in these blocks.
    """

    directive: str = "hash $http_machineid;"
    servers: tuple[str, ...] | None = None
    parameters: str = ""
    upstream: str = ""
    location: str = ""
    server: str = ""

    def block(self, name: str, addresses: Mapping[str, str]) -> str:
        """Write the upstream, in the form that the deployment's manual has it.

        Parameters
        ----------
        name : str
            Name of the service.
        addresses : mapping of str to str
            Address by node.
        """
        lines = [line for line in (self.directive, self.upstream) if line]
        for entry in self.servers or ():
            node, *parameters = entry.split()
            words = ["server", addresses[node], *parameters, *self.parameters.split()]
            lines.append(f"{' '.join(words)};")
        return _block(f"upstream {name}", lines)

    def location_line(self, path: str, target: str) -> str:
        """Write the location that passes requests on.

        Parameters
        ----------
        path : str
            Prefix of the URLs.
        target : str
            Where they are passed, an upstream's name with a path or without.
        """
        words = [f"proxy_pass http://{target};", self.location]
        return f"location {path} {{ {' '.join(word for word in words if word)} }}"


def server_block(listen: str, lines: Iterable[str]) -> str:
    """Write a server.

    Parameters
    ----------
    listen : str
        Address and port.
    lines : iterable of str
        What is in it; empty ones are left out.
    """
    return _block("server", [f"listen {listen};", *(line for line in lines if line)])


def _block(head: str, lines: Iterable[str]) -> str:
    return "\n".join([f"{head} {{", *(f"  {line}" for line in lines), "}", ""])
