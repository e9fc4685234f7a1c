"""The processes of malleefowl and flyingpigeon, and some that are useful in tests.

It is long because there are many, each with its inputs and outputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from pywps import FORMATS, ComplexInput, ComplexOutput, Format, LiteralInput, LiteralOutput, Process
from pywps.app.exceptions import ProcessError
from pywps.inout.outputs import MetaFile, MetaLink, MetaLink4

from .shared import append_to_log, produced_chunks
from .subset import NothingToSubset, subset_bbox


@dataclass(frozen=True)
class Place:
    """The node of a process, with the cache and the log that all its services share."""

    node: str
    service: str
    cache: Path
    executions: Path


class NodeProcess(Process):
    """A process that logs its runs on the node; the `_answer` of a subclass does the work."""

    identifier: str
    title: str
    inputs: Sequence[Any]
    outputs: Sequence[Any]

    def __init__(self, place: Place) -> None:
        self.place = place
        super().__init__(
            self._handler,
            identifier=self.identifier,
            title=self.title,
            version="1.0",
            inputs=list(self.inputs),
            outputs=list(self.outputs),
            store_supported=True,
            status_supported=True,
        )

    def _answer(self, request: Any, response: Any) -> None:
        raise NotImplementedError

    def _handler(self, request: Any, response: Any) -> Any:
        uuid = str(self.uuid)
        start = {
            "uuid": uuid,
            "service": self.place.service,
            "identifier": self.identifier,
            "inputs": _literals(request),
            "started": time.time(),
        }
        append_to_log(self.place.executions, start)
        error: str | None = None
        try:
            self._answer(request, response)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            end = {"uuid": uuid, "ended": time.time(), "error": error}
            append_to_log(self.place.executions, end)
        return response

    def directory(self, name: str) -> Path:
        """Make a directory for this run, which PyWPS removes afterwards."""
        path = Path(self.workdir) / name
        path.mkdir()
        return path


def processes_of(place: Place) -> list[NodeProcess]:
    """Return the processes of a service; a service with an unknown name has all of them."""
    own: dict[str, tuple[type[NodeProcess], ...]] = {
        "malleefowl": (Download,),
        "flyingpigeon": (SubsetBbox, SubsetBboxComplex),
    }
    common = (Sleep, Echo, Fail, Produce, MultipleOutputs, WordCounter)
    kinds = own.get(place.service, (Download, SubsetBbox, SubsetBboxComplex))
    return [kind(place) for kind in (*kinds, *common)]


# ---- inputs and outputs ----


def _text(identifier: str, title: str, **occurs: int) -> LiteralInput:
    return LiteralInput(identifier, title, data_type="string", **occurs)


def _string(identifier: str, title: str) -> LiteralOutput:
    return LiteralOutput(identifier, title, data_type="string")


def _complex_output(identifier: str, title: str, kind: Format) -> ComplexOutput:
    return ComplexOutput(identifier, title, as_reference=True, supported_formats=[kind])


def _link(path: Path, kind: Format) -> MetaFile:
    link = MetaFile(path.stem, fmt=kind)
    link.file = str(path)
    return link


def _first(request: Any, identifier: str) -> Any:
    values = request.inputs.get(identifier)
    return values[0].data if values else None


def _literals(request: Any) -> dict[str, list[Any]]:
    return {
        identifier: [item.data for item in values if isinstance(item, LiteralInput)]
        for identifier, values in request.inputs.items()
    }


# ---- malleefowl's ----


class Download(NodeProcess):
    """Fetch files into the node's own cache."""

    identifier, title = "download", "Download files"
    inputs = (_text("resource", "URL of your resource", min_occurs=1, max_occurs=1024),)
    outputs = (_complex_output("output", "JSON list of the files, as file URLs", FORMATS.JSON),)

    def _answer(self, request: Any, response: Any) -> None:
        urls = [item.data for item in request.inputs["resource"]]
        files = []
        for done, url in enumerate(urls):
            response.update_status(
                f"downloading file {done + 1} of {len(urls)}", 95 * done // len(urls)
            )
            files.append(fetch(url, self.place.cache).as_uri())
        target = Path(self.workdir) / "files.json"
        target.write_text(json.dumps(files, indent=4), encoding="utf-8")
        response.outputs["output"].file = str(target)


