"""What a response holds of an output comes out character for character."""

from __future__ import annotations

import base64
import json
import pickle

import pytest

from pavics_affinity import Workflow
from pavics_affinity.errors import OutputUnavailable
from support import wpsdocs
from support.loopback import Answer, Server

TABLE = "  1  2\n 10 20\n"


@pytest.fixture
def held(wps, service):
    """Make the one output of an execution from the content of its element."""

    def make(content):
        xml = wpsdocs.output("output", content)
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, xml))
        return wps.execute("step", []).output("output")

    return make


def complex_(text, attributes='mimeType="text/plain"'):
    return f"<wps:Data><wps:ComplexData {attributes}>{text}</wps:ComplexData></wps:Data>"


def literal(text, kind=""):
    stated = f'dataType="{kind}"' if kind else ""
    return f"<wps:Data><wps:LiteralData {stated}>{text}</wps:LiteralData></wps:Data>"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (complex_(TABLE), TABLE),
        (complex_(f"<![CDATA[{TABLE}]]>"), TABLE),
        (complex_(" a,b\n1,2\n", 'mimeType="text/csv"'), " a,b\n1,2\n"),
        (complex_(' {"a": 1}\n', 'mimeType="application/json"'), ' {"a": 1}\n'),
        (complex_(TABLE, 'mimeType="text/plain" xml:space="default"'), TABLE),
        (complex_("\t"), "\t"),
        (complex_(""), ""),
        (complex_("a <!-- not part of it --> b\n"), "a  b\n"),
        (complex_("<!-- not part of it --><![CDATA[ a ]]>"), " a "),
        (complex_("<?not part?> a &amp;&#13;&lt;b&gt;\n"), " a &\r<b>\n"),
        (complex_("\u00a0é\u3000"), "\u00a0é\u3000"),
        (literal(" x "), " x "),
        (literal(" x \n", "string"), " x \n"),
        (literal(" x \n", "http://www.w3.org/TR/xmlschema-2/#string"), " x \n"),
        (literal("\n  7\n ", "integer"), "7"),
        (literal(" 7.5 ", "xs:double"), "7.5"),
        (literal(" http://h/x ", "anyURI"), "http://h/x"),
        (literal(""), ""),
        ('<wps:Data mimeType="text/plain"> as WPS 2.0 has it\n</wps:Data>', " as WPS 2.0 has it\n"),
    ],
)
def test_text_keeps_its_white_space(held, tmp_path, content, text):
    output = held(content)
    again = pickle.loads(pickle.dumps(output))
    for one in (output, again):
        assert one.text() == text
        assert one.read_bytes() == text.encode()
        with one.open() as file:
            assert file.read() == text.encode()
    assert output.download(tmp_path / "x").path.read_bytes() == text.encode()
    output.writeToDisk(tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == text.encode()


def test_owslibs_getoutput_writes_the_text_whole(wps, service, held, tmp_path):
    held(complex_(TABLE))
    wps.execute("step", []).getOutput(tmp_path / "x")
    assert (tmp_path / "x").read_text() == TABLE
    assert wps.execute("step", []).processOutputs[0].data == [TABLE.strip()]  # OWSLib's


def test_text_is_passed_on_with_its_white_space(wps, service, held):
    output = held(complex_(TABLE))
    wps.execute("step", [("resource", output)])
    assert f">{TABLE}<".encode() in service.asked("Execute")[-1].body


@pytest.mark.parametrize(
    ("content", "xml"),
    [
        (complex_("<a xmlns=''>b</a>"), "<a"),
        (complex_("\n  <a xmlns=''> b </a>\n"), "<a"),
        (complex_("<!-- c --><a xmlns=''> b </a>"), "<!-- c -->"),
        (complex_("x &lt; <a xmlns=''> b </a>"), "x &lt; <a"),
    ],
)
def test_elements_are_xml(held, content, xml):
    text = held(content).text()
    assert text.startswith(xml)
    assert " b </a>" in text or ">b</a>" in text


@pytest.mark.parametrize("encoding", ["base64", "BASE64", " Base64 "])
@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "\n  {}\n",
        "<![CDATA[{}]]>",
        "<!-- packed -->{}",
    ],
)
def test_base64_is_decoded_however_it_is_wrapped(held, encoding, wrap):
    content = bytes(range(256)) * 3
    lines = base64.encodebytes(content).decode()
    output = held(complex_(wrap.format(lines), f'encoding="{encoding}"'))
    assert output.read_bytes() == content


