"""The executor that a batch has by default: a thread for each chain."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Threads(Executor):
    """Runs each call at once, in a daemon thread of its own.

    How many run at a time is the caller's to say. Unlike
    `concurrent.futures.ThreadPoolExecutor`'s, these threads do not keep a program
    from ending that was interrupted.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call; return what will have its result."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        threading.Thread(
            target=_run,
            args=(future, fn, args, kwargs),
            name="pavics-affinity-chain",
            daemon=True,
        ).start()
        return future


def _run(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    try:
        result = fn(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  # as any executor does
        future.set_exception(error)
    else:
        future.set_result(result)
