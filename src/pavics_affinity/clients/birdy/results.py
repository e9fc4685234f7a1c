"""The executions that birdy makes its results of, and how its clients wait for them.

This module needs birdy; `pavics_affinity.clients.birdy.client` imports it where birdy is there.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from birdy.exceptions import ProcessFailed
from lxml import etree

from ...errors import ExecutionFailed
from ..outputs.output import Output, download_all
from ..wps.execution import Execution

_SAID_AGAIN = 3.0  # seconds, while nothing is new; birdy's own interval


class BirdyExecution(Execution):
    """An execution that birdy makes its results of; their files end with the workflow."""

    #: Called after each answer while it is waited for.
    on_answer: Callable[[Execution], None] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        # birdy derives the class of each result, with its own mix-in in front.
        super().__init_subclass__(**options)
        cls.attach = _cleaned_up(cls.attach)  # the mix-in's
        cls.get = _with_the_reason(cls.get)

    def parseResponse(self, response: etree._Element) -> None:  # noqa: N802 - OWSLib's name
        """Take over a document, and call `on_answer`."""
        super().parseResponse(response)
        if self.on_answer is not None:
            self.on_answer(self)


def _cleaned_up(attach: Callable[..., None]) -> Callable[..., None]:
    """Give a result a directory that ends with the session; birdy never removes its own."""

    @wraps(attach)
    def attach_with_our_directory(self: Execution, *args: Any, **options: Any) -> None:
        attach(self, *args, **options)
        # `_path` is birdy's name for the directory into which a result's files are fetched.
        unused = getattr(self, "_path", None)
        self._path = tempfile.mkdtemp(prefix="pavics-affinity-")
        self.session.ends.callback(shutil.rmtree, self._path, ignore_errors=True)
        if isinstance(unused, str):
            _remove_if_temporary(Path(unused))

    return attach_with_our_directory


def _remove_if_temporary(directory: Path) -> None:
    """Remove the empty directory that birdy has just made by `tempfile.mkdtemp`, and no other."""
    made_by_tempfile = directory.name.startswith(tempfile.gettempprefix())
    if made_by_tempfile and directory.parent == Path(tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            directory.rmdir()  # which keeps a directory that holds anything


def _with_the_reason(get: Callable[..., Any]) -> Callable[..., Any]:
    """Give birdy's errors the server's words, after a look at the present status."""

    @wraps(get)
    def get_or_say_why(self: Execution, *args: Any, **options: Any) -> Any:
        if self.status is not None and not self.isComplete():
            # In a notebook a thread asks for the status, and an error may have ended it.
            self.checkStatus(sleepSecs=0)
        try:
            return get(self, *args, **options)
        except ProcessFailed as error:
            try:
                self.wait()
            except ExecutionFailed as why:
                raise ProcessFailed(why.message) from None  # it says all that they say
            raise error

    return get_or_say_why


# ---- results of a subclass, which fetch by themselves ----


def pinned_result(found: Any) -> Any:
    """Have a result that fetches a metalink as rooki's do fetch it over its workflow's session."""
    kind: Any = type(found)
    of_ours = isinstance(getattr(found, "response", None), BirdyExecution)
    if of_ours and all(hasattr(kind, name) for name in _ROOKIS):
        found.__class__ = _pinned_result_class(kind)
    return found


_ROOKIS = ("url", "xml", "download", "datasets")


@cache
def _pinned_result_class(kind: Any) -> type[Any]:
    members = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(kind.__name__, (_LinkedResult, kind), members)


class _LinkedResult:
    """Goes in front of a result class that fetches its files by requests and pymetalink."""

    response: BirdyExecution
    url: str
    output_dir: str
    _fetched: list[str] | None = None

    @property
    def xml(self) -> str:
        """The metalink's text."""
        return self._linked().text()

    def download(self) -> list[str]:
        """Fetch the files that the metalink lists, and return their paths."""
        if self._fetched is not None:
            return self._fetched
        files = self._linked().files()
        done = download_all(self.response.session, files, self.output_dir, progress=False)
        return [str(file.path) for file in done]

    def datasets(self) -> Any:
        """Open the files. rooki's own returns no dataset, and no error, if a download fails."""
        self._fetched = self.download()
        try:
            return super().datasets()  # type: ignore[misc]  # of the class behind this one
        finally:
            self._fetched = None

    def _linked(self) -> Output:
        outputs: list[Output] = self.response.processOutputs
        return next(found for found in outputs if found.reference == self.url)


def wait_in_console(execution: Execution, logger: logging.Logger) -> None:
    """Wait for the end, logging how far it is; birdy raises a failure, with the result."""
    name, said, last = execution.process.identifier, "", 0.0

    def log(asked: Execution) -> None:
        nonlocal said, last
        words = f"{name} [{asked.percentCompleted}/100] - {(asked.statusMessage or '')[:50]} "
        if words != said or time.monotonic() - last >= _SAID_AGAIN:
            logger.info(words)
            said, last = words, time.monotonic()

    execution.on_answer = log
    try:
        execution.wait(progress=False)
    except ExecutionFailed:
        logger.info("%s failed.", name)
    else:
        logger.info("%s done.", name)
    finally:
        execution.on_answer = None


def console() -> logging.Logger:
    """Return a logger that writes to standard output, as birdy's does, and ends with the client.

    birdy adds a handler to one logger for each client: its lines come once for each.
    """
    logger = logging.Logger("WPSClient", logging.INFO)
    logger.parent = logging.getLogger()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s: %(message)s"))
    logger.addHandler(handler)
    return logger
