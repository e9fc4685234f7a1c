"""What birdy makes its results of, and how its clients wait for it.

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
from functools import wraps
from pathlib import Path
from typing import Any

from birdy.exceptions import ProcessFailed
from lxml import etree

from ...errors import ExecutionFailed
from ..wps.execution import Execution

_SAID_AGAIN = 3.0  # seconds, while nothing is new; birdy's own interval


class BirdyExecution(Execution):
    """An execution that birdy makes its results of; their files end with the workflow."""

    #: Told of each answer while it is waited for.
    told: Callable[[Execution], None] | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        # birdy derives the class of each result, with a mix-in of its own in front.
        super().__init_subclass__(**options)
        cls.attach = _cleaned_up(cls.attach)  # the mix-in's
        cls.get = _with_the_reason(cls.get)

    def parseResponse(self, response: etree._Element) -> None:  # noqa: N802 - OWSLib's name
        """Take over what a document says, and tell of it."""
        super().parseResponse(response)
        if self.told is not None:
            self.told(self)


def _cleaned_up(attach: Callable[..., None]) -> Callable[..., None]:
    """Give a result a directory that ends with the session; birdy never removes its own."""

    @wraps(attach)
    def attach_with_our_directory(self: Execution, *args: Any, **options: Any) -> None:
        attach(self, *args, **options)
        own = tempfile.mkdtemp(prefix="pavics-affinity-")
        self.session.ends.callback(shutil.rmtree, own, ignore_errors=True)
        theirs, self._path = getattr(self, "_path", None), own
        if isinstance(theirs, str):
            with contextlib.suppress(OSError):
                Path(theirs).rmdir()  # which keeps a directory that holds anything

    return attach_with_our_directory


def _with_the_reason(get: Callable[..., Any]) -> Callable[..., Any]:
    """Have birdy's errors say what the server said, and only what is still so."""

    @wraps(get)
    def get_or_say_why(self: Execution, *args: Any, **options: Any) -> Any:
        if self.status is not None and not self.isComplete():
            # In a notebook a thread asks how far it is, and may have ended by an error.
            self.checkStatus(sleepSecs=0)
        try:
            return get(self, *args, **options)
        except ProcessFailed as error:
            try:
                self.wait()
            except ExecutionFailed as why:
                raise ProcessFailed(str(why)) from why
            raise error

    return get_or_say_why


def wait_in_console(execution: Execution, logger: logging.Logger) -> None:
    """Wait for the end, logging how far it is; a failure is birdy's to raise, with the result."""
    name, said, last = execution.process.identifier, "", 0.0

    def tell(asked: Execution) -> None:
        nonlocal said, last
        words = f"{name} [{asked.percentCompleted}/100] - {(asked.statusMessage or '')[:50]} "
        if words != said or time.monotonic() - last >= _SAID_AGAIN:
            logger.info(words)
            said, last = words, time.monotonic()

    execution.told = tell
    try:
        execution.wait(progress=False)
    except ExecutionFailed:
        logger.info("%s failed.", name)
    else:
        logger.info("%s done.", name)
    finally:
        execution.told = None


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
