"""Run a chain of processes for each of many items, shared among the nodes."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable, Collection, Iterable, Sized
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, get_args

from ..errors import InvalidRequest, message_of
from ..topology import TopologySource
from ..topology.sources import default_sources, sources_of
from ..transport.times import Seconds, in_seconds
from ..workflow import Workflow
from .dispatcher import Dispatcher
from .journal import BatchJournal
from .reporting import ChainRun, WorkflowResult
from .results import OnError, Order, WorkflowResults
from .scheduler import CandidateNodes, Scheduler
from .task import Chain, DaemonThreads

if TYPE_CHECKING:
    from ..workflow import TopologyLike

__all__ = ["ChainRun", "WorkflowResult", "WorkflowResults", "map_workflows"]

_OPTIONS = frozenset({"route", "strict", "header", "timeout", "deadline"})

PATIENCE = 3600.0
"""Seconds to wait for a place in a full queue, or for a site to answer."""


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
    """Run a chain of processes for each of many items, each in its own workflow.

    The nodes share the work by weight, and by the number of unfinished chains on each: a
    slow node gets less. See `batch.scheduler.Scheduler` for the formula. Drained nodes get
    none. Without a topology, the first chain asks its proxy for one. If the proxy publishes
    none, its hash over random machineids decides, and a warning says so.

    Parameters
    ----------
    chain : callable
        Called as ``chain(workflow, item)``, inside ``with workflow``. Its return value is
        the result's value. With processes or `journal`, it must be a function in a
        module.
    items : iterable
        Read in a separate thread, one ahead of the chains; it may be endless.
    topology : Topology, path, or several, optional
        As for `Workflow`. If there are several, the nodes of the first share the work.
    services : collection of str, optional
        Names of the topology's services that the chain uses: only nodes that offer
        them all get chains. By default all services.
    executor : concurrent.futures.Executor, optional
        Runs the chains: a process pool, ``client.get_executor()`` of
        ``dask.distributed`` ... By default threads of this process. It is not shut down.
    per_node : int, optional
        Chains at a time on the node with the greatest weight. The others run fewer, in
        proportion to their weights, but at least one. By default 4 for the least weight,
        and in proportion for the greatest, up to 16. If no nodes are known, the total
        number of chains at a time; by default 8.
    order : {"as_completed", "input"}, default "as_completed"
        The order of the results. When 1,000 results wait for the caller, no more chains
        start.
    on_error : {"raise", "return"}, default "raise"
        ``"return"`` gives a failed chain as a result with its `error`. ``"raise"``
        raises the error and starts no more chains. Running chains continue while the
        program runs. Iterate over the same object again to get their results and to
        continue with the other items.
    restart : int, default 0
        How often a chain may start again on another node if its own is lost after it
        executed something. A chain that has executed nothing always starts again. Only a
        lost node restarts a chain; other errors never do.
    journal : str or path, optional
        A directory that records finished and running chains. A later call with the same
        directory skips finished chains and resumes running ones. Values are stored as
        JSON (paths as text), and returned as JSON reads them.
    key : callable, optional
        Returns the text by which the journal recognises an item; by default its JSON.
    patience : float or timedelta, default 3600 s
        How long an Execute waits for a place in a full queue, and how long the batch
        waits for a site if none of its nodes answers.
    progress : bool, optional
        Show a progress bar; by default in a notebook only.
    **options
        As `Workflow` takes them: ``route``, ``strict``, ``header``, ``timeout``,
        ``deadline``.

    Returns
    -------
    WorkflowResults
        Iterate over it, once. Nothing is sent before you do.

    Raises
    ------
    InvalidRequest, TopologyError
        An argument is invalid, or the chain cannot travel to the executor's processes.
        Nothing was sent.
    JournalError, JournalLocked
        The journal belongs to another chain, is damaged, or in use.

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
            f"map_workflows does not accept {', '.join(sorted(unknown))}; the workflow's options "
            f"that it accepts are {', '.join(sorted(_OPTIONS))}"
        )
    try:
        iterator = iter(items)
    except TypeError:
        raise InvalidRequest(f"items is {items!r}: expected an iterable") from None
    try:
        options["patience"] = in_seconds(patience)
    except InvalidRequest as error:
        raise InvalidRequest(f"patience: {error.message}") from error
    sources = tuple(default_sources() if topology is None else sources_of(topology))
    _check_options(sources, options)
    _check_executor(executor)
    _check_travel(chain, executor)
    nodes = CandidateNodes(sources, services, direct=options.get("route") == "direct")
    dispatcher = Dispatcher(
        chain,
        iterator,
        DaemonThreads() if executor is None else executor,
        Scheduler(nodes, per_node),
        None if journal is None else BatchJournal(journal, _name_of(chain), key),
        options=options,
        restarts=restart,
        stops=on_error == "raise",
    )
    return WorkflowResults(
        dispatcher,
        total=len(items) if isinstance(items, Sized) else None,
        order=order,
        on_error=on_error,
        progress=progress,
    )


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
    """Make a workflow as the chains will, so that a wrong option raises now."""
    Workflow(topology=[copy.copy(source) for source in sources], **options).close()


def _check_executor(executor: object) -> None:
    # dask's executor, and those of other packages, need not derive from Executor.
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise InvalidRequest(
            f"executor is {executor!r}: expected an executor, such as "
            "concurrent.futures.ProcessPoolExecutor() or dask.distributed.Client().get_executor(); "
            "leave it out for threads"
        )


def _check_travel(chain: Chain, executor: Executor | None) -> None:
    if not isinstance(executor, ProcessPoolExecutor):
        return
    try:
        pickle.dumps(chain)
    except Exception as problem:  # noqa: BLE001  # pickling may raise anything
        raise InvalidRequest(
            f"the chain {_name_of(chain)} cannot travel to another process "
            f"({message_of(problem)}): it is a lambda, a function inside of another, or holds "
            "something that cannot be pickled. Define it with def at the top of a module, and "
            "pass what it needs with functools.partial or in the items; or use threads"
        ) from None


def _name_of(chain: Callable[..., Any]) -> str:
    inner = getattr(chain, "func", chain)  # functools.partial
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))
