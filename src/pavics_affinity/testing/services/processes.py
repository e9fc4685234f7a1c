"""The processes of malleefowl and flyingpigeon, and some that are useful in tests.

It is long because each process is a short function with a list of inputs and outputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
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

_OCTETS = Format("application/octet-stream", extension=".bin")


@dataclass(frozen=True)
class Place:
    """The node of a process, with the cache and the log that all its services share."""

    node: str
    service: str
    cache: Path
    executions: Path


class NodeProcess(Process):
    """A process that logs its runs on the node; `run` does the work."""

    def __init__(
        self,
        place: Place,
        identifier: str,
        title: str,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        run: Callable[[NodeProcess, Any, Any], None],
    ) -> None:
        self.place = place
        self._run_on_node = run
        super().__init__(
            self._handler,
            identifier=identifier,
            title=title,
            version="1.0",
            inputs=list(inputs),
            outputs=list(outputs),
            store_supported=True,
            status_supported=True,
        )

    def _handler(self, request: Any, response: Any) -> Any:
        entry = {"uuid": str(self.uuid), "service": self.place.service}
        start = {
            "event": "start",
            "identifier": self.identifier,
            "inputs": _literals(request),
            "time": time.time(),
            "pid": os.getpid(),
        }
        append_to_log(self.place.executions, entry | start)
        error: str | None = None
        try:
            self._run_on_node(self, request, response)
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            end = {"event": "end", "time": time.time(), "error": error}
            append_to_log(self.place.executions, entry | end)
        return response

    def directory(self, name: str) -> Path:
        """Make a directory for this run, which PyWPS removes afterwards."""
        path = Path(self.workdir) / name
        path.mkdir()
        return path


def processes_of(place: Place) -> list[NodeProcess]:
    """Return the processes of a service; a service with an unknown name has all of them."""
    own = {"malleefowl": (_download,), "flyingpigeon": (_subset_bbox, _subset_bbox_complex)}.get(
        place.service, (_download, _subset_bbox, _subset_bbox_complex)
    )
    common = (_sleep, _echo, _fail, _produce, _multiple_outputs, _wordcounter)
    return [make(place) for make in (*own, *common)]


# ---- malleefowl's ----


def _download(place: Place) -> NodeProcess:
    """Fetch files into the node's own cache."""

    def run(process: NodeProcess, request: Any, response: Any) -> None:
        urls = [item.data for item in request.inputs["resource"]]
        files = []
        for done, url in enumerate(urls):
            response.update_status(
                f"downloading file {done + 1} of {len(urls)}", 95 * done // len(urls)
            )
            files.append(fetch(url, place.cache).as_uri())
        target = Path(process.workdir) / "files.json"
        target.write_text(json.dumps(files, indent=4), encoding="utf-8")
        response.outputs["output"].file = str(target)

    return NodeProcess(
        place,
        "download",
        "Download files",
        [_text("resource", "URL of your resource", min_occurs=1, max_occurs=1024)],
        [_complex_output("output", "JSON list of the files, as file URLs", FORMATS.JSON)],
        run,
    )


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


def _subset_bbox(place: Place) -> NodeProcess:
    resource = _text("resource", "NetCDF files, as URLs", min_occurs=1, max_occurs=1024)
    return _subset(place, "subset_bbox", resource)


def _subset_bbox_complex(place: Place) -> NodeProcess:
    """Accept a complex input: PyWPS itself fetches references, and clients can embed a file."""
    resource = ComplexInput(
        "resource",
        "NetCDF files",
        supported_formats=[FORMATS.NETCDF],
        min_occurs=1,
        max_occurs=1024,
    )
    return _subset(place, "subset_bbox_complex", resource)


def _subset(place: Place, identifier: str, resource: Any) -> NodeProcess:
    edges = {"lon0": "Minimum longitude", "lon1": "Maximum longitude"}
    edges |= {"lat0": "Minimum latitude", "lat1": "Maximum latitude"}
    return NodeProcess(
        place,
        identifier,
        "Subset netCDF file on bounding box",
        [
            resource,
            *(LiteralInput(name, title, data_type="float") for name, title in edges.items()),
            _text("start", "First time, ISO 8601", min_occurs=0),
            _text("end", "Last time, ISO 8601", min_occurs=0),
            _text("variable", "Variables to keep", min_occurs=0, max_occurs=100),
        ],
        [
            _complex_output("output", "The first file's subset", FORMATS.NETCDF),
            _complex_output("metalink", "Links to all subsets", FORMATS.META4),
        ],
        _run_subset,
    )


def _run_subset(process: NodeProcess, request: Any, response: Any) -> None:
    """Cut a box out of each NetCDF file."""
    resources = request.inputs["resource"]
    options = {name: _first(request, name) for name in ("lon0", "lon1", "lat0", "lat1")}
    options |= {name: _first(request, name) for name in ("start", "end")}
    options["variables"] = [item.data for item in request.inputs.get("variable", ())]
    links = MetaLink4("subset", workdir=process.workdir)
    directory = process.directory("subsets")
    for number, resource in enumerate(resources):
        response.update_status(
            f"cutting file {number + 1} of {len(resources)}", 5 + 85 * number // len(resources)
        )
        if isinstance(resource, ComplexInput):
            source = Path(resource.file)
        else:
            source = _local_file(process, resource.data)
        target = directory / f"{source.stem}_bbox_subset{f'_{number}' if number else ''}.nc"
        try:
            subset_bbox(source, target, **options)
        except NothingToSubset as error:
            raise ProcessError(str(error)) from error
        links.append(_link(target, FORMATS.NETCDF))
    response.outputs["output"].file = links.files[0].file
    response.outputs["metalink"].data = links.xml


