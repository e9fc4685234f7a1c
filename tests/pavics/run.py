"""Run the chains of PAVICS's notebooks on three real nodes, and count those that succeed.

A chain is a script of `birdy/` or `owslib/`, as users write them. A form of client changes
one line of it: the import. Each run is a new program. A chain succeeds if its answer
is right; with our clients it must also have run on one node, each Execute once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

from pavics_affinity.proxy.render import render_proxy
from pavics_affinity.testing import LocalCluster
from pavics_affinity.topology import Topology

from . import data

HERE = Path(__file__).parent
SECONDS = 300

SERVICES = {
    "emu": "emu.wsgi:create_app",
    "finch": "finch.wsgi:create_app",
    "raven": "pavics.applications:raven",
}
CHAINS = {
    "emu": ("metadata", "words", "copies"),
    "finch": ("heat_waves", "frost_days", "watershed"),
}
"""The chains by the service that they need; that of the watershed needs Raven, too."""

EXECUTES = {"heat_waves": 3, "copies": 3}
"""Number of steps, where it is not two."""

BIRDY = "from birdy import WPSClient"
OWSLIB = "from owslib.wps import WebProcessingService"
BY_HAND = "\n".join(
    [
        "from functools import partial",
        "import birdy",
        "from pavics_affinity import mint_machineid",
        "WPSClient = partial(birdy.WPSClient, headers={'machineid': mint_machineid()})",
    ]
)


@dataclass(frozen=True)
class Form:
    """A form of client: the scripts that it is for, and the line that makes it."""

    name: str
    scripts: str
    line: str

    @property
    def ours(self) -> bool:
        return self.line not in {BIRDY, OWSLIB, BY_HAND}


FORMS = (
    Form("birdy", "birdy", BIRDY),
    Form("birdy, header by hand", "birdy", BY_HAND),
    Form("WPSClient", "birdy", "from pavics_affinity import WPSClient"),
    Form("wf.birdy", "birdy", "from pavics_affinity import Workflow; WPSClient = Workflow().birdy"),
    Form("WebProcessingService", "owslib", "from pavics_affinity import WebProcessingService"),
    Form(
        "wf.wps",
        "owslib",
        "from pavics_affinity import Workflow; WebProcessingService = Workflow().wps",
    ),
)


def strict(topology: Topology) -> dict[str, str]:
    """Return the files of a strict proxy, which publishes its topology."""
    return render_proxy(replace(topology, proxy="strict", evidence="X-Pavics-Node"))


@dataclass(frozen=True)
class Front:
    """What is in front of the nodes: options of the cluster, and files for its proxy."""

    options: dict[str, Any] = field(default_factory=dict)
    files: Callable[[Topology], dict[str, str]] | None = None


FRONTS = {
    "plain nginx": Front(),  # as in the deployment's manual
    "strict nginx": Front(files=strict),
    "Twitcher": Front(options={"front": "twitcher"}),
}
"""Those with the same options share their nodes."""


@dataclass
class Run:
    """One run of one chain."""

    front: str
    form: str
    chain: str
    answer: Any = None
    error: str | None = None
    seconds: float = 0.0
    nodes: list[str] = field(default_factory=list)
    executes: int = 0

    @property
    def right(self) -> bool:
        return self.error is None and self.answer == data.ANSWERS[self.chain]

    @property
    def kept(self) -> bool:
        """Whether it ran on one node, each step once."""
        return len(self.nodes) == 1 and self.executes == EXECUTES.get(self.chain, 2)


class Site:
    """Three nodes, the proxy in front of them, and the programs that run the scripts."""

    def __init__(self, cluster: LocalCluster, data_url: str, python: str) -> None:
        self.cluster = cluster
        self._python = str(Path(python).absolute())  # a link: that is how Python finds its venv
        self._environment = os.environ | {"DATA_URL": data_url, "PYTHONWARNINGS": "ignore"}
        for name in cluster.services:
            self._environment[f"{name.upper()}_WPS_URL"] = cluster.url(name)

    def run(self, front: str, form: Form, chain: str) -> Run:
        """Run a chain in a new program."""
        run = Run(front, form.name, chain)
        path = str(HERE / form.scripts / f"{chain}.py")
        old = BIRDY if form.scripts == "birdy" else OWSLIB
        begun, started = time.time(), time.monotonic()
        with tempfile.TemporaryDirectory() as directory:
            try:
                done = subprocess.run(
                    [self._python, str(HERE / "play.py"), path, old, form.line],
                    capture_output=True,
                    check=False,
                    cwd=directory,
                    env=self._environment,
                    text=True,
                    timeout=SECONDS,
                )
            except subprocess.TimeoutExpired:
                run.error = f"no end in {SECONDS} s"
            else:
                lines = done.stdout.splitlines() or [json.dumps({"error": done.stderr[-500:]})]
                vars(run).update(json.loads(lines[-1]))
        run.seconds = round(time.monotonic() - started, 2)
        seen = [r for r in self.cluster.requests() if r.time >= begun and r.operation == "Execute"]
        run.nodes, run.executes = sorted({request.node for request in seen}), len(seen)
        return run


@contextlib.contextmanager
def site(services: list[str], python: str, options: dict[str, Any]) -> Iterator[Site]:
    """Start the nodes."""
    os.environ["GEO_URL"] = data.geoserver()
    # A job of PyWPS is a fork, in which finch would wait for dask's threads for ever.
    os.environ["DASK_SCHEDULER"] = "synchronous"
    with (
        tempfile.TemporaryDirectory() as directory,
        LocalCluster(
            3, proxy="nginx", services={name: SERVICES[name] for name in services}, **options
        ) as cluster,
    ):
        data.write(Path(directory))
        yield Site(cluster, cluster.serve(directory).url, python)


def table(runs: list[Run]) -> str:
    """Return how many chains of each form succeeded, by front and chain."""
    forms = list(dict.fromkeys(run.form for run in runs))
    lines = []
    for front in dict.fromkeys(run.front for run in runs):
        chains = list(dict.fromkeys(run.chain for run in runs if run.front == front))
        lines.append([front, *forms])
        for chain in [*chains, None]:
            cells = []
            for form in forms:
                cell = [r for r in runs if (r.front, r.form) == (front, form)]
                cell = [r for r in cell if chain in {None, r.chain}]
                cells.append(f"{sum(r.right for r in cell)} of {len(cell)}")
            lines.append([f"  {chain or 'together'}", *cells])
        lines.append([])
    widths = [max(len(line[i]) for line in lines if line) for i in range(len(forms) + 1)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join(text).rstrip()


def main() -> int:
    """Print the table; 1 if a chain with one of our clients does not succeed."""
    names = [form.name for form in FORMS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", nargs="+", choices=CHAINS, default=list(CHAINS))
    parser.add_argument(
        "--clients", nargs="+", metavar="NAME", choices=names, default=names, help=", ".join(names)
    )
    parser.add_argument("--runs", type=int, default=3, help="of each chain with each client")
    parser.add_argument("--fronts", nargs="+", choices=FRONTS, default=list(FRONTS))
    parser.add_argument("--python", default=sys.executable, help="that runs the scripts")
    parser.add_argument("--json", action="store_true", help="print each run")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    forms = [form for form in FORMS if form.name in arguments.clients]
    chains = [chain for service in arguments.services for chain in CHAINS[service]]
    services = [*arguments.services, *(["raven"] if "watershed" in chains else [])]
    runs: list[Run] = []
    for options, fronts in groupby(arguments.fronts, lambda name: FRONTS[name].options):
        print(f"Starting {', '.join(services)} on three nodes", file=sys.stderr)
        with site(services, arguments.python, options) as three:
            for front in fronts:
                three.cluster.reload(proxy_config=FRONTS[front].files)
                for chain, form in product(chains, forms):
                    for _ in range(arguments.runs):
                        runs.append(three.run(front, form, chain))
                        note(runs[-1])
    if arguments.json:
        print(json.dumps([asdict(run) | {"right": run.right} for run in runs], indent=1))
    else:
        print(table(runs))
    ours = {form.name for form in FORMS if form.ours}
    failed = [run for run in runs if run.form in ours and not (run.right and run.kept)]
    for run in failed:
        print(f"{run.front}, {run.form}, {run.chain}: {asdict(run)}", file=sys.stderr)
    return 1 if failed else 0


def note(run: Run) -> None:
    """Say how a run ended."""
    end = "right" if run.right else run.error or f"answered {run.answer!r}"
    line = f"{run.front}, {run.form}, {run.chain}: {' '.join(end.split())[:300]}"
    print(f"{line} ({run.seconds:.1f} s, {', '.join(run.nodes)})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ["TMPDIR"] = tempfile.tempdir = scratch  # birdy and the services leave files
        sys.exit(main())
