"""What a batch gives: a result per item, as the chains end or in the order of the items."""

from __future__ import annotations

import contextlib
import queue
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from ..clients.progress import Move, bar
from ..errors import WorkflowClosed
from ..markup.terminal import in_terminal
from ..warn import warn
from .chains import ChainRun
from .dispatcher import Run
from .events import Broken, End, Remark
from .result import WorkflowResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import RenderableType

Order = Literal["as_completed", "input"]
OnError = Literal["raise", "return"]

_TICK = 1.0
"""Seconds after which a waiting main thread looks for Ctrl-C where a lock hides it."""


class WorkflowResults(Iterator[WorkflowResult]):
    """The results of `map_workflows`: iterate over them, once.

    Nothing is sent before the first one is asked for. Chains go on while the caller
    is busy with a result. In a ``with`` block, or after `close`, nothing is left
    running here.

    Attributes
    ----------
    total : int or None
        How many items there are, where that can be known.
    """

    def __init__(
        self,
        run: Run,
        *,
        total: int | None,
        order: Order,
        on_error: OnError,
        progress: bool | None,
    ) -> None:
        self.total = total
        self._run = run
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
        self._finish = weakref.finalize(self, _finish, run)

    # ---- what people look at ----

    @property
    def chains(self) -> list[ChainRun]:
        """The chains begun so far, running ones included, in the order of their start."""
        return list(self._run.ledger)

    @property
    def running(self) -> list[ChainRun]:
        """The chains that run now."""
        return [chain for chain in self._run.ledger if chain.ended is None]

    @property
    def weights(self) -> Mapping[str, float]:
        """The nodes that take new chains, with their weights; empty where none is known."""
        return dict(self._run.share.weights)

    def rows(self) -> list[dict[str, Any]]:
        """Return the chains as plain dicts, for pandas or JSON."""
        return [chain.row() for chain in self.chains]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the chains begun so far over time, by node; nothing is waited for.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default in a figure of its own.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        from ..display import plot_chains

        return plot_chains(self, ax=ax)

    def _repr_html_(self) -> str:
        from ..display.chains import batch_card

        return batch_card(self.chains, self.total)

    def __rich__(self) -> RenderableType:
        return in_terminal(self._repr_html_())

    # ---- iteration ----

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> WorkflowResult:
        if self._state == "closed":
            raise WorkflowClosed(
                "this batch was closed; call map_workflows again, with the same journal if it "
                "had one"
            )
        if self._state == "ended":
            raise StopIteration
        try:
            result = self._next()
        except (KeyboardInterrupt, SystemExit) as interrupt:
            interrupt.add_note(self._run.interrupt())
            self.close()
            raise
        self._run.taken()
        if result.error is not None and self._raises:
            self._raised = True
            result.error.add_note(self._run.what_goes_on())
            try:
                raise result.error
            finally:
                # The error's traceback holds this frame: without a circle through the
                # result a batch that nobody has any more ends, and its journal is free.
                del result
        return result

    def close(self) -> None:
        """Send nothing more. May be repeated.

        Chains that run in this process end at their next request; those that another
        process runs go on to their end, and what they came to is in the journal if
        there is one. The jobs go on at the services.
        """
        if self._state != "ended":
            self._state = "closed"
        self._bar.close()
        self._finish.detach()
        self._run.close()
        self._run.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        of = "" if self.total is None else f" of {self.total}"
        states = [chain.state for chain in self._run.ledger]
        counts = ", ".join(
            f"{states.count(state)} {state}"
            for state in ("running", "failed", "lost")
            if state in states
        )
        return f"<{type(self).__name__} {self._given}{of} given{', ' * bool(counts)}{counts}>"

    # ---- how ----

    def _next(self) -> WorkflowResult:
        if self._state == "new":
            self._state = "running"
            self._move = self._bar.enter_context(
                bar(self._progress, total=self.total, desc="chains", unit="chain")
            )
            self._run.begin()
        if self._raised:
            # The caller has heard of the error, and wants the others.
            self._raised = False
            self._run.go_on()
        while True:
            result = self._early.pop(self._turn, None) or self._hear()
            if self._in_order and result.number != self._turn:
                self._early[result.number] = result
                continue
            self._turn = result.number + 1
            self._given += 1
            self._move(self._given, None)
            return result

    def _hear(self) -> WorkflowResult:
        while True:
            try:
                heard = self._run.outbox.get(timeout=_TICK)
            except queue.Empty:
                continue
            match heard:
                case WorkflowResult():
                    return heard
                case Remark():
                    warn(heard.text)
                case Broken():
                    self._end()
                    raise heard.error
                case End():
                    self._end()
                    raise StopIteration

    def _end(self) -> None:
        self._state = "ended"
        self._bar.close()
        self._finish.detach()


def _finish(run: Run) -> None:
    """End what nobody can ask any more."""
    if not run.begun:
        warn(
            "the results of map_workflows were never asked for, so nothing was sent; iterate over "
            "them, as in: for result in map_workflows(...)"
        )
    run.close()
    run.join()
