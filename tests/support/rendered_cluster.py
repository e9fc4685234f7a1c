"""A cluster whose operator works as the manual says: a topology file, render, nginx -t, reload."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from pavics_affinity.cli.group import group
from pavics_affinity.testing import LocalCluster
from pavics_affinity.topology import Topology

MANUAL = ("malleefowl", "flyingpigeon", "hummingbird")


class Operator:
    """Keeps ``site.toml`` and the files rendered from it, in a separate directory."""

    def __init__(self, directory: Path, style: str) -> None:
        self.site = directory / "site.toml"
        self.output = directory / "out"
        self.style = style
        self.draining: frozenset[str] = frozenset()

    def files(self, found: Topology) -> Path:
        """Write the topology file, and render it."""
        nodes = [replace(node, drain=node.name in self.draining) for node in found.nodes]
        replace(found, nodes=nodes).dump(self.site)
        arguments = ["render", str(self.site), "--output", str(self.output), "--style", self.style]
        done = CliRunner().invoke(group, arguments)
        assert done.exit_code == 0, done.output
        return self.output

    def change(
        self, cluster: LocalCluster, nodes: Sequence[str], *, drain: Sequence[str] = ()
    ) -> None:
        """Have these nodes in the file, render, let nginx test it, reload."""
        self.draining = frozenset(drain)
        cluster.reload(servers=list(nodes))


@contextmanager
def rendered_cluster(
    directory: Path, style: str = "strict", services: Sequence[str] = MANUAL
) -> Iterator[tuple[LocalCluster, Operator]]:
    """Serve three nodes by rendered files."""
    operator = Operator(directory, style)
    with LocalCluster(
        3,
        proxy="nginx",
        services=services,
        evidence="X-Pavics-Node" if style == "strict" else None,
        proxy_config=operator.files,
        proxy_style=style,  # type: ignore[arg-type]
    ) as cluster:
        yield cluster, operator
