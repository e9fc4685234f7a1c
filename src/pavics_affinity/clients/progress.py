"""Progress bars, when asked for or in a notebook: HTML there, tqdm's elsewhere."""

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
    """Tell whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return any(c.__name__ == "ZMQInteractiveShell" for c in type(shell).__mro__)


def _is_wanted(wanted: bool | None) -> bool:
    if wanted is not None:
        return wanted
    # The chains of a batch, in threads, are waited for as a whole.
    return in_notebook() and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def bar(wanted: bool | None, **options: Any) -> Iterator[Move]:
    """Show a bar while the block runs.

    Parameters
    ----------
    wanted : bool or None
        None shows it in a notebook only.
    **options
        tqdm's: ``total``, ``desc``, ``unit`` ...

    Yields
    ------
    callable
        ``move(position, words=None)``; it does nothing where no bar is shown.

    Raises
    ------
    MissingExtra
        A bar was asked for outside a notebook, and tqdm is not installed.
    """
    if not _is_wanted(wanted):
        yield lambda position, words: None
        return
    if in_notebook():
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
