"""What the user of a workflow is warned of, and was."""

from __future__ import annotations

import threading

from ..errors import AffinityWarning
from ..markup import without_login
from ..warn import warn


class Remarks:
    """Warnings, by their topic; kept, for who looks at the workflow later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str] = {}

    @property
    def texts(self) -> list[str]:
        """The last warning of each topic."""
        with self._lock:
            return list(self._texts.values())

    def warn(
        self, topic: str, message: str, category: type[AffinityWarning] = AffinityWarning
    ) -> None:
        """Warn, each time."""
        text = without_login(message)
        with self._lock:
            self._texts[topic] = text
        warn(text, category)

    def once(self, topic: str, message: str) -> None:
        """Warn, unless it was done for this topic."""
        with self._lock:
            if topic in self._texts:
                return
            text = self._texts[topic] = without_login(message)
        warn(text)
