"""Several files at once, into one directory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ...errors import DownloadFailed, InvalidRequest
from ..http.urls import web_url
from ..progress import bar
from . import names
from .download import Download, Source, save
from .output import Output

if TYPE_CHECKING:
    from ...transport import AffinitySession


def download_all(
    session: AffinitySession,
    urls: Iterable[str | Output],
    directory: str | os.PathLike[str],
    *,
    parallel: int = 4,
    progress: bool | None = None,
) -> list[Download]:
    """Fetch files into a directory, each whole or not at all.

    Parameters
    ----------
    session : AffinitySession
        The workflow's.
    urls : iterable of str or Output
        What is fetched.
    directory : path
        Made if it is not there. Files get the names that their URLs give,
        cleaned; of two equal ones the second gets a number.
    parallel : int, default 4
        How many at a time.
    progress : bool, optional
        Show a progress bar of the files; by default in a notebook only.

    Returns
    -------
    list of Download
        In the order of `urls`.

    Raises
    ------
    InvalidRequest, OutOfScope
        Something is no URL; nothing was fetched.
    OutputUnavailable, DownloadFailed
        One could not be fetched. Those that were not begun are left; those that
        are complete stay.
    """
    wanted = [_wanted(session, item) for item in _listed(urls)]
    if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
        raise InvalidRequest(f"parallel is {parallel!r}; expected a whole number above 0")
    target = _made(Path(directory))
    paths = [target / name for name in _distinct([name for name, _ in wanted])]
    lock = threading.Lock()
    done = 0
    with (
        bar(progress, total=len(wanted), desc="files", unit="file") as move,
        ThreadPoolExecutor(min(parallel, len(wanted) or 1)) as pool,
    ):

        def fetch(what: Output | Source, path: Path) -> Download:
            nonlocal done
            if isinstance(what, Output):
                found = what.download(path, progress=False)
            else:
                found = save(what, path, name=path.name, progress=False)
            with lock:
                done += 1
                move(done, path.name)
            return found

        futures = [
            pool.submit(copy_context().run, fetch, what, path)
            for (_, what), path in zip(wanted, paths, strict=True)
        ]
        finished, left = wait(futures, return_when=FIRST_EXCEPTION)
        for future in left:
            future.cancel()
    for future in finished:
        future.result()
    return [future.result() for future in futures]


def _listed(urls: Iterable[str | Output]) -> list[Any]:
    if isinstance(urls, str | Output):
        return [urls]
    try:
        return list(urls)
    except TypeError:
        raise InvalidRequest(f"urls is {urls!r}; expected URLs or outputs") from None


def _wanted(session: AffinitySession, item: Any) -> tuple[str, Output | Source]:
    if isinstance(item, Output):
        return item._file_name(), item
    if not isinstance(item, str):
        raise InvalidRequest(
            f"{item!r} is a {type(item).__name__}; expected a URL or an output. Nothing was fetched"
        )
    url = web_url(item, base="", what="a file to download")
    return names.from_url(url) or "file", Source(session, url, f"file {url}", {})


def _made(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadFailed(
            f"{str(directory)!r} is no directory to write into: {error}"
        ) from error
    return directory


def _distinct(wanted: list[str]) -> list[str]:
    """Give names that occur again a number, also where they differ in case only."""
    taken: set[str] = set()
    result = []
    for name in wanted:
        path, number, free = PurePosixPath(name), 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{path.stem}-{number}{path.suffix}"
        taken.add(free.casefold())
        result.append(free)
    return result
