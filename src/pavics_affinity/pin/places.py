"""Where a workflow's own files are, as far as its documents have told."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..topology.urls import is_plain_path, split_url


class Places:
    """Directories below which a URL is of a file that one node has written.

    A status document or output makes its directory such a place: PyWPS and its
    like put all that belongs to an execution side by side. A file at the root
    of a host speaks for itself only.

    Parameters
    ----------
    urls : iterable of str
        What `urls` of another gave.
    """

    def __init__(self, urls: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: set[str] = set(urls)

    @property
    def urls(self) -> list[str]:
        """What is known, to make an equal one of."""
        with self._lock:
            return sorted(self._known)

    def add(self, url: str) -> None:
        """Learn from the URL of a status document or output."""
        text = _comparable(url)
        if text is None or text in self:
            return
        directory = text.rpartition("/")[0] + "/"
        with self._lock:
            self._known.add(text if directory.count("/") == 3 else directory)

    def __contains__(self, url: str) -> bool:
        text = _comparable(url)
        if text is None:
            return False
        with self._lock:
            if text in self._known:
                return True
            while text.count("/") > 3:
                text = text.rstrip("/").rpartition("/")[0] + "/"
                if text in self._known:
                    return True
        return False


def _comparable(url: str) -> str | None:
    """Return origin and path, or None for what is no plain http or https URL."""
    split = split_url(url)
    if split is None or not is_plain_path(split[1].path):
        return None
    origin, parts = split
    return f"{origin}{parts.path or '/'}"
