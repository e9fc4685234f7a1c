"""Random faults under many chains on real nodes: PyWPS behind nginx, or without it.

While chains run, nodes are killed, stopped and restarted, their disks emptied, and the proxy
is reloaded, stopped and given another server list; in every second run a forward proxy between
the clients and the site also breaks connections. Afterwards the history that the clients saw is
compared with the one that the nodes wrote down.
"""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import psutil

from faults.kinds import KINDS, RIGHT
from faults.link import Fault, Line, Link, Message
from faults.matrix import NOTHING_RAN
from faults.site import environment
from pavics_affinity import Workflow
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import AffinityError
from pavics_affinity.testing import LocalCluster
from support.rendered_cluster import Operator

ROUTES = ("plain", "evidence", "strict", "direct")
BOX = [("lon0", "0"), ("lon1", "3"), ("lat0", "0"), ("lat1", "1")]
SERVICES = ("malleefowl", "flyingpigeon")
THREADS = 8
TOGETHER = 5
"""Chains in one workflow."""
LIMIT = 120.0
"""Seconds after which a chain counts as hanging: its own limits are below 40."""

BUSY = "ServerBusy|Maximum number"
MAY_END = frozenset(
    {
        "BackendUnavailable",
        "DownloadFailed",
        "ExecuteOutcomeUnknown",
        "ExecutionTimeout",
        "NoAnswer",
        "OutputUnavailable",
        "ServiceBusy",
        "ServiceUnreachable",
        "StatusLost",
    }
)
"""Errors that name a cause which the faults of a run can have."""

_HDF5 = threading.Lock()  # it is not thread-safe


@dataclass
class Chain:
    """One chain: what its client saw."""

    number: int
    outcome: str = ""
    message: str = ""
    step: str = "download"
    path: str = ""
    node: str | None = None
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """A run: its chains, and what is wrong with each and with the whole."""

    route: str
    seed: int
    chains: list[Chain] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(chain.outcome for chain in self.chains)

    @property
    def findings(self) -> list[str]:
        of_chains = [
            f"{self.route}, seed {self.seed}, chain {c.number} ({c.outcome} at {c.step}, node "
            f"{c.node}): {'; '.join(c.wrong)} | {c.message[:300]}"
            for c in self.chains
            if c.wrong
        ]
        return of_chains + [f"{self.route}, seed {self.seed}: {words}" for words in self.wrong]


# ---- the sites ----


@dataclass(frozen=True)
class Site:
    """A cluster for one route, and what its workflows are given."""

    route: str
    cluster: LocalCluster
    given: Mapping[str, Any]
    data: str


@contextlib.contextmanager
def site(route: str, directory: Path) -> Iterator[Site]:
    """Start a cluster for a route."""
    options: dict[str, Any] = {"proxy": "none" if route == "direct" else "nginx"}
    if route in ("evidence", "strict"):
        options["evidence"] = "X-Pavics-Node"
    if route == "strict":
        options |= {"proxy_config": Operator(directory, "strict").files, "proxy_style": "strict"}
    with LocalCluster(3, **options) as cluster:
        given: dict[str, Any] = {}
        if route == "evidence":
            given = {"topology": cluster.topology, "route": "proxy"}
        if route == "direct":
            given = {"topology": cluster.topology, "route": "direct"}
        with _grids() as grids:
            yield Site(route, cluster, given, cluster.serve(grids).url)


# ---- the faults ----


