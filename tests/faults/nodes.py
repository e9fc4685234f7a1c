"""Small nodes for the matrix of faults: a WPS and an OGC API that keep their files to themselves.

They are real servers, in threads of this process, behind a real nginx. Real PyWPS nodes are the
subject of the random runs; here a chain must take some milliseconds only.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from lxml import etree

from support import wpsdocs
from support.loopback import Answer, Seen, Server

XML = {"Content-Type": "text/xml"}
JSON = {"Content-Type": "application/json"}
PROCESSES = {"fetch": "source", "subset": "resource", "slow": "source"}


@dataclass(frozen=True)
class Run:
    """An execution, as the node that ran it wrote it down."""

    node: str
    process: str
    machineid: str | None
    value: str


class Node:
    """One node: its files are visible to itself only."""

    def __init__(self, name: str, host: str, port: int, public: str) -> None:
        self.name = name
        self.public = public
        self.runs: list[Run] = []
        self.files: dict[str, bytes] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.server = Server(host, port)
        self.server.answer = self._answer

    def clear(self) -> None:
        self.runs.clear()
        self.files.clear()

    def stop(self) -> None:
        self.server.stop()

    # ---- what it does ----

    def _run(self, process: str, value: str, seen: Seen) -> tuple[str, str] | None:
        """Return a value and the URL of an output; None where the input is not here."""
        with self._lock:
            ids = [header.partition("~")[0] for header in seen.all("machineid")]
            self.runs.append(Run(self.name, process, ids[0] if ids else None, value))
            number = f"{self.name}-{next(self._numbers)}"
            if process != "subset":
                path = f"file:///{self.name}/cache/{number}.nc"
                self.files[path] = f"grid {number}".encode()
                return path, f"{self.public}/outputs/{number}.txt"
            if value not in self.files:
                return None
            made = f"{self.public}/outputs/{number}.txt"
            self.files[made] = b"subset of " + self.files[value] + b"\n"
            return made, made

    def _answer(self, seen: Seen) -> Answer:
        parts = urlsplit(seen.path)
        if parts.path == "/wps":
            return self._wps(seen, {k.lower(): v[-1] for k, v in parse_qs(parts.query).items()})
        if parts.path.startswith("/ogc"):
            return self._ogc(seen, parts.path.removeprefix("/ogc").strip("/"))
        content = self.files.get(self.public + parts.path)
        if content is None:
            return Answer(404, b"not here")
        if parts.path.endswith(".xml"):
            return Answer(200, content, XML)
        return Answer(200, content, {"Content-Type": "text/plain", "ETag": '"1"'})

    # ---- WPS ----

    def _wps(self, seen: Seen, query: dict[str, str]) -> Answer:
        if seen.method == "POST":
            return self._execute(seen)
        if query.get("request", "").lower() == "getcapabilities":
            return Answer(200, wpsdocs.capabilities(*PROCESSES), XML)
        asked = query.get("identifier", "all")
        names = list(PROCESSES) if asked.lower() == "all" else [asked]
        documents = [_description(name) for name in names]
        whole = etree.fromstring(documents[0])
        for document in documents[1:]:
            whole.extend(etree.fromstring(document).findall("{*}ProcessDescription"))
        return Answer(200, etree.tostring(whole), XML)

    def _execute(self, seen: Seen) -> Answer:
        root = etree.fromstring(seen.body)
        process = root.findtext("{*}Identifier") or ""
        value = root.findtext("{*}DataInputs/{*}Input/{*}Data/{*}LiteralData") or ""
        form = root.find("{*}ResponseForm/{*}ResponseDocument")
        done = self._run(process, value, seen)
        if process == "slow":
            time.sleep(5)
        status, outputs = wpsdocs.SUCCEEDED, ""
        if done is None:
            status = wpsdocs.failed(f"{value}: file not in the cache")
        elif process != "subset":
            data = f"<wps:Data><wps:LiteralData>{done[0]}</wps:LiteralData></wps:Data>"
            outputs = wpsdocs.output("output", data)
        else:
            outputs = wpsdocs.reference(done[1])
        if form is None or form.get("status") != "true":
            return Answer(200, wpsdocs.response(status, outputs), XML)
        location = f"{self.public}/outputs/status-{self.name}-{next(self._numbers)}.xml"
        self.files[location] = wpsdocs.response(status, outputs, location=location)
        return Answer(200, wpsdocs.response(wpsdocs.ACCEPTED, location=location), XML)

    # ---- OGC API - Processes ----

    def _ogc(self, seen: Seen, path: str) -> Answer:
        match path.split("/"):
            case [""]:
                return _json({"title": "node", "links": [{"rel": "self", "href": self._at("")}]})
            case ["processes"]:
                return _json({"processes": [self._described(name) for name in PROCESSES]})
            case ["processes", name]:
                return _json(self._described(name))
            case ["processes", name, "execution"]:
                if seen.method != "POST":
                    return _json({"title": "POST executes"}, 405)
                return self._ogc_execute(name, seen)
            case ["jobs", number]:
                return self._job(number)
            case ["jobs", number, "results"]:
                return Answer(200, self.files[self._at(f"jobs/{number}")], JSON)
        return Answer(404, b"{}", JSON)

    def _ogc_execute(self, process: str, seen: Seen) -> Answer:
        value = json.loads(seen.body)["inputs"][PROCESSES[process]]
        done = self._run(process, value, seen)
        if done is None:
            return _json({"title": f"{value}: file not in the cache"}, 500)
        output = done[0] if process != "subset" else {"href": done[1], "type": "text/plain"}
        results = json.dumps({"output": output}).encode()
        if "respond-async" not in " ".join(seen.all("prefer")):
            return Answer(200, results, JSON)
        number = f"{self.name}-{next(self._numbers)}"
        self.files[self._at(f"jobs/{number}")] = results
        document = {"jobID": number, "status": "accepted", "type": "process"}
        return _json(document, 201, {"Location": self._at(f"jobs/{number}")})

    def _job(self, number: str) -> Answer:
        url = self._at(f"jobs/{number}")
        if url not in self.files:
            return _json({"title": "no such job"}, 404)
        return _json({"jobID": number, "status": "successful", "type": "process"})

    def _described(self, name: str) -> dict[str, object]:
        return {
            "id": name,
            "version": "1",
            "title": name,
            "jobControlOptions": ["sync-execute", "async-execute"],
            "inputs": {PROCESSES[name]: {"title": "in", "schema": {"type": "string"}}},
            "outputs": {"output": {"title": "out", "schema": {"type": "string"}}},
        }

    def _at(self, path: str) -> str:
        return f"{self.public}/ogc/{path}"


def _description(process: str) -> bytes:
    document = wpsdocs.description(process, wpsdocs.literal(PROCESSES[process], low=1))
    if process != "subset":  # its output is the path of a file
        literal = rb"<LiteralOutput><ows:DataType>string</ows:DataType></LiteralOutput>"
        document = re.sub(rb"<ComplexOutput>.*</ComplexOutput>", literal, document)
    return document


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), JSON | (headers or {}))
