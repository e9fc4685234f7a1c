"""Warnings that name the user's line, even when they are raised deep in libraries."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
from types import FrameType

from .errors import AffinityWarning, see_manual

#: Packages between the user's line and our warnings, besides the standard library.
_BETWEEN = frozenset(
    {
        "pavics_affinity",
        "birdy",
        "boltons",
        "click",
        "dask",
        "distributed",
        "fsspec",
        "owslib",
        "pydap",
        "requests",
        "tqdm",
        "urllib3",
        "webob",
        "xarray",
    }
)


def warn(message: str, category: type[AffinityWarning] = AffinityWarning) -> None:
    """Issue a warning that names the user's line.

    A thread that runs no code of the user has no such line: there the warning names the
    thread. The last line of the text is the URL of the warning's section in the manual.
    """
    message = f"{message}\n{see_manual(category)}"
    frame = inspect.currentframe()
    while frame is not None and _is_between(frame):
        frame = frame.f_back
    if frame is None:
        place = f"<thread {threading.current_thread().name}>"
        warnings.warn_explicit(message, category, place, 0, module="pavics_affinity")
        return
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__") or "<string>",
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_between(frame: FrameType) -> bool:
    known = frame.f_globals
    # Only its package shows who owns a module that `python -m` runs.
    name = str(known.get("__package__") or known.get("__name__") or "")
    if not name:  # code that a library generates: birdy's methods
        return frame.f_code.co_filename.startswith("<")
    root = name.partition(".")[0]
    return root in _BETWEEN or root in sys.stdlib_module_names
