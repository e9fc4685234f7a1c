"""The results of a batch: one per item, as the chains end or in the order of the items."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from ..clients.progress import Move, bar
from ..errors import AffinityWarning, NothingSentWarning, WorkflowClosed
from ..markup.shown import ShownAsCard
from ..record.steps import ENDED
from ..warn import warn
from ..workflow import Workflow
from .dispatcher import GRACE, Dispatcher
from .reporting import ChainRun, End, WorkflowResult, short_repr
from .task import running_here

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..markup.cards import Card

Order = Literal["as_completed", "input"]
OnError = Literal["raise", "return"]

LISTED = 20
"""Chains that an interrupted batch lists."""

_TICK = 1.0
"""Seconds after which a waiting main thread looks for Ctrl-C, which a lock may hide."""


class WorkflowResults(ShownAsCard, Iterator[WorkflowResult]):
    """The results of `map_workflows`: iterate over them, once.

    Nothing is sent before you request the first one. Chains continue while you handle a
    result. After a ``with`` block, or `close`, nothing runs any more in this process.

    Attributes
    ----------
    total : int or None
        How many items there are, if that is known.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        *,
        total: int | None,
        order: Order,
        on_error: OnError,
        progress: bool | None,
    ) -> None:
        self.total = total
        self._dispatcher = dispatcher
        self._reporter = dispatcher.reporter
        self._in_order = order == "input"
        self._raises = on_error == "raise"
        self._raised = False
        self._progress = progress
        self._early: dict[int, WorkflowResult] = {}
        self._turn = 1
        self._given = 0
        self._bar = contextlib.ExitStack()
        self._move: Move = lambda position, words: None
        self._state: Literal["new", "running", "ended", "closed"] = "new"
        self._finish = weakref.finalize(self, _finish, dispatcher)

    # ---- for display ----

    @property
    def chains(self) -> list[ChainRun]:
        """The chains started so far, including running ones, in the order of their start."""
        return self._reporter.chains

    @property
    def running(self) -> list[ChainRun]:
        """The chains that run now."""
        return [chain for chain in self.chains if chain.ended is None]

    @property
    def weights(self) -> Mapping[str, float]:
        """The nodes that take new chains, with their weights; empty if none is known."""
        return dict(self._dispatcher.scheduler.nodes.weights)

    def rows(self) -> list[dict[str, Any]]:
        """Return the chains as plain dicts, for pandas or JSON."""
        return [chain.row() for chain in self.chains]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the chains started so far over time, by node, without waiting for any.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a new figure.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        from ..display import plot_chains

        return plot_chains(self, ax=ax)

    def _card(self) -> Card:
        from ..display.results import batch_card

        return batch_card(self.chains, self.total)

    def __repr__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        states = [chain.state for chain in self.chains]
        counts = ", ".join(
            f"{states.count(state)} {state}"
            for state in ("running", "failed", "lost")
            if state in states
        )
        return f"<{type(self).__name__} {self._given}{of} given{', ' * bool(counts)}{counts}>"

    # ---- iteration ----

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WorkflowResult:
        if self._state == "closed":
            raise WorkflowClosed(
                "this batch was closed; call map_workflows again, with the same journal if there "
                "was one"
            )
        if self._state == "ended":
            raise StopIteration
        try:
            result = self._next()
        except (KeyboardInterrupt, SystemExit) as interrupt:
            interrupt.add_note(_interrupt(self._dispatcher))
            self.close()
            raise
        self._dispatcher.taken()
        if result.error is not None and self._raises:
            self._raised = True
            result.error.add_note(
                "map_workflows: no more chains are started; "
                f"{len(self._dispatcher.attempts)} continue, and none is lost. Iterate over the "
                "same results again to get the others, or use on_error='return'"
            )
            try:
                raise result.error
            finally:
                # The error's traceback holds this frame. Without a reference cycle through
                # the result, a batch that is dropped ends at once and frees its journal.
                del result
        return result

    def close(self) -> None:
        """Stop the batch. Safe to call twice.

        Chains in this process end at their next request. Chains in other processes run to
        their end, and their results go into the journal, if there is one. Jobs at the
        services continue.
        """
        if self._state != "ended":
            self._state = "closed"
        self._bar.close()
        self._finish.detach()
        self._dispatcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _next(self) -> WorkflowResult:
        if self._state == "new":
            self._state = "running"
            self._move = self._bar.enter_context(
                bar(self._progress, total=self.total, desc="chains", unit="chain")
            )
            self._dispatcher.start()
        if self._raised:
            # The caller has seen the error, and wants the others.
            self._raised = False
            self._dispatcher.proceed()
        while True:
            result = self._early.pop(self._turn, None) or self._receive()
            if self._in_order and result.number != self._turn:
                self._early[result.number] = result
                continue
            self._turn = result.number + 1
            self._given += 1
            self._move(self._given, None)
            return result

    def _receive(self) -> WorkflowResult:
        while True:
            match self._reporter.receive(_TICK):
                case WorkflowResult() as result:
                    return result
                case AffinityWarning() as warning:
                    warn(str(warning), type(warning))
                case End(error):
                    self._state = "ended"
                    self._bar.close()
                    self._finish.detach()
                    raise StopIteration if error is None else error


def _finish(dispatcher: Dispatcher) -> None:
    """End a batch that was dropped."""
    if not dispatcher.started:
        warn(
            "nothing was sent: the results of map_workflows were never asked for. Iterate over "
            "them: for result in map_workflows(...)",
            NothingSentWarning,
        )
    dispatcher.close()


# ---- after Ctrl-C ----


def _interrupt(dispatcher: Dispatcher) -> str:
    """Close a batch; return a text that says how to find its running chains again."""
    attempts = dispatcher.attempts
    workflows = [running_here(attempt.machineid) for attempt in attempts]
    dispatcher.close()
    # The answers that Executes still wait for name the jobs.
    end = time.monotonic() + GRACE
    while any(_is_sending(workflow) for workflow in workflows) and time.monotonic() < end:
        time.sleep(0.05)
    if not attempts:
        return "map_workflows: nothing was running"
    lines = [f"map_workflows: nothing more is sent; {len(attempts)} chains were running:"]
    for attempt, workflow in list(zip(attempts, workflows, strict=True))[:LISTED]:
        node = f", node={attempt.node!r}" if attempt.node else ""
        jobs = "".join(f", job {url}" for url in _jobs(workflow))
        lines.append(
            f"  {short_repr(attempt.work.item)}: Workflow({attempt.machineid!r}{node}){jobs}"
        )
    if len(attempts) > LISTED:
        lines.append(f"  and {len(attempts) - LISTED} more: see .running")
    lines.append(
        "Call map_workflows again with the same journal to continue."
        if dispatcher.journal is not None
        else "Their jobs continue at the services: wf.wps(url).attach(job) finds one again. With "
        "journal=DIRECTORY a later call resumes them for you."
    )
    return "\n".join(lines)


def _is_sending(workflow: Workflow | None) -> bool:
    return workflow is not None and any(step.state == "sending" for step in workflow.steps)


def _jobs(workflow: Workflow | None) -> list[str]:
    steps = () if workflow is None else workflow.steps
    return [step.location for step in steps if step.location and step.state not in ENDED]
