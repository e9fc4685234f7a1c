"""Progress bars: HTML in a notebook, tqdm's elsewhere if asked for."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import MissingExtra

#: Moves a bar to a position, with a few words beside it.
Move = Callable[[float, str | None], None]


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return any(c.__name__ == "ZMQInteractiveShell" for c in type(shell).__mro__)


@contextlib.contextmanager
def bar(wanted: bool | None, **options: Any) -> Iterator[Move]:
    """Show a bar while the block runs, and yield what moves it; None shows it in a notebook only.

    The options are tqdm's. MissingExtra is raised outside a notebook if tqdm is not installed.
    """
    notebook = in_notebook()
    if wanted is None:
        # A batch, whose chains run in threads, shows one bar for all.
        wanted = notebook and threading.current_thread() is threading.main_thread()
    if not wanted:
        yield lambda position, words: None
        return
    if notebook:
        from ..display.progress import NotebookBar

        with NotebookBar(options["desc"], options.get("total"), options["unit"]) as page:
            yield page.move
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise MissingExtra.of("cli", "A progress bar") from error
    with tqdm(**options) as shown:

        def move(position: float, words: str | None) -> None:
            if words is not None:
                shown.set_postfix_str(words, refresh=False)
            shown.update(position - shown.n)

        yield move
