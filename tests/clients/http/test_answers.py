"""A document is read as the field writes it; another one is named, with what to do next."""

import gzip

import owslib.wps
import pytest

from pavics_affinity import WebProcessingService
from pavics_affinity.clients.ogcapi.service import Processes
from pavics_affinity.errors import InvalidRequest, NotAService, ServiceError, UnknownProcess
from support import wpsdocs
from support.loopback import Answer

pytestmark = pytest.mark.filterwarnings("error")

WPS_1 = b"http://www.opengis.net/wps/1.0.0"
TWO = b'xmlns:wps="http://www.opengis.net/wps/2.0" xmlns:ows="http://www.opengis.net/ows/2.0"'
CAPABILITIES_2 = (
    b'<wps:Capabilities service="WPS" version="2.0.0" %s><wps:Contents><wps:ProcessSummary>'
    b"<ows:Identifier>step</ows:Identifier></wps:ProcessSummary></wps:Contents></wps:Capabilities>"
    % TWO
)
LOGIN = b"<html><title>Sign in</title><form><input name=p type='password'></form></html>"


def bare(document):
    """Write a document without namespace at its root and what is of WPS in it."""
    return document.replace(b"<wps:", b"<").replace(b"</wps:", b"</")


def in_namespace(name):
    return lambda document: document.replace(WPS_1, name)


#: As servers in the field write their documents. OWSLib reads each.
VARIANTS = {
    "no namespace": bare,
    "no namespace, and no service": lambda d: bare(d).replace(b'service="WPS"', b""),
    "WPS 0.4.0": in_namespace(b"http://www.opengeospatial.net/wps"),
    "another namespace": in_namespace(b"http://example.org/processing"),
    "another case": in_namespace(b"http://www.opengis.net/WPS/1.0.0"),
    "OWS 1.0": lambda d: d.replace(b"/ows/1.1", b"/ows"),
    "OWS 2.0": lambda d: d.replace(b"/ows/1.1", b"/ows/2.0"),
    "a byte order mark": lambda d: b"\xef\xbb\xbf" + d,
    "blank lines before it": lambda d: b"\r\n\n  " + d,
    "a mark and a blank line": lambda d: b"\n\xef\xbb\xbf\n" + d,
    "a document type": lambda d: d.replace(b"?>", b'?><!DOCTYPE x SYSTEM "x.dtd">', 1),
    "no declaration": lambda d: d.partition(b"?>")[2].lstrip(),
    "comments in it": lambda d: d.replace(b"<ows:Title>", b"<!-- x --><ows:Title>"),
}


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_document_is_read_as_the_field_writes_it(service, session, variant):
    written = VARIANTS[variant]
    service.capabilities = service.xml(written(wpsdocs.capabilities("step", "other")))
    service.describe = service.xml(written(wpsdocs.description("step", service.inputs)))
    service.execute = lambda seen: service.xml(
        written(wpsdocs.response(wpsdocs.ACCEPTED, location=service.status_url))
    )
    service.status = lambda seen: service.xml(
        written(wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("hello")))
    )
    client = WebProcessingService(service.url(), session=session)
    assert [process.identifier for process in client.processes] == ["step", "other"]
    assert [i.identifier for i in client.describeprocess("step").dataInputs] == [
        "delay",
        "resource",
    ]
    execution = client.execute("step", [("delay", "1")]).wait()
    assert execution.isSucceeded()
    assert [(o.identifier, o.data) for o in execution.processOutputs] == [("output", ["hello"])]


@pytest.mark.parametrize("headers", [{"Content-Type": "text/plain"}, {}, {"Content-Type": "x"}])
def test_the_content_type_of_a_document_does_not_matter(service, session, headers):
    service.capabilities = Answer(200, wpsdocs.capabilities("step"), headers)
    assert len(WebProcessingService(service.url(), session=session).processes) == 1


