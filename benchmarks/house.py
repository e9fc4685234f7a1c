"""How much there is to read: lines of each room, and what one `execute` passes through.

``python -m benchmarks.house`` prints a table of the rooms of ``src``, and the calls, functions
and modules of our package that one ``wps.execute()`` takes, where the topology is known and the
description of the process is cached; ``--calls`` prints these calls in their order.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import sys
import threading
import tokenize
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

import pavics_affinity
from pavics_affinity import Node, Service, Topology, Workflow

SOURCE = Path(pavics_affinity.__file__).parent
WPS = (
    'service="WPS" version="1.0.0" xml:lang="en" xmlns:wps="http://www.opengis.net/wps/1.0.0" '
    'xmlns:ows="http://www.opengis.net/ows/1.1"'
)
DESCRIPTION = f"""<wps:ProcessDescriptions {WPS}>
<ProcessDescription wps:processVersion="1.0" storeSupported="true" statusSupported="true">
<ows:Identifier>step</ows:Identifier><ows:Title>step</ows:Title>
<DataInputs><Input minOccurs="0" maxOccurs="1"><ows:Identifier>year</ows:Identifier>
<ows:Title>year</ows:Title><LiteralData><ows:DataType>integer</ows:DataType><ows:AnyValue/>
</LiteralData></Input></DataInputs>
<ProcessOutputs><Output><ows:Identifier>output</ows:Identifier><ows:Title>output</ows:Title>
<LiteralOutput><ows:DataType>string</ows:DataType></LiteralOutput></Output></ProcessOutputs>
</ProcessDescription></wps:ProcessDescriptions>"""
ACCEPTED = f"""<wps:ExecuteResponse {WPS} statusLocation="{{url}}/status.xml">
<wps:Process wps:processVersion="1.0"><ows:Identifier>step</ows:Identifier></wps:Process>
<wps:Status><wps:ProcessAccepted>queued</wps:ProcessAccepted></wps:Status>
</wps:ExecuteResponse>"""


@dataclass
class Room:
    """What one room of the package comes to."""

    name: str
    files: int = 0
    lines: int = 0
    code: int = 0
    docstrings: int = 0


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines that docstrings fill, those of attributes included."""
    return {
        number
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines with anything but comments and space."""
    aside = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    return {
        number
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in (*aside, tokenize.ENDMARKER)
        for number in range(token.start[0], token.end[0] + 1)
    }


def rooms(source: Path = SOURCE) -> list[Room]:
    """Count each room of a package; a module next to the rooms counts as a room."""
    found: dict[str, Room] = {}
    for path in sorted(source.rglob("*.py")):
        first = path.relative_to(source).parts[0].removesuffix(".py")
        room = found.setdefault(first, Room(first))
        text = path.read_text(encoding="utf-8")
        docstrings = docstring_lines(ast.parse(text))
        room.files += 1
        room.lines += len(text.splitlines())
        room.docstrings += len(docstrings)
        room.code += len(code_lines(text) - docstrings)
    return sorted(found.values(), key=lambda room: -room.lines)


class _Service(BaseHTTPRequestHandler):
    """One WPS process, ``step``."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(DESCRIPTION)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(ACCEPTED.format(url=f"http://{self.headers['Host']}"))

    def _answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("X-Pavics-Node", "node1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


def calls_of(action: Callable[[], Any]) -> list[str]:
    """Run something; return ``module:function`` for each call into our package, in order."""
    calls = []

    def on_event(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        # A comprehension has its own frame in Python 3.11, and none in later versions.
        named = not code.co_name.startswith("<") or code.co_name == "<lambda>"
        if event == "call" and named and code.co_filename.startswith(f"{SOURCE}/"):
            module = Path(code.co_filename).relative_to(SOURCE).with_suffix("")
            calls.append(f"{'.'.join(module.parts)}:{code.co_qualname}")

    sys.setprofile(on_event)
    try:
        action()
    finally:
        sys.setprofile(None)
    return calls


def execute() -> list[str]:
    """Return the calls of one execute, after another one has cached what can be cached."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        port = server.server_address[1]
        url = f"http://127.0.0.1:{port}/wps"
        site = Topology(
            nodes=[Node("node1", host="127.0.0.1")],
            services=[Service("finch", url=url, port=port)],
            evidence="X-Pavics-Node",
        )
        with Workflow(topology=site) as wf:
            wps = wf.wps(url, skip_caps=True)
            wps.execute("step", [("year", "1950")])
            calls = calls_of(lambda: wps.execute("step", [("year", "1951")]))
        server.shutdown()
    return calls


def table(found: list[Room]) -> str:
    """Write the rooms as a table of Markdown, with their sum."""
    total = Room("all")
    for room in found:
        for name in ("files", "lines", "code", "docstrings"):
            setattr(total, name, getattr(total, name) + getattr(room, name))
    head = "| room | files | lines | code | docstrings |\n|---|---:|---:|---:|---:|\n"
    return head + "\n".join(
        f"| {room.name} | {room.files} | {room.lines} | {room.code} | {room.docstrings} |"
        for room in [*found, total]
    )


def main() -> None:
    """Print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON and not a table")
    parser.add_argument("--calls", action="store_true", help="print each call of one execute")
    options = parser.parse_args()
    found, calls = rooms(), execute()
    modules = {call.partition(":")[0] for call in calls}
    figures = {"calls": len(calls), "functions": len(set(calls)), "modules": len(modules)}
    if options.json:
        print(json.dumps({"rooms": [asdict(room) for room in found], "execute": figures}, indent=1))
        return
    print(table(found))
    print("\nOne execute:", ", ".join(f"{figure} {what}" for what, figure in figures.items()))
    if options.calls:
        print(*calls, sep="\n")


if __name__ == "__main__":
    main()
