"""An output of 100 MB that is sent in the request: how much memory that takes, and how long.

A small server gives the output and counts what it receives, because PyWPS reads no text above
10 million characters. Each client is a separate process: it fetches the output and sends it
on in base64. Its peak memory counts from what the process held before.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .measure import in_turns, ratios
from .processes import fresh, peak_bytes, resident_bytes
from .rows import Row, main, row

MEGABYTES = 100
_BLOCK = bytes(range(256)) * 3906  # a multiple of 3, so that its base64 is a piece of the whole's
_BLOCKS = MEGABYTES * 10**6 // len(_BLOCK)
SIZE = _BLOCKS * len(_BLOCK)
ENCODED = SIZE // 3 * 4
_NAMES = (
    'service="WPS" version="1.0.0" xml:lang="en" xmlns:wps="http://www.opengis.net/wps/1.0.0" '
    'xmlns:ows="http://www.opengis.net/ows/1.1"'
)

_KIND = "application/octet-stream"
_FORMAT = f"<Format><MimeType>{_KIND}</MimeType><Encoding>base64</Encoding></Format>"
_DESCRIPTION = f"""<wps:ProcessDescriptions {_NAMES}>
<ProcessDescription wps:processVersion="1.0">
<ows:Identifier>keep</ows:Identifier><ows:Title>keep</ows:Title>
<DataInputs><Input minOccurs="1" maxOccurs="1"><ows:Identifier>file</ows:Identifier>
<ows:Title>file</ows:Title><ComplexData><Default>{_FORMAT}</Default><Supported>{_FORMAT}
</Supported></ComplexData></Input></DataInputs>
<ProcessOutputs><Output><ows:Identifier>output</ows:Identifier><ows:Title>output</ows:Title>
<LiteralOutput><ows:DataType>string</ows:DataType></LiteralOutput></Output></ProcessOutputs>
</ProcessDescription></wps:ProcessDescriptions>"""
_DONE = f"""<wps:ExecuteResponse {_NAMES}>
<wps:Process wps:processVersion="1.0"><ows:Identifier>keep</ows:Identifier></wps:Process>
<wps:Status><wps:ProcessSucceeded>done</wps:ProcessSucceeded></wps:Status>
</wps:ExecuteResponse>"""


class _Service(BaseHTTPRequestHandler):
    """Gives the output and the description of a process, and counts the characters it is sent."""

    protocol_version = "HTTP/1.1"
    received: int = 0

    def do_GET(self) -> None:
        if self.path.startswith("/output.bin"):
            self._head(_KIND, SIZE)
            for _ in range(_BLOCKS):
                self.wfile.write(_BLOCK)
            return
        if "DescribeProcess" in self.path:
            self._document("text/xml", _DESCRIPTION)
        elif self.path.startswith("/ogcapi"):
            self._document("application/json", '{"links": [], "inputs": {"file": {}}}')
        else:
            self._head("text/plain", 0, 404)

    def do_POST(self) -> None:
        wanted, left, found = base64.b64encode(_BLOCK), int(self.headers["Content-Length"]), b""
        blocks = 0
        while left and (piece := self.rfile.read(min(left, len(wanted)))):
            left -= len(piece)
            found += piece
            while (start := found.find(wanted)) >= 0:
                blocks, found = blocks + 1, found[start + len(wanted) :]
        type(self).received = blocks * len(_BLOCK)
        if self.path.startswith("/ogcapi"):
            self._document("application/json", '{"output": "done"}')
        else:
            self._document("text/xml", _DONE)

    def _document(self, kind: str, text: str) -> None:
        self._head(kind, len(text))
        self.wfile.write(text.encode())

    def _head(self, kind: str, length: int, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def _service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def rows(quick: bool) -> list[Row]:
    """Measure 100 MB, through OWSLib and this package."""
    rounds = 1 if quick else 6
    grown: dict[str, list[float]] = {"ours": [], "ogcapi": [], "owslib": []}
    with _service() as origin:

        def sent(client: str) -> float:
            _Service.received = 0
            seconds, bytes_ = fresh(measure, client, origin)
            assert _Service.received == SIZE, _Service.received
            grown[client].append(bytes_ / ENCODED)
            return seconds

        sides = {name: lambda name=name: sent(name) for name in grown}
        took = in_turns(sides, rounds, clock=lambda send: send(), warm=False)
    what = f"{MEGABYTES} MB output in the request"
    peer = "OWSLib ComplexDataInput"
    return [
        row(f"{what}, peak RSS by the encoded size", "-", grown["ours"], "<=", 2, unit="times"),
        row(
            f"{what}, OGC API, peak RSS by the encoded size",
            "-",
            grown["ogcapi"],
            "<=",
            2,
            unit="times",
        ),
        row(f"{what}, peak RSS", peer, ratios(grown["ours"], grown["owslib"]), "<=", 1),
        row(f"{what}, seconds", peer, ratios(took["ours"], took["owslib"]), "<=", 1),
        row(f"{what}, by itself", "-", took["ours"], unit="s"),
    ]


def measure(client: str, origin: str) -> tuple[float, int]:
    """Fetch the output and send it on in this process; return seconds and bytes of memory."""
    service, url = f"{origin}/wps", f"{origin}/output.bin"
    if client == "ours":
        from pavics_affinity import Workflow

        with Workflow("a1b2", embed_limit=SIZE) as wf:
            wps = wf.wps(service, skip_caps=True)
            wps.describeprocess("keep")
            before, start = resident_bytes(), time.perf_counter()
            wps.execute("keep", [("file", url)], mode="sync")
    elif client == "ogcapi":
        from pavics_affinity import Workflow

        with Workflow("a1b2", embed_limit=SIZE) as wf:
            api = wf.processes(f"{origin}/ogcapi")
            api.process("keep")
            before, start = resident_bytes(), time.perf_counter()
            api.execute("keep", {"file": {"href": url}})
    else:
        from owslib.util import openURL
        from owslib.wps import ComplexDataInput, WebProcessingService

        headers = {"machineid": "a1b2"}
        wps = WebProcessingService(service, headers=headers, skip_caps=True)
        wps.describeprocess("keep")
        before, start = resident_bytes(), time.perf_counter()
        content = openURL(url, headers=headers).read()
        text = base64.b64encode(content).decode()
        given = ComplexDataInput(text, mimeType=_KIND, encoding="base64")
        wps.execute("keep", [("file", given)], mode="sync")
    return time.perf_counter() - start, peak_bytes() - before


if __name__ == "__main__":
    main(rows, __doc__)
