"""Shared by the commands: options, loading of the site, and wrapped text."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import AffinityError, NginxConfigError, see_manual
from ..placement.servers import parse_server, peers_of
from ..topology import Topology
from ..topology.sources import VARIABLE, default_topology_path

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_NARROWEST, _WIDEST = 60, 100
_NAMES_SHOWN = 3

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")
proxy_option = click.option(
    "--proxy",
    type=click.Choice(["auto", "nginx", "none"]),
    default="auto",
    help="Put nginx in front, or nothing; auto uses nginx if it is installed.",
)
nodes_option = click.option(
    "--nodes",
    type=click.IntRange(1, 20),
    default=3,
    help="Number of nodes.",
)
resolve_option = click.option(
    "--resolve",
    is_flag=True,
    help="Resolve host names on this machine; otherwise each counts as one address.",
)


def existing_file(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
    """Raise a usage error if there is no such file; a mistake inside a file is not one."""
    if path is not None and not Path(path).exists():
        raise click.BadParameter(f"{path!r} does not exist")
    return path


def topology_option(words: str) -> Callable[[Decorated], Decorated]:
    """Return the option that names a topology file."""
    return click.option("--topology", metavar="FILE", callback=existing_file, help=words)


def in_terminal(error: AffinityError) -> str:
    """Return an error's message in one line, and where the manual explains it in another."""
    return f"{' '.join(error.message.split())}\n{see_manual(type(error))}"


def wrap(text: str, head: str = "") -> str:
    """Wrap text at the width of the terminal, indented below its head."""
    return textwrap.fill(
        " ".join(text.split()),
        width=max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST)),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # URLs and lines to copy stay in one piece.
        break_long_words=False,
        break_on_hyphens=False,
    )


class SiteCommand(click.Command):
    """A command whose ``--nginx`` takes several files, as a shell expands a pattern.

    Arguments after the first file are files, too, if they look like one: they end in
    ``.conf``, contain a directory, are a pattern, or name an existing file.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the option before each file."""
        written: list[str] = []
        wanted = taking = False
        for i, arg in enumerate(args):
            if wanted:
                written.append(arg)
                wanted, taking = False, True
            elif arg == "--":
                return super().parse_args(ctx, written + args[i:])
            elif taking and _is_file(arg):
                written += ["--nginx", arg]
            else:
                written.append(arg)
                wanted, taking = arg == "--nginx", arg.startswith("--nginx=")
        return super().parse_args(ctx, written)


def _is_file(arg: str) -> bool:
    if arg.startswith("-"):
        return False
    return arg.endswith(".conf") or os.sep in arg or glob.has_magic(arg) or Path(arg).is_file()


def site_options(function: Decorated) -> Decorated:
    """Add the options that name the site of a command."""
    topology = topology_option(
        f"A topology file. [default: {VARIABLE}, or the user's configuration]"
    )
    words = "nginx files, directories or patterns instead."
    nginx = click.option("--nginx", multiple=True, metavar="FILE...", help=words)
    return topology(nginx(resolve_option(function)))


def load_site(topology: str | None, nginx: Sequence[str], *, resolve: bool) -> Topology:
    """Load the site that the options name, and print a note on unresolved host names."""
    site = _load(topology, nginx, resolve=resolve)
    if site.resolve is None:
        note_host_names(_names_under_plain_hash(site))
    return site


def _load(topology: str | None, nginx: Sequence[str], *, resolve: bool) -> Topology:
    if topology is not None and nginx:
        raise click.UsageError("give either --topology or --nginx, not both")
    if nginx:
        from ..proxy.nginx.statements import find_nginx_files
        from ..proxy.read import read_nginx

        try:
            for each in nginx:
                find_nginx_files(each)
        except NginxConfigError as bad:
            raise click.UsageError(in_terminal(bad)) from bad
        return read_nginx(*nginx, resolve=addresses_of if resolve else None)
    path = Path(topology) if topology is not None else default_topology_path()
    if path is None:
        raise click.UsageError(
            f"no site is configured; give --topology FILE or --nginx FILE..., or set {VARIABLE}"
        )
    loaded = Topology.load(path)
    return replace(loaded, resolve=addresses_of) if resolve else loaded


def _names_under_plain_hash(site: Topology) -> list[str]:
    """Return the host names whose number of addresses matters: nginx's plain hash counts them."""
    servers = [
        parse_server(backend.address)
        for service in site.services
        if service.method == "hash"
        for backend in site.backends(service)
        if backend.address is not None
    ]
    return [each.host for each in servers if peers_of(each, None)[0].address is None]


def note_host_names(names: Iterable[str]) -> None:
    """Print to standard error that host names were not resolved."""
    unique = list(dict.fromkeys(names))
    if unique:
        more = f" and {len(unique) - _NAMES_SHOWN} more" if len(unique) > _NAMES_SHOWN else ""
        click.echo(
            f"note: {', '.join(unique[:_NAMES_SHOWN])}{more}: each host name counts as one "
            "address; --resolve asks this machine how many it has",
            err=True,
        )


def addresses_of(name: str) -> list[str]:
    """Resolve a host name on this machine as nginx does: stream sockets, both families."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
