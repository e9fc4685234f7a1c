"""What the commands about a site share: which site it is, and how it is loaded."""

from __future__ import annotations

import glob
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from ..topology import Topology
from ..topology.sources import VARIABLE, default_topology_path
from ..topology.urls import split_address

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class SiteCommand(click.Command):
    """A command whose ``--nginx`` takes several files, as a shell's pattern gives them.

    What follows the first file is another as long as it looks like one: it ends in
    ``.conf``, has a directory in it, is a pattern, or names a file that is there.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the option before each file."""
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
    """Add the options that say which site a command is about."""
    options = [
        click.option(
            "--topology",
            metavar="FILE",
            help=f"A topology file. [default: {VARIABLE}, else the user's configuration]",
        ),
        click.option(
            "--nginx",
            multiple=True,
            metavar="FILE...",
            help="nginx files, directories or patterns in its place.",
        ),
        click.option(
            "--resolve",
            is_flag=True,
            help="Ask this machine how many addresses host names have; else one each.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def load_site(topology: str | None, nginx: Sequence[str], *, resolve: bool) -> Topology:
    """Load the site that the options name.

    Raises
    ------
    click.UsageError
        The options name two, or nothing names one.
    TopologyError, NginxConfigError
        It makes no sense.
    """
    if topology is not None and nginx:
        raise click.UsageError("give either --topology or --nginx, not both")
    if nginx:
        from ..proxy.read import read_nginx

        return read_nginx(*nginx, resolve=addresses_of if resolve else None)
    path = Path(topology) if topology is not None else default_topology_path()
    if path is None:
        raise click.UsageError(
            f"no site is known here; give --topology FILE or --nginx FILE..., or set {VARIABLE}"
        )
    loaded = Topology.load(path)
    return replace(loaded, resolve=addresses_of) if resolve else loaded


def note_names(topology: Topology) -> None:
    """Say on standard error what was taken for granted of host names."""
    names: dict[str, None] = {}
    for service in topology.services:
        for backend in topology.backends(service):
            parsed = None if backend.address is None else split_address(backend.address)
            if parsed is not None and service.method == "hash" and not _is_address(parsed[0]):
                names[parsed[0]] = None
    if names and topology.resolve is None:
        shown = ", ".join(list(names)[:3]) + (", ..." if len(names) > 3 else "")
        click.echo(
            f"note: {shown}: host names are taken to have one address each, as nginx's plain hash "
            "counts addresses; --resolve asks this machine",
            err=True,
        )


def addresses_of(name: str) -> list[str]:
    """Ask this machine for a host's addresses, in nginx's way (stream sockets, both families).

    Raises
    ------
    OSError
        The name is not known.
    """
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