@pytest.mark.parametrize("text", ["a", "aGVs!bG8=", "aGVsbG8", "a-_=", "<a/>", "aGVsbG8=é"])
def test_damaged_base64_is_named(held, text):
    with pytest.raises(OutputUnavailable, match="is not base64"):
        held(complex_(text, 'encoding="base64"')).read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "neither data nor a reference"),
        ("<wps:Data/>", "holds nothing"),
        ("<wps:Data> </wps:Data>", "holds nothing"),
        ("<wps:Data><wps:Other>x</wps:Other></wps:Data>", "holds Other"),
    ],
)
def test_an_output_that_holds_nothing_is_not_an_empty_file(held, tmp_path, content, words):
    output = held(content)
    for fetch in (
        output.text,
        output.json,
        output.retrieveData,
        lambda: output.download(tmp_path / "x"),
    ):
        with pytest.raises(OutputUnavailable, match=words):
            fetch()
    assert list(tmp_path.iterdir()) == []


# ---- values of OGC API - Processes ----


@pytest.fixture
def ogc():
    """Make the results of an OGC API whose one process gives these outputs."""
    documents = {"/": {"links": []}, "/processes/step": {"id": "step", "inputs": {}}}
    with Server() as api, Workflow() as wf:

        def make(outputs):
            api.answer = lambda seen: Answer(
                200,
                json.dumps(
                    outputs if seen.method == "POST" else documents[seen.path.partition("?")[0]]
                ).encode(),
                {"Content-Type": "application/json"},
            )
            return wf.processes(api.url("")).execute("step", {})

        make.api = api
        yield make


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (TABLE, TABLE),
        ({"value": TABLE, "mediaType": "text/plain"}, TABLE),
        ({"value": "aGVs\nbG8=\n", "encoding": "base64", "mediaType": "x/y"}, "hello"),
        ({"value": " aGVsbG8= ", "encoding": "BASE64"}, "hello"),
        ({"value": "\x00\x01 a\r\n", "mediaType": "text/plain"}, "\x00\x01 a\r\n"),
        ({"value": {"a": [1]}, "mediaType": "application/json"}, '{"a": [1]}'),
        ([[1, 2], [3]], "[[1, 2], [3]]"),
        ([], "[]"),
        (7, "7"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ("", ""),
        ({"value": None}, "null"),
        ({"value": 0, "mediaType": "application/json"}, "0"),
        ({"bbox": [1, 2, 3, 4], "crs": "EPSG:3857"}, '{"bbox": [1, 2, 3, 4], "crs": "EPSG:3857"}'),
    ],
)
def test_a_value_of_an_ogc_api_comes_out_as_it_is(ogc, value, content):
    output = ogc({"out": value}).output("out")
    assert output.text() == content
    if output.mimeType == "application/json":
        assert output.json() == (value["value"] if "'value'" in repr(value) else value)


@pytest.mark.parametrize("href", ["", " ", "#", "?", "#log", " # "])
def test_a_link_of_an_ogc_api_to_no_place_is_not_the_results_themselves(ogc, href):
    results = ogc({"log": {"href": href, "type": "text/plain"}, "text": "hello"})
    assert results.output("text").text() == "hello"
    asked = len(ogc.api.seen)
    with pytest.raises(OutputUnavailable, match=r"'log'.*names no place"):
        results.output("log").text()
    assert len(ogc.api.seen) == asked
