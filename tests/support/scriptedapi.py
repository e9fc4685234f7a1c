"""An OGC API - Processes whose documents, and faults, a test decides."""

from __future__ import annotations

import json

from support.loopback import Answer, Server

JSON = {"Content-Type": "application/json"}


class ScriptedAPI(Server):
    """Offers one process, ``step``; what it answers can be set."""

    def __init__(self):
        super().__init__()
        self.landing = {"links": []}
        self.described = {"id": "step", "inputs": {"text": {}}, "outputs": {"out": {}}}
        self.execute = lambda seen: self.json({"out": "done"})
        self.other = lambda seen: Answer(404)
        self.answer = self._answer

    @staticmethod
    def json(value, status=200, **headers):
        return Answer(status, json.dumps(value).encode(), JSON | headers)

    def _answer(self, seen):
        if seen.method == "POST":
            return self.execute(seen)
        match seen.path.partition("?")[0]:
            case "/":
                return self.landing if isinstance(self.landing, Answer) else self.json(self.landing)
            case "/processes":
                return self.json({"processes": [{"id": "step"}]})
            case "/processes/step":
                return self.json(self.described)
            case path if path.startswith("/processes/"):
                return self.json({"code": "NoSuchProcess", "description": "not found"}, 404)
        return self.other(seen)