def fetch(url: str, directory: Path) -> Path:
    """Fetch a file once into a cache, under its own name in a directory for its URL."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ProcessError(f"cannot download {url}: expected an http URL")
    name = Path(unquote(parts.path)).name.replace("\0", "") or "file"
    target = directory / hashlib.sha256(url.encode()).hexdigest()[:16] / name
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{name}.{os.getpid()}.part")
    try:
        with requests.get(url, stream=True, timeout=60) as answer, part.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(1 << 16):
                file.write(chunk)
        part.replace(target)
    except requests.RequestException as error:
        raise ProcessError(f"cannot download {url}: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


# ---- flyingpigeon's ----

_EDGES = {
    "lon0": "Minimum longitude",
    "lon1": "Maximum longitude",
    "lat0": "Minimum latitude",
    "lat1": "Maximum latitude",
}
_BOX = (
    *(LiteralInput(name, title, data_type="float") for name, title in _EDGES.items()),
    _text("start", "First time, ISO 8601", min_occurs=0),
    _text("end", "Last time, ISO 8601", min_occurs=0),
    _text("variable", "Variables to keep", min_occurs=0, max_occurs=100),
)


class SubsetBbox(NodeProcess):
    """Cut a box out of each NetCDF file."""

    identifier, title = "subset_bbox", "Subset netCDF file on bounding box"
    inputs = (
        _text("resource", "NetCDF files, as URLs", min_occurs=1, max_occurs=1024),
        *_BOX,
    )
    outputs = (
        _complex_output("output", "The first file's subset", FORMATS.NETCDF),
        _complex_output("metalink", "Links to all subsets", FORMATS.META4),
    )

    def _answer(self, request: Any, response: Any) -> None:
        resources = request.inputs["resource"]
        options = {name: _first(request, name) for name in (*_EDGES, "start", "end")}
        options["variables"] = [item.data for item in request.inputs.get("variable", ())]
        links = MetaLink4("subset", workdir=self.workdir)
        directory = self.directory("subsets")
        for number, resource in enumerate(resources):
            response.update_status(
                f"cutting file {number + 1} of {len(resources)}", 5 + 85 * number // len(resources)
            )
            source = self._file(resource)
            target = directory / f"{source.stem}_bbox_subset{f'_{number}' if number else ''}.nc"
            try:
                subset_bbox(source, target, **options)
            except NothingToSubset as error:
                raise ProcessError(str(error)) from error
            links.append(_link(target, FORMATS.NETCDF))
        response.outputs["output"].file = links.files[0].file
        response.outputs["metalink"].data = links.xml

    def _file(self, resource: Any) -> Path:
        url = resource.data
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"}:
            name = f"input_{hashlib.sha256(url.encode()).hexdigest()[:8]}"
            return fetch(url, self.directory(name))
        cache = self.place.cache.resolve()
        path = Path(unquote(parts.path)) if parts.scheme == "file" else None
        # Files of other nodes are on the same disk, but a node sees only its own.
        if path is None or not path.is_file() or not path.resolve().is_relative_to(cache):
            raise ProcessError(f"file not in the cache of {self.place.node}: {url}")
        return path


class SubsetBboxComplex(SubsetBbox):
    """Accept a complex input: PyWPS itself fetches references, and clients can embed a file."""

    identifier = "subset_bbox_complex"
    inputs = (
        ComplexInput(
            "resource",
            "NetCDF files",
            supported_formats=[FORMATS.NETCDF],
            min_occurs=1,
            max_occurs=1024,
        ),
        *_BOX,
    )

    def _file(self, resource: Any) -> Path:
        return Path(resource.file)


# ---- for tests ----


class Sleep(NodeProcess):
    """Sleep, and report progress in steps of at least 50 ms."""

    identifier, title = "sleep", "Sleep"
    inputs = (LiteralInput("delay", "Seconds", data_type="float", default=1.0, min_occurs=0),)
    outputs = (_string("sleep_output", "Where it slept"),)

    def _answer(self, request: Any, response: Any) -> None:
        delay = float(_first(request, "delay"))
        begin = time.monotonic()
        steps = max(1, min(10, int(delay / 0.05)))
        for step in range(1, steps + 1):
            time.sleep(max(0.0, begin + delay * step / steps - time.monotonic()))
            if step < steps:
                response.update_status(f"slept {step} of {steps} parts", 100 * step // steps)
        response.outputs["sleep_output"].data = f"slept on {self.place.node}"


class Echo(NodeProcess):
    """Return the text, and the name of the node."""

    identifier, title = "echo", "Echo"
    inputs = (_text("text", "Anything", min_occurs=1, max_occurs=100),)
    outputs = (_string("text", "The same"), _string("node", "Name of the node that ran it"))

    def _answer(self, request: Any, response: Any) -> None:
        response.outputs["text"].data = " ".join(item.data for item in request.inputs["text"])
        response.outputs["node"].data = self.place.node


class Fail(NodeProcess):
    """Fail: with a message as for a user's mistake, without one as for a bug."""

    identifier, title = "fail", "Fail"
    inputs = (_text("message", "The error message; without it the process crashes", min_occurs=0),)
    outputs = (_string("output", "Never set"),)

    def _answer(self, request: Any, response: Any) -> None:
        if message := _first(request, "message"):
            raise ProcessError(message)
        raise RuntimeError("a bug in the process")


