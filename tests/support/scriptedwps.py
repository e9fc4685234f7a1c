"""A WPS whose documents, and faults, a test decides: a real server on loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support import wpsdocs
from support.loopback import Answer, Seen, Server

XML = {"Content-Type": "text/xml"}


class ScriptedWPS(Server):
    """Offers one process, ``step``; what it answers can be set.

    `execute` answers a POST, `status` a GET of the status document, `files`
    any other path.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        super().__init__(host, port, **options)
        self.processes = ["step", "subset_bbox"]
        self.inputs = wpsdocs.literal("delay", "float") + wpsdocs.complex_("resource")
        self.flags = 'storeSupported="true" statusSupported="true"'
        self.describe: Answer | None = None
        self.capabilities: Answer | None = None
        self.execute: Callable[[Seen], Answer] = lambda seen: self.xml(
            wpsdocs.response(wpsdocs.ACCEPTED, location=self.status_url)
        )
        self.status: Callable[[Seen], Answer] = lambda seen: self.xml(
            wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello"))
        )
        self.files: Callable[[Seen], Answer] = lambda seen: Answer(404)
        self.answer = self._answer

    @property
    def status_url(self) -> str:
        return self.url("/outputs/1234.xml")

    @staticmethod
    def xml(body: bytes, status: int = 200, **options: object) -> Answer:
        return Answer(status, body, dict(XML), **options)

    def asked(self, what: str) -> list[Seen]:
        """Return the requests of a kind: an operation, ``status``, or a path."""
        return [seen for seen in self.seen if what in (self._kind(seen), seen.path)]

    @staticmethod
    def _kind(seen: Seen) -> str:
        parts = urlsplit(seen.path)
        if parts.path != "/wps":
            return "status" if parts.path == "/outputs/1234.xml" else "file"
        return "Execute" if seen.method == "POST" else parse_qs(parts.query)["request"][0]

    def _answer(self, seen: Seen) -> Answer:
        match self._kind(seen):
            case "GetCapabilities":
                return self.capabilities or self.xml(wpsdocs.capabilities(*self.processes))
            case "DescribeProcess":
                name = parse_qs(urlsplit(seen.path).query)["identifier"][0]
                if self.describe is None and name not in self.processes:
                    words = f"Unknown process {name}"
                    return self.xml(wpsdocs.report(words, "InvalidParameterValue"), 400)
                return self.describe or self.xml(
                    wpsdocs.description(name, self.inputs, flags=self.flags)
                )
            case "Execute":
                return self.execute(seen)
            case "status":
                return self.status(seen)
        return self.files(seen)
