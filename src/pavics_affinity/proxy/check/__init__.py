"""``check``: what is wrong with the files of a proxy, and what users will see of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...placement.servers import Resolve
from ...topology import Topology
from ..nginx.statements import Statement, StrPath
from ..write import was_edited
from .agreement import Agreement
from .choices import choice_findings
from .compose import compose_findings, read_compose
from .failover import failover_findings
from .files import Files, find_files, read_nginx_files
from .findings import RULES, SEVERITIES, Finding, Severity, Spot, in_order
from .headers import header_findings
from .key import key_findings
from .locations import location_findings
from .ports import port_findings
from .servers import server_findings
from .site import Site
from .streams import stream_findings
from .together import together_findings
from .unjudged import unjudged_findings
from .upstreams import upstream_findings

__all__ = ["RULES", "SEVERITIES", "Files", "Finding", "Severity", "check", "find_files"]

_RULES_ON_NGINX = (
    server_findings,
    upstream_findings,
    choice_findings,
    unjudged_findings,
    stream_findings,
    key_findings,
    together_findings,
    failover_findings,
    location_findings,
    header_findings,
    port_findings,
)


def check(
    *paths: StrPath, topology: StrPath | None = None, resolve: Resolve | None = None
) -> list[Finding]:
    """Look for mistakes in nginx and compose files.

    Parameters
    ----------
    *paths : str or path
        nginx files, docker-compose files (YAML), directories or patterns. Includes are
        followed; snippets of ``conf.d`` will do.
    topology : str or path, optional
        A topology file that the files are held against.
    resolve : callable, optional
        Name of a host to the list of its addresses; without it each name counts as one.

    Returns
    -------
    list of Finding
        Errors first, then by file and line; empty if nothing is wrong.

    Raises
    ------
    NginxConfigError
        A path names nothing, or there is no nginx file.
    TopologyError
        The topology makes no sense.
    MissingExtra
        crossplane or PyYAML is not installed.
    """
    files = find_files(paths)
    statements, found = read_nginx_files(files.nginx)
    told = None if topology is None else Topology.load(topology)
    site = Site(
        statements,
        resolve,
        None if told is None else told.header,
        Spot(files.nginx[0], 1),
        is_incomplete=any(each.rule != "include" for each in found),
    )
    for rules in _RULES_ON_NGINX:
        found += rules(site)
    proxies, bad = read_compose(files.compose) if files.compose else ([], [])
    found += bad
    if files.compose and not bad:
        found += compose_findings(site, proxies, files.compose)
    if told is not None and topology is not None:
        found += Agreement(site, told, os.fspath(topology), proxies).findings()
    found += _edited([*files.nginx, *files.compose, *_files_of(statements)])
    return in_order(found)


def _files_of(statements: Sequence[Statement]) -> Iterator[str]:
    for statement in statements:
        yield statement.file
        yield from _files_of(statement.block)


def _edited(files: Iterable[str]) -> Iterator[Finding]:
    for file in dict.fromkeys(files):
        try:
            edited = was_edited(Path(file).read_bytes())
        except OSError:
            continue  # a finding of its own
        if edited:
            yield Finding(
                file,
                1,
                "edited",
                "note",
                "this file was written by 'pavics-affinity render' and edited since: what it does "
                "is no longer what the topology says, and the next render refuses to replace it",
                "put the change into the topology, and render again with --force",
            )
