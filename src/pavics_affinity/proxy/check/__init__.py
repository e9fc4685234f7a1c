"""``check``: find mistakes in the files of a proxy, and say how they affect users."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...placement.servers import Resolve
from ...topology import Topology
from ..nginx.statements import StrPath, read_files
from ..nginx.trees import Tree
from .agreement import Agreement
from .compose import compose_findings, read_compose
from .failover import failover_findings
from .files import (
    Files,
    count_files,
    edited_findings,
    find_files,
    open_findings,
    unreadable_findings,
)
from .key import key_findings
from .locations import location_findings
from .ports import port_findings
from .rules import RULES, SEVERITIES, Finding, Rule, Severity, in_order
from .servers import server_findings
from .site import Site
from .streams import stream_findings
from .together import together_findings
from .unjudged import unjudged_findings
from .upstreams import upstream_findings

__all__ = [
    "RULES",
    "SEVERITIES",
    "Files",
    "Finding",
    "Rule",
    "Severity",
    "check",
    "count_files",
    "find_files",
]

_RULES_ON_NGINX = (
    server_findings,
    upstream_findings,
    unjudged_findings,
    port_findings,
    stream_findings,
    key_findings,
    together_findings,
    failover_findings,
    location_findings,
)


def check(
    *paths: StrPath,
    topology: StrPath | None = None,
    resolve: Resolve | None = None,
    env: Sequence[StrPath] = (),
) -> list[Finding]:
    """Look for mistakes in nginx and docker-compose files.

    Parameters
    ----------
    *paths : str or path
        nginx files, docker-compose files (YAML), directories or patterns. Includes are
        followed; snippets of ``conf.d`` are enough.
    topology : str or path, optional
        A topology file to compare the files with.
    resolve : callable, optional
        Returns the addresses of a host name; without it, each name counts as one address.
    env : sequence of str or path
        Shell files with values of template variables, in addition to a tree's own
        ``default.env`` and ``env.local``. They are read, not run.

    Returns
    -------
    list of Finding
        Errors first, then by file and line; empty if nothing is wrong.

    Raises
    ------
    NginxConfigError
        A path does not exist, or there is no nginx file.
    TopologyError
        The topology is invalid.
    MissingExtra
        crossplane or PyYAML is not installed.
    """
    given = find_files(paths)
    files = read_files(given.nginx, Tree(given.directories, [os.fspath(each) for each in env]))
    found = list(unreadable_findings(files, given.nginx))
    promised = None if topology is None else Topology.load(topology)
    site = Site(given, files, promised, resolve)
    for rules in _RULES_ON_NGINX:
        found += rules(site)
    proxies, bad = read_compose(given.compose) if given.compose else ([], [])
    found += bad
    if given.compose and not bad:
        found += compose_findings(site, proxies, given.compose)
    if promised is not None and topology is not None:
        found += Agreement(site, promised, os.fspath(topology), proxies).findings()
    found += edited_findings(given, files)
    found += open_findings(files, found)
    return in_order(found)
