"""A real DAP 2 server, pydap's, on loopback: each one says by its values which it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydap.handlers.lib import BaseHandler
from pydap.model import BaseType, DatasetType, GridType
from webob import Request

from support.loopback import Answer, Seen, Server


def dataset(number: int) -> DatasetType:
    """Three axes and a field of `number`, as a small climate model has them."""
    made = DatasetType("made", title="made for tests")
    axes = {"time": np.arange(4.0), "lat": np.linspace(-80, 80, 9), "lon": np.arange(0.0, 360, 30)}
    for name, values in axes.items():
        made[name] = BaseType(name, values, dims=(name,), units="1")
    tas = made["tas"] = GridType("tas", units="K")
    field = np.full([len(values) for values in axes.values()], float(number))
    tas["tas"] = BaseType("tas", field, dims=tuple(axes))
    for name, values in axes.items():
        tas[name] = BaseType(name, values, dims=(name,))
    return made


class DapServer(Server):
    """Serves one dataset at every path below it; `instead` may answer first."""

    def __init__(self, host: str, number: int) -> None:
        super().__init__(host)
        self.instead: Callable[[Seen], Answer | None] = lambda seen: None
        self._application = BaseHandler(dataset(number))
        self.answer = lambda seen: self.instead(seen) or self._answer(seen)

    def _answer(self, seen: Seen) -> Answer:
        if not seen.path.partition("?")[0].endswith((".das", ".dds", ".dods")):
            # As THREDDS and Hyrax answer for the resource itself.
            return Answer(400, b"", {"Content-Description": "dods-error"})
        answered = Request.blank(seen.path, headers=dict(seen.headers)).get_response(
            self._application
        )
        return Answer(answered.status_int, answered.body, dict(answered.headers))
