"""Plots of steps and chains by node, and of how a site spreads its load, with matplotlib."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import MissingExtra, TopologyError
from ..machineid import derive_machineid
from ..markup import clean
from ..record import Step
from ..topology import Topology
from ..topology.spread import measure_spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind people can distinguish, too.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_UNKNOWN = "unknown"
_OTHERS = "others"
_MOST_NAMES = len(_COLOURS) - 1
_NARROWEST = 0.002  # share of the whole time, so that each bar is visible


class Chain(Protocol):
    """One chain of a batch; see `batch.ChainRun` and `batch.WorkflowResult`."""

    @property
    def node(self) -> str | None:
        """The node that ran it."""

    @property
    def started(self) -> float:
        """Seconds since the epoch; 0 if it never started."""

    @property
    def ended(self) -> float | None:
        """Seconds since the epoch; None while it runs."""

    @property
    def error(self) -> object | None:
        """The error that it failed with."""

    @property
    def recalled(self) -> bool:
        """Whether the result came from a journal and nothing was run."""


class Batch(Protocol):
    """A batch; see `batch.WorkflowResults`."""

    @property
    def chains(self) -> Iterable[Chain]:
        """The chains started so far, including running ones."""


class _Bar(NamedTuple):
    node: str
    name: str
    start: float
    end: float
    failed: bool


def plot_steps(steps: Iterable[Step], *, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw steps of a chain over time, with a row for each node.

    Steps that overlap are drawn below each other. Failed steps are hatched; running ones
    extend to now.

    Parameters
    ----------
    steps : iterable of Step
        The `steps` of one workflow, or of several.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    title : str, optional
        The title of the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    now = time.time()
    bars = [
        _Bar(
            node=step.node or _UNKNOWN,
            name=clean(step.process or "?", 40),
            start=step.started,
            end=now if step.ended is None else step.ended,
            failed=step.state in ("failed", "refused", "unknown"),
        )
        for step in steps
        if step.started and step.state != "not sent"
    ]
    return _timeline(bars, ax, title or "Steps by node", "nothing was executed")


def plot_chains(
    results: Batch | Iterable[Chain], *, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw the chains of a batch over time, with a row for each chain that a node runs at a time.

    Parameters
    ----------
    results : WorkflowResults, or iterable of WorkflowResult
        The return value of `map_workflows`, for the chains started so far, including
        running ones; or the results that it yielded.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.
    title : str, optional
        The title of the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    given: Any = results  # iterating over a batch would start chains
    chains: Iterable[Chain] = getattr(given, "chains", given)
    now = time.time()
    bars = [
        _Bar(
            node=chain.node or _UNKNOWN,
            name=_state_of(chain),
            start=chain.started,
            end=now if chain.ended is None else chain.ended,
            failed=chain.error is not None,
        )
        for chain in chains
        if chain.started and not chain.recalled
    ]
    return _timeline(bars, ax, title or f"{len(bars):,} chains by node", "no chain has started")


def plot_spread(
    before: Topology,
    after: Topology | None = None,
    *,
    service: str | None = None,
    keys: int = 10_000,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of bare machineids that each node gets, before and after a change.

    A dotted line marks the share that the node's weight asks for. The title shows how many
    ids the change moves to another node.

    Parameters
    ----------
    before : Topology
        The site as it is.
    after : Topology, optional
        The site after the change.
    service : str, optional
        Name of a service of both; by default the first.
    keys : int, default 10_000
        Number of machineids to try; always the same ones.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    TopologyError, UnknownService
        The site has no service, or not this one.
    PlacementUndetermined
        The decisions of its proxy cannot be predicted.
    """
    sites = [before] if after is None else [before, after]
    name = service or next((s.name for s in before.services), None)
    if name is None:
        raise TopologyError(
            "the site has no service, so there is no load to draw; add one to the topology"
        )
    tried = [derive_machineid("spread", number) for number in range(keys)]
    spreads = [_shares(site, name, tried) for site in sites]
    nodes = list(dict.fromkeys(node for shares in spreads for node in shares))
    ax = _axes(ax, 0.5 + 0.45 * len(nodes))
    height = 0.8 / len(sites)
    for turn, (shares, label) in enumerate(zip(spreads, ("before", "after"), strict=False)):
        rows = [row + (turn - (len(sites) - 1) / 2) * height for row in range(len(nodes))]
        widths = [100 * shares.get(node, (0.0, 0.0))[0] for node in nodes]
        asked = [100 * shares.get(node, (0.0, 0.0))[1] for node in nodes]
        ax.barh(rows, widths, height * 0.9, color=_COLOURS[turn], label=label)
        for row, width, wanted in zip(rows, widths, asked, strict=True):
            ax.annotate(
                f"{width:.1f} %",
                (max(width, wanted), row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize="small",
            )
        half = height * 0.45
        ax.vlines(asked, [r - half for r in rows], [r + half for r in rows], "black", "dotted")
    ax.set_yticks(range(len(nodes)), nodes)
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.set_xlabel("share of the machineids (%); dotted: what the weights ask for")
    title = f"{name}: {keys:,} machineids over {len(spreads[0])} nodes"
    if after is not None:
        moved = _moved(before, after, name, tried)
        title = f"{name}: the change moves {moved:.1%} of {keys:,} machineids"
        ax.legend(frameon=False)
    ax.set_title(title)
    return ax


# ---- drawing ----


def _timeline(bars: Sequence[_Bar], ax: Axes | None, title: str, nothing: str) -> Axes:
    by_node: dict[str, list[_Bar]] = {}
    for bar in sorted(bars, key=lambda bar: bar.start):
        by_node.setdefault(bar.node, []).append(bar)
    nodes = sorted(by_node, key=lambda node: (node == _UNKNOWN, node))
    lanes = {node: _lanes(by_node[node]) for node in nodes}
    rows = {node: max(lanes[node]) + 1 for node in nodes}
    ax = _axes(ax, 0.9 + 0.28 * sum(rows.values()))
    ax.set_title(title)
    if not bars:
        ax.text(0.5, 0.5, nothing, ha="center", va="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    placed: list[tuple[_Bar, int]] = []
    ticks, first = [], 0
    for node in nodes:
        placed += [
            (bar, first + lane) for bar, lane in zip(by_node[node], lanes[node], strict=True)
        ]
        ticks.append(first + (rows[node] - 1) / 2)
        first += rows[node]
        if node != nodes[-1]:
            ax.axhline(first - 0.5, color="#bbbbbb", linewidth=0.6)
    origin = min(bar.start for bar in bars)
    _draw(ax, placed, origin)
    ax.set_yticks(ticks, nodes)
    ax.set_ylim(first - 0.4, -0.6)
    ax.set_xlabel(f"seconds since {time.strftime('%H:%M:%S', time.localtime(origin))}")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _state_of(chain: Chain) -> str:
    if chain.error is not None:
        return "failed"
    return "running" if chain.ended is None else "succeeded"


def _draw(ax: Axes, placed: Sequence[tuple[_Bar, int]], origin: float) -> None:
    """Draw the bars, with one collection for each name, because there may be many."""
    from matplotlib.collections import PolyCollection

    least = _NARROWEST * max(1e-3, max(bar.end for bar, _ in placed) - origin)
    names = list(dict.fromkeys(bar.name for bar, _ in placed))
    colours = dict(zip(names[:_MOST_NAMES], _COLOURS, strict=False))
    groups: dict[tuple[str, bool], list[Any]] = {}
    for bar, row in placed:
        name = bar.name if bar.name in colours else _OTHERS
        left = bar.start - origin
        right = max(left + least, bar.end - origin)
        corners = [(left, row - 0.4), (right, row - 0.4), (right, row + 0.4), (left, row + 0.4)]
        groups.setdefault((name, bar.failed), []).append(corners)
    drawn = [
        PolyCollection(
            boxes,
            facecolors=colours.get(name, _COLOURS[-1]),
            edgecolors="white",
            linewidths=0.5,
            hatch="////" if failed else None,
        )
        for (name, failed), boxes in groups.items()
    ]
    for collection in drawn:
        ax.add_collection(collection)
    ax.autoscale_view()
    labels = [_label(name, failed) for name, failed in groups]
    ax.legend(drawn, labels, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _label(name: str, failed: bool) -> str:
    # Matplotlib reads text between two dollar signs as mathematics.
    words = f"{name} (failed)" if failed and name != "failed" else name
    return words.replace("$", r"\$")


def _lanes(bars: Sequence[_Bar]) -> list[int]:
    """Return a row for each bar, so that none overlap; the bars are sorted by start."""
    free: list[tuple[float, int]] = []  # when a row is free, and its number
    found = []
    for bar in bars:
        if free and free[0][0] <= bar.start:
            _, row = heapq.heappop(free)
        else:
            row = len(free)
        heapq.heappush(free, (bar.end, row))
        found.append(row)
    return found


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise MissingExtra.of("plot", "A picture") from error
    size = (8.0, min(12.0, max(1.8, height)))
    made: Any = plt.subplots(figsize=size, layout="constrained")[1]
    axes: Axes = made
    return axes


# ---- figures ----


def _shares(site: Topology, service: str, keys: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the share of each node, and the share that its weight asks for."""
    [spread] = measure_spread(site.with_services([site.service(service)]), keys).services
    return {name: (node.share, node.expected) for name, node in spread.nodes.items()}


def _moved(before: Topology, after: Topology, name: str, keys: Sequence[str]) -> float:
    pairs = [(site, site.service(name)) for site in (before, after)]
    moved = sum(
        len({next(site.order(service, key), None) for site, service in pairs}) > 1 for key in keys
    )
    return moved / len(keys)
