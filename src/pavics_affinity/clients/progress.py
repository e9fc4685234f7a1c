"""Progress bars: tqdm's, when asked for or in a notebook."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import MissingExtra

#: Moves a bar to a position, with a few words beside it.
Move = Callable[[float, str | None], None]


def in_notebook() -> bool:
    """Tell whether this runs in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _tqdm(*, wanted: bool | None) -> Any:
    if wanted is False or (wanted is None and not in_notebook()):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        if wanted:
            raise MissingExtra.of("cli", "A progress bar") from error
        return None
    return tqdm


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
        A bar was asked for and tqdm is not installed.
    """
    tqdm = _tqdm(wanted=wanted)
    if tqdm is None:
        yield lambda position, words: None
        return
    with tqdm(**options) as shown:

        def move(position: float, words: str | None) -> None:
            if words is not None:
                shown.set_postfix_str(words, refresh=False)
            shown.update(position - shown.n)

        yield move
