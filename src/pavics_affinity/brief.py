"""Short tracebacks, from the user's line to the public method that raised."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from .errors import AffinityError

P = ParamSpec("P")
R = TypeVar("R")


def brief(function: Callable[P, R]) -> Callable[P, R]:
    """Shorten the traceback of our errors: leave out the frames below a public function.

    The message says what failed and why. The original error stays in ``__context__``, where
    debuggers find it.
    """

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AffinityError as error:
            if error.__cause__ is not None:
                # Not shown, because the cause is None and the context is suppressed.
                error.__context__, error.__cause__ = error.__cause__, None
            raise error.with_traceback(None)  # noqa: B904 - it is the one that is handled

    return called
