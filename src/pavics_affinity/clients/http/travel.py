"""What goes to other processes by pickle, Dask's included: clients and outputs; jobs do not."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, NoReturn, Self

from ...errors import InvalidRequest


class CannotTravel(InvalidRequest, TypeError):
    """An `InvalidRequest`, and the TypeError that pickle raises in that case."""


class StaysHere:
    """What is of this process only: its copies are made here, and pickle refuses it."""

    #: What to send in its place, for the error's message.
    sent_instead: ClassVar[str]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise CannotTravel(
            f"{self!r} cannot be sent to another process: it is followed, and recorded, by the "
            f"workflow that started it. Send {self.sent_instead}"
        )

    def __copy__(self) -> Self:
        made = type(self).__new__(type(self))
        if isinstance(made, dict) and isinstance(self, dict):
            made.update(self)
        vars(made).update(self.__getstate__())
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = copy.copy(self)
        if isinstance(made, dict) and isinstance(self, dict):
            made.update(copy.deepcopy(dict(self), memo))
        vars(made).update(copy.deepcopy(vars(made), memo))
        return made
