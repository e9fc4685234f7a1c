"""Opening outputs with xarray.

HDF5 is not thread-safe, and two opens at once have crashed the interpreter, so
they take turns. A file is kept while its dataset is open, and no longer than
Python runs: it is read lazily, also after the workflow has ended.
"""

from __future__ import annotations

import contextlib
import secrets
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MissingExtra

if TYPE_CHECKING:
    import xarray

#: Held while a file is opened or closed.
HDF5_LOCK = threading.RLock()

_directory: tempfile.TemporaryDirectory[str] | None = None


def scratch(name: str) -> Path:
    """Return a path, in a new directory, for a file that is removed when Python ends.

    The name is expected to be clean.
    """
    global _directory  # noqa: PLW0603 - one per Python process, made when first needed
    with HDF5_LOCK:
        if _directory is None:
            _directory = tempfile.TemporaryDirectory(
                prefix="pavics-affinity-", ignore_cleanup_errors=True
            )
        own = Path(_directory.name) / secrets.token_hex(6)
        own.mkdir(parents=True)
    return own / name


def open_file(path: Path, **options: Any) -> xarray.Dataset:
    """Open a file made by `scratch` with xarray's options; closing the dataset removes it."""
    try:
        import xarray
    except ImportError as error:
        raise MissingExtra.of("notebook", "Opening an output as a dataset") from error
    with HDF5_LOCK:
        try:
            dataset = xarray.open_dataset(path, **options)
        except BaseException:
            _remove(path)
            raise

    def close() -> None:
        with HDF5_LOCK:
            dataset.close()
            _remove(path)

    shown = dataset.copy()  # shallow, and still lazy: `dataset` keeps the file's own closing
    shown.set_close(close)
    return shown


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
