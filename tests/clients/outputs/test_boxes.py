"""Bounding boxes keep numbers, dimensions and CRS, out of a step and into the next."""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import subprocess
import sys
import time

import pytest
from lxml import etree
from owslib.wps import SYNC

from pavics_affinity import Workflow
from pavics_affinity.clients.outputs.boxes import Box
from pavics_affinity.errors import AffinityWarning, InvalidRequest, OutputUnavailable
from support import wpsdocs
from support.loopback import Answer, Server, free_port

WGS84 = "urn:ogc:def:crs:OGC:2:84"
URN = "urn:ogc:def:crs:EPSG::4326"


def box(
    lower="1 2",
    upper="3 4",
    *,
    name="wps:BoundingBoxData",
    crs: str | None = "EPSG:3857",
    dimensions: str | None = "2",
    ows="ows",
):
    attributes = "".join(
        f' {key}="{value}"'
        for key, value in (("crs", crs), ("dimensions", dimensions))
        if value is not None
    )
    return (
        f"<wps:Data><{name}{attributes}><{ows}:LowerCorner>{lower}</{ows}:LowerCorner>"
        f"<{ows}:UpperCorner>{upper}</{ows}:UpperCorner></{name}></wps:Data>"
    )


@pytest.fixture
def made(wps, service):
    """Make the one output of an execution from the content of its element."""
    service.inputs = wpsdocs.bbox("box") + wpsdocs.literal("word") + wpsdocs.complex_("resource")

    def make(content):
        xml = wpsdocs.output("output", content)
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, xml))
        return wps.execute("step", []).output("output")

    return make


OWS2 = 'xmlns:o2="http://www.opengis.net/ows/2.0"'
FORMS = [
    (box(), "1,2,3,4", "EPSG:3857", 2),
    (box(name="ows:BoundingBox"), "1,2,3,4", "EPSG:3857", 2),
    (box(dimensions=None), "1,2,3,4", "EPSG:3857", 2),
    (box(crs=None), "1,2,3,4", None, 2),
    (box(name="ows:WGS84BoundingBox", crs=None, dimensions=None), "1,2,3,4", WGS84, 2),
    (box(name="ows:WGS84BoundingBox", crs="EPSG:4326"), "1,2,3,4", "EPSG:4326", 2),
    (box("1,2", "3,4"), "1,2,3,4", "EPSG:3857", 2),
    (box("1, 2", "3 ,4"), "1,2,3,4", "EPSG:3857", 2),
    (box("\n 1\t2 ", " 3   4\n"), "1,2,3,4", "EPSG:3857", 2),
    (box("1 2 7", "3 4 9", crs="EPSG:4979", dimensions="3"), "1,2,7,3,4,9", "EPSG:4979", 3),
    (box("1,2,7", "3,4,9", dimensions=None), "1,2,7,3,4,9", "EPSG:3857", 3),
    (box("-1.50 2e-3", "3.0 4"), "-1.50,2e-3,3.0,4", "EPSG:3857", 2),
    # The numbers stay in the document's order, whatever the order of the CRS's axes is.
    (box("40 -80", "55 -60", crs="epsg:4326"), "40,-80,55,-60", "epsg:4326", 2),
    (box("40 -80", "55 -60", crs=URN), "40,-80,55,-60", URN, 2),
    (box("-80 40", "-60 55", crs="urn:ogc:def:crs:OGC:1.3:CRS84"), "-80,40,-60,55",
     "urn:ogc:def:crs:OGC:1.3:CRS84", 2),
    (box(crs="our own crs"), "1,2,3,4", "our own crs", 2),
    (box(name="o2:BoundingBox", ows="o2").replace("<wps:Data>", f"<wps:Data {OWS2}>"),
     "1,2,3,4", "EPSG:3857", 2),
]  # fmt: skip


@pytest.mark.parametrize(("content", "text", "crs", "dimensions"), FORMS)
def test_a_box_is_its_numbers_in_every_form(made, tmp_path, content, text, crs, dimensions):
    output = made(content)
    assert output.text() == pickle.loads(pickle.dumps(output)).text() == text
    assert output.download(tmp_path / "x").path.read_text() == text
    assert output.read_bytes() == text.encode()
    assert output.dataType == "BoundingBoxData"
    [value] = output.data
    assert (value.crs_name, value.dimensions) == (crs, dimensions)
    assert ",".join(value.lower_corner + value.upper_corner) == text


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning")  # y comes first
@pytest.mark.parametrize(("content", "text", "crs", "dimensions"), FORMS)
@pytest.mark.parametrize("how", ["output", "value", "execution"])
def test_a_box_is_passed_on_with_its_crs_and_all_dimensions(
    made, wps, service, how, content, text, crs, dimensions
):
    output = made(content)
    given = {"output": output, "value": output.data[0], "execution": wps.execute("step", [])}[how]
    wps.execute("step", [("box", given)])
    root = etree.fromstring(service.asked("Execute")[-1].body)
    [data] = root.iter("{*}BoundingBoxData")
    assert data.get("crs") == crs
    assert data.get("dimensions") == str(dimensions)
    corners = f"{data.findtext('{*}LowerCorner')} {data.findtext('{*}UpperCorner')}"
    assert corners.split() == text.split(",")
    assert next(root.iter("{*}LiteralData"), None) is None