def test_a_compressed_document_is_read(service, session):
    packed = gzip.compress(wpsdocs.capabilities("step"))
    service.capabilities = Answer(200, packed, {"Content-Encoding": "gzip"})
    assert len(WebProcessingService(service.url(), session=session).processes) == 1


def test_references_of_a_response_without_namespace_are_read(service, session):
    url = service.url("/outputs/x.txt")
    service.execute = lambda seen: service.xml(
        bare(wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(url)))
    )
    execution = WebProcessingService(service.url(), session=session).execute("step", [])
    assert execution.output("output").reference == url


def test_a_failure_without_namespace_is_raised_in_the_servers_words(service, session):
    service.execute = lambda seen: service.xml(
        bare(wpsdocs.response(wpsdocs.failed("no such file")))
    )
    execution = WebProcessingService(service.url(), session=session).execute("step", [])
    with pytest.raises(ServiceError, match="no such file"):
        execution.wait()


def test_a_service_without_processes_is_one(service, session):
    service.processes = []
    assert WebProcessingService(service.url(), session=session).processes == []


def test_owslib_reads_a_description_without_namespace_too(service):
    """It is what such a document is held against."""
    document = bare(wpsdocs.description("step", wpsdocs.literal("delay")))
    client = owslib.wps.WebProcessingService(service.url(), skip_caps=True)
    assert client.describeprocess("step", xml=document).identifier == "step"


@pytest.mark.parametrize("described", ["STEP", "gs:step", "urn:ogc:def:process:x:step"])
def test_a_process_may_be_described_by_another_writing_of_its_name(service, session, described):
    service.describe = service.xml(wpsdocs.description(described, service.inputs))
    client = WebProcessingService(service.url(), session=session)
    assert client.execute("step", [("delay", "1")]).wait().isSucceeded()


def test_the_description_of_another_process_is_not_taken(service, session):
    service.describe = service.xml(wpsdocs.description("other", service.inputs))
    client = WebProcessingService(service.url(), session=session)
    with pytest.raises(UnknownProcess):
        client.execute("step", [])


# ---- versions ----


def test_a_service_of_wps_2_is_named_when_the_client_is_made(service, session):
    service.capabilities = service.xml(CAPABILITIES_2)
    with pytest.raises(NotAService, match=r"speaks WPS 2\.0\.0.*WPS 1\.0\.0 and OGC API") as error:
        WebProcessingService(service.url(), session=session)
    assert "Workflow.processes(url)" in str(error.value)


@pytest.mark.parametrize(
    "document",
    [
        CAPABILITIES_2,
        b"<wps:ProcessOfferings %s/>" % TWO,
        b"<wps:StatusInfo %s/>" % TWO,
        b"<wps:Result %s/>" % TWO,
        b'<Capabilities service="WPS" version="2.0.0"><Contents/></Capabilities>',
        b'<Capabilities xmlns="%s" service="WPS" version="2.0.2"/>' % WPS_1,
    ],
)
def test_any_document_of_wps_2_is_named(service, session, document):
    service.capabilities = service.describe = service.xml(document)
    client = WebProcessingService(service.url(), skip_caps=True, session=session)
    for ask in (
        client.getcapabilities,
        client.capabilities_document,
        lambda: client.describeprocess("step"),
        lambda: client.execute("step", []),
    ):
        with pytest.raises(NotAService, match=r"speaks WPS 2\.0"):
            ask()
    service.describe = None
    service.execute = lambda seen: service.xml(document)
    with pytest.raises(NotAService, match=r"speaks WPS 2\.0"):
        client.execute("step", [])


def test_a_service_of_both_versions_is_asked_for_the_older_one(service, session):
    def answer(seen):
        if "AcceptVersions=1.0.0" in seen.path or "GetCapabilities" not in seen.path:
            return scripted(seen)
        return service.xml(CAPABILITIES_2)

    scripted, service.answer = service.answer, answer
    client = WebProcessingService(service.url(), session=session)
    assert [process.identifier for process in client.processes] == service.processes


