"""An output that comes as the answer itself, where a request asks for raw data."""

from __future__ import annotations

import gzip
import pickle

import pytest

from pavics_affinity import Workflow
from pavics_affinity.errors import ExecutionFailed, NotAService, ServiceError
from support import wpsdocs
from support.loopback import Answer
from support.wpsdocs import NAMESPACES

BINARY = bytes(range(256)) * 40
TABLE = "  1  2\n 10 20\n"


def request(process="step", output="output", mimetype="", inputs=""):
    stated = f'mimeType="{mimetype}"' if mimetype else ""
    return (
        f'<wps:Execute service="WPS" version="1.0.0" {NAMESPACES}><ows:Identifier>{process}'
        f"</ows:Identifier><wps:DataInputs>{inputs}</wps:DataInputs><wps:ResponseForm>"
        f"<wps:RawDataOutput {stated}><ows:Identifier>{output}</ows:Identifier>"
        "</wps:RawDataOutput></wps:ResponseForm></wps:Execute>"
    )


@pytest.fixture
def ask(wps, service):
    """Execute a request for raw data that is answered so."""

    def make(body, kind="application/x-netcdf", status=200, mimetype="", **headers):
        stated = {name.replace("_", "-"): value for name, value in headers.items()}
        if kind:
            stated["Content-Type"] = kind
        service.execute = lambda seen: Answer(status, body, stated)
        return wps.execute("step", [], request=request(mimetype=mimetype))

    return make


def test_a_binary_answer_is_the_output(ask, session, tmp_path):
    execution = ask(BINARY, Content_Disposition='attachment; filename="../a;b.nc"')
    assert execution.status == "ProcessSucceeded"
    assert execution.wait().isSucceeded()
    output = execution.output("output")
    assert output.mimeType == "application/x-netcdf"
    for one in (output, pickle.loads(pickle.dumps(output))):
        assert one.read_bytes() == BINARY
        done = one.download(tmp_path)
        assert (done.path.name, done.path.read_bytes()) == ("a;b.nc", BINARY)
    [step] = session.record.steps
    assert (step.process, step.state) == ("step", "succeeded")


def test_without_a_name_it_has_the_outputs_and_a_suffix(ask, tmp_path):
    assert ask(BINARY).output("output").download(tmp_path).path.name == "output.nc"
    assert ask(b"x", kind="").output("output").download(tmp_path).path.name == "output"


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (TABLE.encode(), "text/plain", TABLE),
        ("été\n".encode("latin-1"), "text/plain; charset=ISO-8859-1", "été\n"),
        ("été\n".encode(), "text/csv; charset=utf-8", "été\n"),
        (b"", "text/plain", ""),
        (b"<a> x </a>\n", "text/xml", "<a> x </a>\n"),
        (b'<?xml version="1.0"?><gml:a xmlns:gml="g"/>', "text/xml; subtype=gml/3.1.1", None),
        (b"<wps:Capabilities xmlns:wps='http://www.opengis.net/wps/1.0.0'/>", "text/xml", None),
        (b"<ExecuteResponse xmlns='of another'/>", "text/xml", None),
        (b"<html><body>a report</body></html>", "text/html", None),
        (b"7", "text/plain", "7"),
    ],
)
def test_text_and_xml_are_whole(ask, body, kind, text):
    output = ask(body, kind).output("output")
    assert output.text() == (body.decode() if text is None else text)
    assert output.read_bytes() == body


def test_json_is_read(ask):
    assert ask(b'{"a": [1]}\n', "application/json").output("output").json() == {"a": [1]}


def test_a_coded_answer_is_taken_out_of_its_coding(ask):
    packed = ask(gzip.compress(BINARY), Content_Encoding="gzip")
    assert packed.output("output").read_bytes() == BINARY


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("kind", ["text/xml", "text/xml; charset=utf-8", "application/x-netcdf"])
def test_an_exception_is_not_an_output(ask, session, status, kind):
    with pytest.raises(ExecutionFailed, match="no such luck"):
        ask(wpsdocs.report("no such luck"), kind, status).wait()
    [step] = session.record.steps
    assert step.state in ("failed", "refused")


@pytest.mark.parametrize("status", [202, 204, 401, 404, 429])
def test_an_answer_with_another_status_is_not_an_output(ask, session, status):
    with session.deadline(0.2), pytest.raises(ServiceError):
        ask(b"" if status == 204 else b"please wait", "text/plain", status)


def test_a_response_document_is_read_as_one(ask):
    document = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded(TABLE))
    assert ask(document, "text/xml").output("output").text() == TABLE
    failed = wpsdocs.response(wpsdocs.failed("no such luck"))
    with pytest.raises(ExecutionFailed, match="no such luck"):
        ask(failed, "text/xml").wait()


def test_a_web_page_is_not_the_data_that_was_asked_for(ask):
    with pytest.raises(NotAService, match="HTML page titled 'Log in'"):
        ask(b"<html><title>Log in</title>", "text/html", mimetype="application/x-netcdf")


def test_data_that_was_not_asked_for_is_not_a_response(wps, service):
    service.execute = lambda seen: Answer(200, BINARY, {"Content-Type": "application/x-netcdf"})
    with pytest.raises(NotAService):
        wps.execute("step", [])


def test_a_raw_output_is_the_input_of_the_next_step(ask, wps, service):
    output = ask(TABLE.encode(), "text/plain").output("output")
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED))
    wps.execute("step", [("resource", output)])
    body = service.asked("Execute")[-1].body
    assert b'encoding="base64"' in body


def test_a_raw_output_is_in_the_journal(service, tmp_path):
    service.execute = lambda seen: Answer(200, BINARY, {"Content-Type": "application/x-netcdf"})
    with Workflow(journal=tmp_path / "run.jsonl") as wf:
        wf.wps(service.url()).execute("step", [], request=request())
    with Workflow.resume(tmp_path / "run.jsonl", replay=True) as wf:
        again = wf.wps(service.url()).execute("step", [], request=request())
        assert again.output("output").read_bytes() == BINARY
    assert len(service.asked("Execute")) == 1


def test_real_pywps_answers_with_raw_data(cluster):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        text = (
            "<wps:Input><ows:Identifier>text</ows:Identifier><wps:Data>"
            "<wps:{0}>four words in all</wps:{0}></wps:Data></wps:Input>"
        )
        words = request("wordcounter", inputs=text.format("ComplexData"))
        assert wps.execute("wordcounter", [], request=words).output("output").text() == "4"
        echo = request("echo", "text", inputs=text.format("LiteralData"))
        assert wps.execute("echo", [], request=echo).output("text").text() == "four words in all"
        failing = request("fail", "output")
        with pytest.raises(ExecutionFailed):
            wps.execute("fail", [], request=failing).wait()