def test_a_box_whose_axes_may_be_swapped_is_passed_on_with_one_warning(made, wps):
    output = made(box("40 -80", "55 -60", crs=URN))
    with pytest.warns(AffinityWarning, match="PyWPS writes x first and reads y") as warned:
        handed_on = [wps.execute("step", [("box", output)]) for _ in range(2)]
    assert len(handed_on) == 2
    assert len([w for w in warned if issubclass(w.category, AffinityWarning)]) == 1


def test_owslibs_attributes_are_x_and_y(made):
    """`minx` is the longitude, as in OWSLib; the corners are in the order of the document."""
    [value] = made(box("40 -80", "55 -60", crs=URN)).data
    assert (value.minx, value.miny, value.maxx, value.maxy) == ("-80", "40", "-60", "55")
    assert value.lower_corner == ("40", "-80")
    [value] = made(box("1,2", "3,4")).data
    assert (value.minx, value.miny, value.maxx, value.maxy) == ("1", "2", "3", "4")


@pytest.mark.parametrize(
    "content",
    [
        box("", ""),
        box("1 2", ""),
        box("1 2", "3"),
        box("1", "3", dimensions=None),
        box("1 2", "3 4 5", dimensions=None),
        box("a b", "c d"),
        box("1,5 2,5", "3,5 4,5"),
        box("nan 1", "2 3"),
        box("1 2", "3 4", dimensions="3"),
        box("1 2 3", "4 5 6", dimensions="2"),
        box("1,,2", "3,,4"),
        "<wps:Data><ows:BoundingBox/></wps:Data>",
        '<wps:Data><wps:BoundingBoxData crs="EPSG:3857"/></wps:Data>',
        "<wps:Data><ows:WGS84BoundingBox><ows:LowerCorner>1 2</ows:LowerCorner>"
        "</ows:WGS84BoundingBox></wps:Data>",
    ],
)
def test_a_box_that_cannot_be_read_is_an_error_that_says_what_came(
    made, wps, service, tmp_path, content
):
    output = made(content)
    assert output.data == []
    asked = len(service.asked("Execute"))
    for use in (
        output.text,
        output.read_bytes,
        output.retrieveData,
        lambda: output.download(tmp_path / "x"),
        lambda: wps.execute("step", [("box", output)]),
    ):
        with pytest.raises(OutputUnavailable, match="cannot be read from the response"):
            use()
    assert list(tmp_path.iterdir()) == []
    assert len(service.asked("Execute")) == asked


def test_one_bad_box_leaves_the_other_outputs(wps, service):
    outputs = wpsdocs.output("box", box("", "")) + wpsdocs.embedded("hello", "text")
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, outputs))
    execution = wps.execute("step", [])
    assert execution.output("text").text() == "hello"
    with pytest.raises(OutputUnavailable):
        execution.output("box").text()


def test_a_box_for_another_kind_of_input_is_its_text(made, wps, service):
    output = made(box())
    wps.execute("step", [("word", output), ("resource", output)])
    body = service.asked("Execute")[-1].body
    assert b"LiteralData>1,2,3,4<" in body
    assert body.count(b">1,2,3,4<") == 2


def test_a_box_is_still_checked_against_the_kind_of_its_input(made, wps):
    with pytest.raises(InvalidRequest, match="'word'"):
        wps.execute("step", [("word", made(box()).data[0])])


def test_birdy_gets_a_box_and_passes_it_on(made, service):
    pytest.importorskip("birdy")
    made(box("1 2 7", "3 4 9", name="ows:BoundingBox", dimensions="3"))
    with Workflow() as wf:
        client = wf.birdy(service.url())
        result = client.step()
        value = result.get().output
        assert isinstance(value, Box)
        assert result.get(asobj=True).output.lower_corner == ("1", "2", "7")
        for given in (value, result, result.get(), result.output("output")):
            client.step(box=given)
            body = service.asked("Execute")[-1].body
            assert b'BoundingBoxData crs="EPSG:3857" dimensions="3"' in body
            assert b">1 2 7</" in body