@pytest.mark.parametrize(
    ("code", "locator"),
    [
        ("VersionNegotiationFailed", "None"),
        ("VersionNegotiationFailed", "AcceptVersions"),
        ("InvalidParameterValue", "version"),
    ],
)
def test_a_refused_version_is_not_an_unknown_process(service, session, code, locator):
    refusal = service.xml(wpsdocs.report("Version 1.0.0 is not supported", code, locator), 400)
    service.capabilities = service.describe = refusal
    with pytest.raises(ServiceError, match=r"not supported.*speaks WPS 1\.0\.0 and OGC API"):
        WebProcessingService(service.url(), session=session)
    service.capabilities = None
    client = WebProcessingService(service.url(), session=session)
    with pytest.raises(ServiceError, match="speaks WPS 1") as error:
        client.describeprocess("step")
    assert not isinstance(error.value, UnknownProcess)


@pytest.mark.parametrize("version", ["2.0.0", "2.0.2", "3"])
def test_another_version_is_refused_before_anything_is_sent(service, session, version):
    with pytest.raises(InvalidRequest, match=rf"'{version}'.*WPS 1\.0\.0"):
        WebProcessingService(service.url(), version=version, session=session)
    assert service.seen == []


# ---- other services ----

OTHERS = {
    "WMS": b'<WMS_Capabilities xmlns="http://www.opengis.net/wms" version="1.3.0"/>',
    "WMS 1.1.1": b'<WMT_MS_Capabilities version="1.1.1"/>',
    "WFS": b'<w:WFS_Capabilities xmlns:w="http://www.opengis.net/wfs/2.0" version="2.0.0"/>',
    "CSW": b'<c:Capabilities xmlns:c="http://www.opengis.net/cat/csw/2.0.2" version="2.0.2"/>',
    "WCS": b'<Capabilities xmlns="http://www.opengis.net/wcs/1.1.1" version="1.1.1"/>',
    "WMTS": b'<Capabilities xmlns="http://www.opengis.net/wmts/1.0" version="1.0.0"/>',
    "SOS": b'<Capabilities xmlns="http://www.opengis.net/sos/2.0" service="SOS"/>',
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_service_is_named(service, session, kind):
    service.capabilities = service.xml(OTHERS[kind])
    with pytest.raises(NotAService, match=rf"it is a {kind}\b"):
        WebProcessingService(service.url(), session=session)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, LOGIN, {"Content-Type": "text/html"}), "login page: pass auth="),
        (Answer(403, LOGIN), "pass auth="),
        (Answer(200, b'{"links": [], "title": "t"}'), r"OGC API: use Workflow\.processes\('http"),
        (Answer(200, b'{"conformsTo": []}'), r"OGC API: use Workflow\.processes"),
        (Answer(200, b'{"error": 1}'), "check the URL"),
        (Answer(200, b""), "an empty body; check the URL"),
        (Answer(200, b"\xef\xbb\xbf\r\n"), "an empty body; check the URL"),
        (Answer(200, b"<Capabilities/>"), "check the URL"),
        (Answer(200, wpsdocs.description("step")), "check the URL"),
    ],
)
def test_an_answer_that_is_not_a_wps_comes_with_advice(service, session, answer, words):
    service.capabilities = answer
    with pytest.raises(ServiceError, match=words):
        WebProcessingService(service.url(), session=session)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(200, wpsdocs.capabilities("step")), r"use Workflow\.wps\('http"),
        (Answer(400, wpsdocs.report("service is missing")), r"use Workflow\.wps\('http"),
        (Answer(200, CAPABILITIES_2), r"speaks WPS 2\.0\.0"),
        (Answer(200, OTHERS["WMS"]), "it is a WMS"),
        (Answer(200, LOGIN), "login page"),
        (Answer(404, b"<html>"), "check the URL"),
    ],
)
def test_an_answer_that_is_not_an_ogc_api_comes_with_advice(service, session, answer, words):
    service.answer = lambda seen: answer
    with pytest.raises(NotAService, match=words):
        Processes(service.url(), session=session)
