"""Many workflows: a chain for each of many items, shared among the nodes."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable, Collection, Iterable, Sized
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, get_args

from ..errors import InvalidRequest
from ..topology import TopologySource
from ..topology.sources import default_sources, sources_of
from ..transport.times import Seconds, in_seconds
from ..workflow import TopologyLike, Workflow
from .chains import ChainRun
from .dispatcher import Run
from .events import Plan
from .nodes import Nodes
from .recovery import Keep, name_of
from .result import WorkflowResult
from .results import OnError, Order, WorkflowResults
from .scheduler import Share
from .task import Chain
from .threads import Threads

__all__ = ["ChainRun", "WorkflowResult", "WorkflowResults", "map_workflows"]

_OPTIONS = frozenset({"route", "strict", "header", "timeout", "deadline"})

PATIENCE = 3600.0
"""Seconds for which a busy server, or a site that does not answer, is waited for."""


def map_workflows(
    chain: Chain,
    items: Iterable[Any],
    *,
    topology: TopologyLike | Iterable[TopologyLike] | None = None,
    services: Collection[str] | None = None,
    executor: Executor | None = None,
    per_node: int | None = None,
    order: Order = "as_completed",
    on_error: OnError = "raise",
    restart: int = 0,
    journal: str | os.PathLike[str] | None = None,
    key: Callable[[Any], str] | None = None,
    patience: Seconds = PATIENCE,
    progress: bool | None = None,
    **options: Any,
) -> WorkflowResults:
    """Run a chain of processes for each of many items, each in a workflow of its own.

    The nodes share the work by weight, and by what is unfinished on each: a node that
    does not keep up gets less; see `batch.share.Share` for the formula. Drained nodes
    get none. Where no topology is known, the first chain's proxy is asked for one;
    if it publishes none, the proxy's hash over random machineids decides, and a
    warning says so.

    Parameters
    ----------
    chain : callable
        Called as ``chain(workflow, item)``, inside of ``with workflow``. What it
        returns is the result's value. For processes, and with `journal`, it is a
        function of a module.
    items : iterable
        Read in a thread of its own, as chains can begin; it may be endless.
    topology : Topology, path, or several, optional
        As for `Workflow`; of several, the nodes of the first share the work.
    services : collection of str, optional
        Names of the topology's services that the chain uses: only nodes that offer
        them all get chains. By default all services.
    executor : concurrent.futures.Executor, optional
        Where the chains run: a process pool, ``dask.distributed``'s
        ``client.get_executor()`` ... By default threads of this process. It is not
        shut down.
    per_node : int, optional
        Chains at a time on the node of greatest weight; others have less, in
        proportion, but one at least. By default 4 for the least weight, in
        proportion for the greatest, and at most 16. Where no nodes are known, chains
        at a time in all; by default 8.
    order : {"as_completed", "input"}, default "as_completed"
        The order of the results. At most 1,000 wait for the caller before nothing
        more is begun.
    on_error : {"raise", "return"}, default "raise"
        ``"return"`` gives a failed chain as a result with its `error`. ``"raise"``
        raises the error and begins no further chain; those that run go on to their
        end, as long as the program runs, and iterating over the same object again
        gives their results and goes on with the other items.
    restart : int, default 0
        How often a chain may be begun anew on another node if its own is lost,
        although something was executed. A chain that has executed nothing is begun
        anew in any case. Other errors than a lost node never begin a chain anew.
    journal : str or path, optional
        A directory that keeps what is finished and what runs: a later call with the
        same one skips the first and takes up the second. Values are then kept as
        JSON (paths as text), and given as JSON reads them.
    key : callable, optional
        Makes the text by which the journal knows an item again. By default its JSON.
    patience : float or timedelta, default 3600 s
        For how long a busy server is asked again, and a site waited for of which no
        node answers.
    progress : bool, optional
        Show a progress bar; by default in a notebook only.
    **options
        As `Workflow` takes them: ``route``, ``strict``, ``header``, ``timeout``,
        ``deadline``.

    Returns
    -------
    WorkflowResults
        Iterate over it, once. Nothing is sent before that.

    Raises
    ------
    InvalidRequest, TopologyError
        Before anything is sent: an argument makes no sense, or the chain cannot
        travel to the executor's processes.
    JournalError, JournalLocked
        The journal is another chain's, is damaged, or in use.

    Examples
    --------
    >>> def chain(wf, year):  # doctest: +SKIP
    ...     malleefowl = wf.wps("http://proxy:58091/wps")
    ...     download = malleefowl.execute("download", [("resource", url_of(year))]).wait()
    ...     return download.output("output").json()
    >>> for result in map_workflows(chain, range(1950, 2100)):  # doctest: +SKIP
    ...     print(result.item, result.value, result.node)
    """
    _check(chain, per_node=per_node, order=order, on_error=on_error, restart=restart)
    if unknown := set(options) - _OPTIONS:
        raise InvalidRequest(
            f"map_workflows takes no {', '.join(sorted(unknown))}; of a workflow's options it "
            f"takes {', '.join(sorted(_OPTIONS))}"
        )
    try:
        iterator = iter(items)
    except TypeError as error:
        raise InvalidRequest(f"items is {items!r}: expected something iterable") from error
    try:
        seconds = in_seconds(patience)
    except ValueError as error:
        raise InvalidRequest(f"patience: {error}") from error
    sources = tuple(default_sources() if topology is None else sources_of(topology))
    _check_options(sources, options)
    _check_travel(chain, executor)
    nodes = Nodes(sources, services, direct=options.get("route") == "direct")
    share = Share(per_node)
    share.know(nodes.weights)
    run = Run(
        Plan(chain, sources, options, seconds, restart, on_error == "raise"),
        iterator,
        Threads() if executor is None else executor,
        nodes,
        share,
        None if journal is None else Keep(journal, name_of(chain), key),
    )
    total = len(items) if isinstance(items, Sized) else None
    return WorkflowResults(run, total=total, order=order, on_error=on_error, progress=progress)


def _check(chain: object, *, per_node: Any, order: Any, on_error: Any, restart: Any) -> None:
    if not callable(chain):
        raise InvalidRequest(f"chain is {chain!r}: expected a function of a workflow and an item")
    for name, value, known in (("order", order, Order), ("on_error", on_error, OnError)):
        if value not in get_args(known):
            raise InvalidRequest(f"{name}={value!r}: expected one of {get_args(known)}")
    for name, value, least in (("per_node", per_node, 1), ("restart", restart, 0)):
        if value is None and name == "per_node":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidRequest(f"{name}={value!r}: expected a whole number, {least} or more")


def _check_options(sources: Iterable[TopologySource], options: dict[str, Any]) -> None:
    """Make a workflow as the chains will have it, so that what is wrong is told now."""
    Workflow(topology=[copy.copy(source) for source in sources], **options).close()


def _check_travel(chain: object, executor: Executor | None) -> None:
    if not isinstance(executor, ProcessPoolExecutor):
        return
    try:
        pickle.dumps(chain)
    except Exception as problem:
        raise InvalidRequest(
            f"the chain {name_of(chain)} cannot travel to another process ({problem}): it is a "  # type: ignore[arg-type]
            "lambda, a function inside of another, or has something in it that cannot be pickled. "
            "Define it with def at the top of a module, and hand it what it needs by "
            "functools.partial or in the items; or use threads"
        ) from problem