class Trouble:
    """Breaks something at random, and fixes it, until it is stopped."""

    def __init__(
        self, cluster: LocalCluster, random_: random.Random, counted: Counter[str]
    ) -> None:
        self.cluster, self.random, self.counted = cluster, random_, counted
        self.kinds: list[Callable[[], None]] = [self.killed, self.paused, self.emptied]
        if cluster.proxy is not None:
            self.kinds += [self.proxy_away, self.reloaded, self.other_servers]
        self.ended = threading.Event()
        self.failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Trouble:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._thread.join(120)

    def _run(self) -> None:
        try:
            while not self.ended.wait(self.random.uniform(0.5, 3)):
                kind = self.random.choice(self.kinds)
                self.counted[kind.__name__.replace("_", " ")] += 1
                kind()
        except BaseException as error:  # noqa: BLE001  # the run reports it
            self.failed.append(error)

    def _a_while(self, longest: float = 2.5) -> None:
        self.ended.wait(self.random.uniform(0.1, longest))

    def killed(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        self.cluster.kill(node)
        self._a_while()
        self.cluster.start(node)

    def paused(self) -> None:
        node = self.random.choice(self.cluster.nodes)
        self.cluster.pause(node)
        self._a_while()
        self.cluster.resume(node)

    def emptied(self) -> None:
        cache = self.cluster.cache(self.random.choice(self.cluster.nodes))
        for path in cache.iterdir():
            shutil.rmtree(path, ignore_errors=True)

    def proxy_away(self) -> None:
        self.cluster.stop_proxy()
        self._a_while()
        self.cluster.start_proxy()

    def reloaded(self) -> None:
        self.cluster.reload()

    def other_servers(self) -> None:
        nodes = list(self.cluster.nodes)
        self.cluster.reload(servers=nodes[1:] + nodes[:1])
        self._a_while()
        self.cluster.reload(servers=nodes)


class RandomLine(Line):
    """Breaks each request with a small probability."""

    def __init__(self, random_: random.Random, counted: Counter[str], share: float = 0.02) -> None:
        super().__init__()
        self.random, self.counted, self.share = random_, counted, share
        self.faults = [kind.fault for kind in KINDS if kind.fault.phase != "connect"]

    def arrived(self, request: Message) -> Fault | None:
        with self.lock:
            if self.random.random() >= self.share:
                return None
            fault = self.random.choice(self.faults)
            self.counted[fault.name] += 1
            return fault

    def answered(self) -> bool:
        return False


# ---- a run ----


def run(site: Site, seed: int, chains: int) -> Outcome:
    """Run chains under faults; the outcome has been compared with the nodes' history."""
    drawn = random.Random(seed)
    outcome = Outcome(site.route, seed)
    before = counts()
    begun, started = time.monotonic(), time.time()
    with contextlib.ExitStack() as ends:
        if seed % 2:
            line = RandomLine(random.Random(drawn.random()), outcome.faults)
            forward = Link(("127.0.0.1", 0), None, line)
            ends.callback(forward.close)
            ends.enter_context(environment(http_proxy=forward.url, no_proxy=""))
        trouble = ends.enter_context(
            Trouble(site.cluster, random.Random(drawn.random()), outcome.faults)
        )
        FINDER.forget()
        with ThreadPoolExecutor(THREADS) as pool:
            work = [
                pool.submit(_chains, site, range(chains)[first : first + TOGETHER], seed)
                for first in range(0, chains, TOGETHER)
            ]
            outcome.chains = [chain for future in work for chain in future.result()]
    outcome.wrong += [f"the faults broke off: {error!r}" for error in trouble.failed]
    _compare(site.cluster, outcome, started)
    outcome.wrong += _leaks(before)
    outcome.seconds = time.monotonic() - begun
    return outcome


@contextlib.contextmanager
def _grids() -> Iterator[str]:
    """Yield a directory with one small grid; each chain adds a different query to its name."""
    with tempfile.TemporaryDirectory() as directory:
        with _HDF5, netCDF4.Dataset(Path(directory) / "grid.nc", "w") as dataset:
            for name, size in (("lat", 2), ("lon", 4)):
                dataset.createDimension(name, size)
                axis = dataset.createVariable(name, "f8", (name,))
                axis.units = "degrees_north" if name == "lat" else "degrees_east"
                axis[:] = np.arange(size)
            dataset.createVariable("t", "f8", ("lat", "lon"))[:] = np.arange(8).reshape(2, 4)
        yield directory


def _chains(site: Site, numbers: Sequence[int], seed: int) -> list[Chain]:
    """Run chains one after the other, in one workflow until one of them fails."""
    waiting = [Chain(number) for number in numbers]
    ended: list[Chain] = []
    while waiting:
        with Workflow(timeout=(5, 8), deadline=5, patience=5, **site.given) as wf:
            clients: list[Any] = []
            while waiting:
                ended.append(waiting.pop(0))
                _chain(site, wf, clients, ended[-1], seed)
                if ended[-1].outcome != RIGHT:
                    break
    return ended


def _chain(site: Site, wf: Workflow, clients: list[Any], chain: Chain, seed: int) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        try:
            if not clients:
                clients += [wf.wps(site.cluster.url(name)) for name in SERVICES]
            _work(clients, chain, f"{site.data}/grid.nc?chain={seed}-{chain.number}", directory)
            chain.outcome = RIGHT
        except AffinityError as error:
            chain.outcome, chain.message = type(error).__name__, error.message
        except Exception as error:  # noqa: BLE001  # a foreign one is a finding
            chain.outcome, chain.message = type(error).__name__, repr(error)
            chain.wrong.append("an error that is not ours")
        left = sorted(path.name for path in Path(directory).iterdir())
    if left != (["subset.nc"] if chain.step == "end" else []):
        chain.wrong.append(f"left {left}")
    chain.node, chain.seconds = wf.node, time.monotonic() - begun
    if chain.seconds > LIMIT:
        chain.wrong.append(f"took {chain.seconds:.0f} s")


def _work(clients: list[Any], chain: Chain, source: str, directory: str) -> None:
    malleefowl, flyingpigeon = clients
    options: dict[str, Any] = {"output": "output", "mode": "sync" if chain.number % 4 else "async"}
    fetched = malleefowl.execute("download", [("resource", source)], **options).wait(20)
    [chain.path] = fetched.output("output").json()
    chain.step = "subset_bbox"
    inputs = [("resource", chain.path), *BOX]
    subset = flyingpigeon.execute("subset_bbox", inputs, **options).wait(20)
    file = subset.output("output").download(Path(directory) / "subset.nc")
    chain.step = "end"
    with _HDF5, netCDF4.Dataset(file.path) as dataset:
        values = dataset["t"][:].tolist()
    if values != [[0, 1, 2, 3], [4, 5, 6, 7]]:
        chain.wrong.append(f"wrong content: {values}")


# ---- the two histories ----


def _compare(cluster: LocalCluster, outcome: Outcome, started: float) -> None:
    runs: dict[str, list[Any]] = defaultdict(list)
    for execution in cluster.executions():
        if execution.started >= started:
            runs[str(execution.inputs.get("resource", [""])[0])].append(execution)
    for chain in outcome.chains:
        source = next((key for key in runs if key.endswith(f"={outcome.seed}-{chain.number}")), "")
        downloads = runs[source]
        subsets = runs[chain.path] if chain.path else []
        judge(chain, outcome.route, downloads, subsets)


def judge(chain: Chain, route: str, downloads: list[Any], subsets: list[Any]) -> None:
    nodes = {run.node for run in (*downloads, *subsets)}
    if len(downloads) > 1 or len(subsets) > 1:
        chain.wrong.append(f"executed {len(downloads)} and {len(subsets)} times")
    if chain.outcome == RIGHT:
        if (len(downloads), len(subsets), len(nodes)) != (1, 1, 1):
            chain.wrong.append(f"{len(downloads)} and {len(subsets)} executions on {nodes}")
        return
    current = downloads if chain.step == "download" else subsets
    if NOTHING_RAN.search(chain.message) and current:
        chain.wrong.append("says that nothing was executed")
    _judge_error(chain, route, nodes)


def _judge_error(chain: Chain, route: str, nodes: set[str]) -> None:
    if chain.outcome == "ExecutionFailed":
        # The disk was emptied, before the step or under it, or behind a plain proxy, which shows
        # nothing, the node changed.
        if not re.search("not in the cache|No such file|HDF error|Process failed, ", chain.message):
            chain.wrong.append("an unexpected failure of the process")
        if route != "plain" and len(nodes) > 1:
            chain.wrong.append(f"executed on {nodes}")
    elif chain.outcome == "ServiceError" and re.search(BUSY, chain.message):
        pass  # of a document that was asked for, not of an Execute
    elif chain.outcome == "AffinityLost":
        if route == "plain":
            chain.wrong.append("AffinityLost without evidence")
    elif chain.outcome not in MAY_END:
        chain.wrong.append("an error that names no cause of the run")
    elif route != "plain" and len(nodes) > 1 and not _says_that_it_is_not_seen(chain):
        chain.wrong.append(f"executed on {nodes}")


def _says_that_it_is_not_seen(chain: Chain) -> bool:
    """Return whether the error admits another node: missing evidence proves nothing."""
    return chain.outcome == "ExecuteOutcomeUnknown" and "or on another node" in chain.message


def _leaks(before: Mapping[str, int]) -> list[str]:
    """Compare threads and connections of this process with those before a run."""
    end = time.monotonic() + 20
    while (now := counts()) != before and time.monotonic() < end:
        time.sleep(0.1)
    return [f"{now[k] - before[k]} {k} left" for k in now if now[k] > before[k]]


def counts() -> dict[str, int]:
    """Return how many threads and connections to other addresses this process has."""
    connections = [
        c
        for c in psutil.Process().net_connections()
        if c.raddr and c.laddr.ip == "127.0.0.1" != c.raddr.ip
    ]
    return {"threads": threading.active_count(), "connections": len(connections)}