class Produce(NodeProcess):
    """Write an output of any size; see `produced_chunks`."""

    identifier, title = "produce", "Produce"
    inputs = (
        LiteralInput("megabytes", "Size in units of 2**20 bytes", data_type="float"),
        LiteralInput("seed", "Seed", data_type="integer", default=0, min_occurs=0),
    )
    outputs = (
        _complex_output(
            "output", "The bytes", Format("application/octet-stream", extension=".bin")
        ),
    )

    def _answer(self, request: Any, response: Any) -> None:
        target = Path(self.workdir) / "produced.bin"
        with target.open("wb") as file:
            file.writelines(produced_chunks(_first(request, "megabytes"), _first(request, "seed")))
        response.outputs["output"].file = str(target)


class MultipleOutputs(NodeProcess):
    """Write several text files and link them, as metalink 3 and 4."""

    identifier, title = "multiple_outputs", "Multiple outputs"
    inputs = (LiteralInput("count", "Files", data_type="integer", default=2, min_occurs=0),)
    outputs = (
        _complex_output("output", "Metalink 4", FORMATS.META4),
        _complex_output("output_meta3", "Metalink 3", FORMATS.METALINK),
    )

    def _answer(self, request: Any, response: Any) -> None:
        directory, work = self.directory("texts"), self.workdir
        both = MetaLink4("texts", workdir=work), MetaLink("texts", workdir=work)
        for number in range(_first(request, "count")):
            path = directory / f"text_{number}.txt"
            path.write_text(f"text {number} of {self.place.node}\n", encoding="utf-8")
            for links in both:
                links.append(_link(path, FORMATS.TEXT))
        response.outputs["output"].data = both[0].xml
        response.outputs["output_meta3"].data = both[1].xml


class WordCounter(NodeProcess):
    """Count the words of a text.

    PyWPS fetches a reference without checking the HTTP status, so the words of
    an error page are counted, too.
    """

    identifier, title = "wordcounter", "Word counter"
    inputs = (ComplexInput("text", "Text", supported_formats=[FORMATS.TEXT]),)
    outputs = (LiteralOutput("output", "Number of words", data_type="integer"),)

    def _answer(self, request: Any, response: Any) -> None:
        text = Path(request.inputs["text"][0].file).read_text(encoding="utf-8", errors="replace")
        response.outputs["output"].data = len(text.split())
