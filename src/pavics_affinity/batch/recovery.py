"""Lost nodes: how long to wait for them, and notice when they answer again."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import AffinityError, AffinityWarning, BackendUnavailable
from ..record import operation
from ..topology import TopologySource
from ..workflow import Workflow
from .intake import Work
from .scheduler import Scheduler

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
TIMEOUT = 5.0


class LostNodes:
    """The nodes that do not answer, and how long to wait for them.

    A thread for each asks its services for their capabilities, with growing pauses. When they
    answer again, it calls `found` with the node's name.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        patience: float,
        options: Mapping[str, Any],
        found: Callable[[str], None],
    ) -> None:
        self._scheduler = scheduler
        self._patience = patience
        self._options = {**options, "deadline": TIMEOUT, "timeout": TIMEOUT}
        self._found = found
        self._stranded_since: float | None = None
        self._closed = threading.Event()
        self._asking: set[Workflow] = set()

    def lose(self, node: str) -> bool:
        """Mark a node as lost until it answers again; return whether it was not lost before."""
        if node in self._scheduler.lost:
            return False
        self._scheduler.lost.add(node)
        nodes = self._scheduler.nodes
        threading.Thread(
            target=self._watch,
            args=(node, nodes.sources, nodes.urls),
            name=f"pavics-affinity-watch-{node}",
            daemon=True,
        ).start()
        return True

    def outage(self, *, busy: bool) -> BackendUnavailable | None:
        """Return the error that ends the batch, once no node has answered for too long.

        While chains run (`busy`), a node may still answer.
        """
        if busy or not self._scheduler.stranded:
            self._stranded_since = None
            return None
        self._stranded_since = self._stranded_since or time.monotonic()
        if time.monotonic() - self._stranded_since <= self._patience:
            return None
        lost = ", ".join(sorted(self._scheduler.lost))
        return BackendUnavailable(
            f"no node takes any chain for {self._patience:.0f} s: {lost} do not answer, and other "
            "nodes are drained. Call map_workflows again when they answer"
        )

    def overdue(self, work: Work) -> BackendUnavailable | None:
        """Return the error of an item that has waited too long for the node with its files."""
        if not work.is_resumed or work.node not in self._scheduler.lost:
            work.waiting_since = None
            return None
        work.waiting_since = work.waiting_since or time.monotonic()
        if time.monotonic() - work.waiting_since <= self._patience:
            return None
        return BackendUnavailable(
            f"node {work.node!r}, where an earlier call began this item, does not answer. Start it "
            "again; or pass restart=1 if the chain may run twice",
            node=work.node,
            machineid=work.machineid,
        )

    def close(self) -> None:
        """Stop asking lost nodes."""
        self._closed.set()
        for workflow in list(self._asking):
            workflow.close()

    def _watch(self, node: str, sources: Sequence[TopologySource], urls: Sequence[str]) -> None:
        pause = FIRST_PAUSE
        while not self._closed.wait(pause):
            if self._answers(node, sources, urls):
                self._found(node)
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    def _answers(self, node: str, sources: Sequence[TopologySource], urls: Sequence[str]) -> bool:
        topology = [copy.copy(source) for source in sources]
        try:
            workflow = Workflow(node=node, topology=topology, **self._options)
            self._asking.add(workflow)
            try:
                return all(_is_healthy(workflow, url) for url in urls)
            finally:
                self._asking.discard(workflow)
                workflow.close()
        except (AffinityError, AffinityWarning, OSError):  # a warning that is made an error, too
            return False


def _is_healthy(workflow: Workflow, url: str) -> bool:
    query = {"service": "WPS", "request": "GetCapabilities"}
    with (
        operation("health check"),
        workflow.session.get(url, params=query, stream=True) as answer,
    ):
        return answer.status_code < 500