@pytest.fixture
def api():
    """An OGC API with one process, whose output is a box."""
    documents = {"/": {"links": []}, "/processes/step": {"id": "step", "inputs": {"box": {}}}}
    with Server() as server:
        server.value = {"bbox": [1, 2.5, 7, 3, 4, 9], "crs": "EPSG:4979"}

        def answer(seen):
            value = {"out": server.value}
            if seen.method == "GET":
                value = documents[seen.path.partition("?")[0]]
            return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

        server.answer = answer
        yield server


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning")  # y comes first
def test_a_box_goes_from_an_ogc_api_to_a_wps_and_back(made, service, api):
    made(box("1 2 7", "3 4 9", dimensions="3"))
    with Workflow() as wf:
        wps, ogc = wf.wps(service.url()), wf.processes(api.url(""))
        out = ogc.execute("step", {}).output("out")
        assert out.json() == api.value
        wps.execute("step", [("box", out)])
        body = service.asked("Execute")[-1].body
        assert b'BoundingBoxData crs="EPSG:4979" dimensions="3"' in body
        assert b">1 2.5 7</" in body
        for given in (wps.execute("step", []).output("output"), wps.execute("step", [])):
            ogc.execute("step", {"box": given})
            sent = json.loads(api.seen[-1].body)
            assert sent["inputs"]["box"] == {"bbox": [1, 2, 7, 3, 4, 9], "crs": "EPSG:3857"}


@pytest.mark.parametrize(
    "value",
    [
        {"bbox": [1, 2, 3]},
        {"bbox": "1,2"},
        {"bbox": ["a", "b", "c", "d"]},
        {"bbox": [1, 2, 3, 4], "crs": "\0"},
        [1, 2, 3, 4],
    ],
)
def test_json_that_is_not_a_box_gives_none(value):
    assert Box.of_json(value) is None


# ---- a real PyWPS ----

PYWPS = """
import sys
from pathlib import Path
from pywps import BoundingBoxInput, BoundingBoxOutput, ComplexOutput, Format, LiteralOutput
from pywps import Process, Service
from werkzeug.serving import make_server

port, home = sys.argv[1], Path(sys.argv[2])
CRS = ["epsg:3857", "epsg:4326"]


class Boxes(Process):
    def __init__(self):
        super().__init__(
            self.run,
            "boxes",
            title="Give a box back",
            inputs=[BoundingBoxInput("box", "A box", CRS, min_occurs=0)],
            outputs=[
                BoundingBoxOutput("box", "The same", CRS),
                LiteralOutput("seen", "What came", data_type="string"),
                ComplexOutput("text", "A text", supported_formats=[Format("text/plain")]),
                ComplexOutput("file", "A file", [Format("text/plain")], as_reference=True),
            ],
        )

    def run(self, request, response):
        came = request.inputs["box"][0] if "box" in request.inputs else None
        response.outputs["box"].data = came.data if came else [1.5, 2, 3, 4]
        response.outputs["seen"].data = f" {came.data} {came.crs} " if came else " none "
        response.outputs["text"].data = response.outputs["file"].data = "  1  2\\n 10 20\\n"
        return response


config = home / "pywps.cfg"
config.write_text(
    f"[server]\\nurl = http://127.0.0.1:{port}/wps\\noutputurl = file://{home}\\n"
    f"outputpath = {home}\\nworkdir = {home}\\n"
    f"[logging]\\nfile = {home}/log\\ndatabase = sqlite:///{home}/db\\n"
)
make_server("127.0.0.1", int(port), Service([Boxes()], [str(config)])).serve_forever()
"""


@pytest.fixture
def pywps(tmp_path):
    """Run a PyWPS on this machine that names its outputs by path."""
    port = free_port()
    command = [sys.executable, "-c", PYWPS, str(port), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/wps"
        finally:
            process.kill()


def test_pywps_gets_the_box_that_another_step_made(pywps):
    with Workflow() as wf:
        wps = wf.wps(pywps)
        first = wps.execute("boxes", [], mode=SYNC)
        assert first.output("seen").text() == " none "
        assert first.output("text").text() == first.output("file").text() == "  1  2\n 10 20\n"
        assert first.output("file").reference.startswith("file:///")
        assert first.output("box").text() == "1.5,2.0,3.0,4.0"
        value = first.output("box").data[0]
        crs = value.crs_name
        assert crs == "epsg:3857"
        for given in (first.output("box"), value):
            second = wps.execute("boxes", [("box", given)], mode=SYNC)
            assert second.output("box").text() == "1.5,2.0,3.0,4.0"
            assert "[1.5, 2.0, 3.0, 4.0]" in second.output("seen").text()
            assert "3857" in second.output("seen").text()


@pytest.mark.parametrize(
    "crs", ["http://www.opengis.net/def/crs/EPSG", "urn:ogc:def:crs", "w.opengis.net/def/crs/x"]
)
def test_a_crs_that_owslib_cannot_read_leaves_the_box(crs):
    box = Box.of_json({"bbox": [0, 1, 2, 3], "crs": crs})
    assert (box.text, box.crs_name) == ("0,1,2,3", crs)
    assert box.as_json() == {"bbox": [0.0, 1.0, 2.0, 3.0], "crs": crs}