def _local_file(process: NodeProcess, url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:
        name = f"input_{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        return fetch(url, process.directory(name))
    cache = process.place.cache.resolve()
    path = Path(unquote(parts.path)) if parts.scheme == "file" else None
    # Files of other nodes are on the same disk, but a node sees only its own.
    if path is None or not path.is_file() or not path.resolve().is_relative_to(cache):
        raise ProcessError(f"file not in the cache of {process.place.node}: {url}")
    return path


# ---- for tests ----


def _sleep(place: Place) -> NodeProcess:
    """Sleep, and report progress in steps of at least 50 ms."""

    def run(_: NodeProcess, request: Any, response: Any) -> None:
        delay = float(_first(request, "delay"))
        begin = time.monotonic()
        steps = max(1, min(10, int(delay / 0.05)))
        for step in range(1, steps + 1):
            time.sleep(max(0.0, begin + delay * step / steps - time.monotonic()))
            if step < steps:
                response.update_status(f"slept {step} of {steps} parts", 100 * step // steps)
        response.outputs["sleep_output"].data = f"slept on {place.node}"

    return NodeProcess(
        place,
        "sleep",
        "Sleep",
        [LiteralInput("delay", "Seconds", data_type="float", default=1.0, min_occurs=0)],
        [LiteralOutput("sleep_output", "Where it slept", data_type="string")],
        run,
    )


def _echo(place: Place) -> NodeProcess:
    """Return the text, and the name of the node."""

    def run(_: NodeProcess, request: Any, response: Any) -> None:
        response.outputs["text"].data = " ".join(item.data for item in request.inputs["text"])
        response.outputs["node"].data = place.node

    return NodeProcess(
        place,
        "echo",
        "Echo",
        [_text("text", "Anything", min_occurs=1, max_occurs=100)],
        [
            LiteralOutput("text", "The same", data_type="string"),
            LiteralOutput("node", "Name of the node that ran it", data_type="string"),
        ],
        run,
    )


def _fail(place: Place) -> NodeProcess:
    """Fail: with a message as for a user's mistake, without one as for a bug."""

    def run(_: NodeProcess, request: Any, response: Any) -> None:
        if message := _first(request, "message"):
            raise ProcessError(message)
        raise RuntimeError("a bug in the process")

    return NodeProcess(
        place,
        "fail",
        "Fail",
        [_text("message", "The error message; without it the process crashes", min_occurs=0)],
        [LiteralOutput("output", "Never set", data_type="string")],
        run,
    )


def _produce(place: Place) -> NodeProcess:
    """Write an output of any size; see `produced_chunks`."""

    def run(process: NodeProcess, request: Any, response: Any) -> None:
        target = Path(process.workdir) / "produced.bin"
        with target.open("wb") as file:
            for chunk in produced_chunks(_first(request, "megabytes"), _first(request, "seed")):
                file.write(chunk)
        response.outputs["output"].file = str(target)

    return NodeProcess(
        place,
        "produce",
        "Produce",
        [
            LiteralInput("megabytes", "Size in units of 2**20 bytes", data_type="float"),
            LiteralInput("seed", "Seed", data_type="integer", default=0, min_occurs=0),
        ],
        [_complex_output("output", "The bytes", _OCTETS)],
        run,
    )


def _multiple_outputs(place: Place) -> NodeProcess:
    """Write several text files and link them, as metalink 3 and 4."""

    def run(process: NodeProcess, request: Any, response: Any) -> None:
        directory, work = process.directory("texts"), process.workdir
        both = MetaLink4("texts", workdir=work), MetaLink("texts", workdir=work)
        for number in range(_first(request, "count")):
            path = directory / f"text_{number}.txt"
            path.write_text(f"text {number} of {place.node}\n", encoding="utf-8")
            for links in both:
                links.append(_link(path, FORMATS.TEXT))
        response.outputs["output"].data = both[0].xml
        response.outputs["output_meta3"].data = both[1].xml

    return NodeProcess(
        place,
        "multiple_outputs",
        "Multiple outputs",
        [LiteralInput("count", "Files", data_type="integer", default=2, min_occurs=0)],
        [
            _complex_output("output", "Metalink 4", FORMATS.META4),
            _complex_output("output_meta3", "Metalink 3", FORMATS.METALINK),
        ],
        run,
    )


def _wordcounter(place: Place) -> NodeProcess:
    """Count the words of a text.

    PyWPS fetches a reference without checking the HTTP status, so the words of
    an error page are counted, too.
    """

    def run(_: NodeProcess, request: Any, response: Any) -> None:
        text = Path(request.inputs["text"][0].file).read_text(encoding="utf-8", errors="replace")
        response.outputs["output"].data = len(text.split())

    return NodeProcess(
        place,
        "wordcounter",
        "Word counter",
        [ComplexInput("text", "Text", supported_formats=[FORMATS.TEXT])],
        [LiteralOutput("output", "Number of words", data_type="integer")],
        run,
    )


# ---- inputs and outputs ----


def _text(identifier: str, title: str, **occurs: int) -> LiteralInput:
    return LiteralInput(identifier, title, data_type="string", **occurs)


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
