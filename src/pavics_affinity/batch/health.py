"""Asks nodes that were lost whether they answer again."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import AffinityError, AffinityWarning
from ..record import operation
from ..topology import TopologySource
from ..workflow import Workflow

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
TIMEOUT = 5.0


class Watch:
    """Asks each lost node something harmless, less and less often, until it answers.

    Parameters
    ----------
    sources : sequence of TopologySource
        What is known of the site.
    options : mapping
        The workflows' options.
    found : callable
        Told the node's name, in a thread of the watch's own.
    """

    def __init__(
        self,
        sources: Sequence[TopologySource],
        options: Mapping[str, Any],
        found: Callable[[str], None],
    ) -> None:
        self.sources = sources
        self._options = {**options, "deadline": TIMEOUT, "timeout": TIMEOUT}
        self._found = found
        self._over = threading.Event()
        self._asking: set[Workflow] = set()

    def ask(self, node: str, urls: Sequence[str]) -> None:
        """Begin to ask a node at these URLs."""
        threading.Thread(
            target=self._ask,
            args=(node, urls),
            name=f"pavics-affinity-watch-{node}",
            daemon=True,
        ).start()

    def close(self) -> None:
        """Ask no more."""
        self._over.set()
        for workflow in list(self._asking):
            workflow.close()

    def _ask(self, node: str, urls: Sequence[str]) -> None:
        pause = FIRST_PAUSE
        while not self._over.wait(pause):
            if self._answers(node, urls):
                self._found(node)
                return
            pause = min(2 * pause, LONGEST_PAUSE)

    def _answers(self, node: str, urls: Sequence[str]) -> bool:
        sources = [copy.copy(source) for source in self.sources]
        options = {**self._options, "topology": sources}
        try:
            workflow = Workflow(node=node, **options)
            self._asking.add(workflow)
            try:
                return all(_answers(workflow, url) for url in urls)
            finally:
                self._asking.discard(workflow)
                workflow.close()
        except (AffinityError, AffinityWarning, OSError):  # a warning that is made an error, too
            return False


def _answers(workflow: Workflow, url: str) -> bool:
    query = {"service": "WPS", "request": "GetCapabilities"}
    with (
        operation("is it there"),
        workflow.session.get(url, params=query, stream=True) as answer,
    ):
        return answer.status_code < 500
