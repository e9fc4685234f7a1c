"""The client is OWSLib's, asks through the session, and checks before it sends."""

from __future__ import annotations

from types import MappingProxyType

import owslib.wps
import pytest
import requests
from lxml import etree
from owslib.util import Authentication, ServiceException
from owslib.wps import ASYNC, AUTO, SYNC, BoundingBoxDataInput, ComplexDataInput

from pavics_affinity.clients.wps.execution import Execution
from pavics_affinity.clients.wps.service import WebProcessingService
from pavics_affinity.errors import (
    AffinityWarning,
    ExecuteOutcomeUnknown,
    ExecutionFailed,
    InvalidRequest,
    MachineIdConflict,
    NotAService,
    OutOfScope,
    ServiceError,
    ServiceUnreachable,
    UnknownInput,
    UnknownOutput,
    UnknownProcess,
)
from pavics_affinity.transport import use_session
from pavics_affinity.transport.session import reset_session
from support import wpsdocs
from support.loopback import Answer, Server, free_port

OPEN = "http://example.org/wps?map=a.map&service=WPS&request=GetCapabilities"

BBOX = wpsdocs.output(
    "box",
    '<wps:Data><wps:BoundingBoxData crs="EPSG:4326" dimensions="2">'
    "<ows:LowerCorner>0 -90</ows:LowerCorner><ows:UpperCorner>180 90</ows:UpperCorner>"
    "</wps:BoundingBoxData></wps:Data>",
)
LITERAL = wpsdocs.output(
    "count", '<wps:Data><wps:LiteralData dataType="integer">7</wps:LiteralData></wps:Data>'
)
LINEAGE = (
    "<wps:DataInputs><wps:Input><ows:Identifier>delay</ows:Identifier><ows:Title>d</ows:Title>"
    "<wps:Data><wps:LiteralData>2</wps:LiteralData></wps:Data></wps:Input></wps:DataInputs>"
)
RESPONSES = {
    "accepted": wpsdocs.response(wpsdocs.ACCEPTED, location="http://example.org/outputs/1.xml"),
    "started": wpsdocs.response(wpsdocs.STARTED),
    "reference": wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference("http://h/x.nc")),
    "relative": wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference("../outputs/x.nc")),
    "bbox": wpsdocs.response(wpsdocs.SUCCEEDED, BBOX),
    "literal": wpsdocs.response(wpsdocs.SUCCEEDED, LITERAL + wpsdocs.embedded("  two  ")),
    "base64": wpsdocs.response(
        wpsdocs.SUCCEEDED, wpsdocs.embedded("aGVsbG8=", attributes='encoding="base64"')
    ),
    "xml": wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("<g:a xmlns:g='u'><g:b/></g:a>")),
    "cdata": wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.embedded("<![CDATA[{'a': 1 < 2}]]>")),
    "lineage": wpsdocs.response(wpsdocs.SUCCEEDED, LITERAL, lineage=LINEAGE),
    "failed": wpsdocs.response(wpsdocs.failed("no such file", "X", "resource")),
    "report": wpsdocs.report("Unknown process", "InvalidParameterValue", "identifier"),
    "empty": wpsdocs.response(wpsdocs.SUCCEEDED),
}

OURS = {
    "session",
    "service",
    "step",
    "encoding",
    "_resource",
    "_own",
    "_files",
    "_unpack",
    "_bound",
    "_named",
    "_submitted",
    "_asked",
    "_quiet",
}


def flat(value, path="", above=()):
    """Yield every attribute below a value, with its path."""
    if isinstance(value, list | tuple):
        yield path, len(value)
        for index, item in enumerate(value):
            yield from flat(item, f"{path}[{index}]", above)
    elif isinstance(value, etree._Element):
        yield path, etree.tostring(value, method="c14n")
    elif hasattr(value, "__dict__") and id(value) not in above:
        for name, item in vars(value).items():
            if name not in OURS:
                yield from flat(item, f"{path}.{name}", (*above, id(value)))
    else:
        yield path, value


def same(theirs, ours):
    expected, got = dict(flat(theirs)), dict(flat(ours))
    assert got == expected
    return len(expected)


@pytest.fixture
def pair(session):
    """OWSLib's client and ours, of a service that is never asked."""
    return (
        owslib.wps.WebProcessingService(OPEN, skip_caps=True),
        WebProcessingService(OPEN, skip_caps=True, session=session),
    )


# ---- a drop-in ----


def test_capabilities_parse_to_the_same_attributes(pair):
    for client in pair:
        client.getcapabilities(xml=wpsdocs.capabilities("step", "subset_bbox"))
    assert same(*pair) > 50


def test_descriptions_parse_to_the_same_attributes(pair):
    allowed = "<ows:AllowedValues><ows:Value>1</ows:Value></ows:AllowedValues>"
    inputs = (
        wpsdocs.literal("a", "integer", inner=f"{allowed}<DefaultValue>1</DefaultValue>", low=1)
        + wpsdocs.complex_("b", high=5)
        + wpsdocs.bbox("c")
    )
    described = [c.describeprocess("step", xml=wpsdocs.description("step", inputs)) for c in pair]
    assert same(*described) > 50
    assert same(*pair) > 50


@pytest.mark.parametrize("name", RESPONSES)
def test_responses_parse_to_the_same_attributes(pair, name):
    executions = [
        c.execute("step", [("delay", "2")], mode=SYNC, response=RESPONSES[name]) for c in pair
    ]
    assert same(*executions) > 15


@pytest.mark.parametrize("name", RESPONSES)
def test_status_documents_parse_to_the_same_attributes(name, session):
    theirs, ours = owslib.wps.WPSExecution(), Execution(session=session)
    theirs.checkStatus(response=RESPONSES[name], sleepSecs=0)
    ours.checkStatus(response=RESPONSES[name])
    assert same(theirs, ours) > 15


def test_it_is_owslibs_client_and_so_are_executions_and_outputs(wps, service):
    service.execute = lambda seen: service.xml(RESPONSES["literal"])
    execution = wps.execute("step", [])
    assert isinstance(wps, owslib.wps.WebProcessingService)
    assert isinstance(execution, owslib.wps.WPSExecution)
    assert all(isinstance(o, owslib.wps.Output) for o in execution.processOutputs)


def test_the_attributes_are_owslibs(service, session):
    headers, auth = {"X-Mine": "1"}, Authentication("ann", "secret")
    wps = WebProcessingService(
        service.url() + "?service=WPS&map=a",
        "1.0.0",
        headers=headers,
        auth=auth,
        timeout=7,
        language="fr-CA",
        session=session,
    )
    assert (wps.url, wps.version) == (service.url() + "?map=a", "1.0.0")
    assert wps.headers is headers
    assert wps.auth is auth
    assert (wps.timeout, wps.language) == (7, "fr-CA")
    assert wps.identification.title == "Löcal"
    assert [p.identifier for p in wps.processes] == ["step", "subset_bbox"]
    assert wps.getOperationByName("GetCapabilities").name == "GetCapabilities"
    assert "language=fr-CA" in service.seen[0].path


def test_without_a_session_it_takes_the_ambient_one(service, session):
    token = use_session(session)
    try:
        assert WebProcessingService(service.url()).session is session
    finally:
        reset_session(token)


def test_every_request_carries_the_workflows_machineid_and_is_labelled(wps, service, session):
    wps.execute("step", [("delay", 1)]).wait().output("output").text()
    assert {tuple(seen.all("machineid")) for seen in service.seen} == {("a1b2",)}
    assert [r.operation for r in session.record] == [
        "GetCapabilities",
        "DescribeProcess",
        "Execute step",
        "status",
    ]


def test_no_dict_of_the_callers_is_changed(service, session):
    headers = MappingProxyType({"X-Mine": "1"})
    wps = WebProcessingService(service.url(), headers=headers, session=session)
    wps.execute("step", []).wait()
    assert dict(headers) == {"X-Mine": "1"}
    assert {tuple(seen.all("X-Mine")) for seen in service.seen} == {("1",)}
    assert [seen.all("Content-Type") for seen in service.seen if seen.method == "GET"] == [[]] * 3


def test_a_machineid_among_the_headers_is_adopted_and_sent_once(service):
    from pavics_affinity import Workflow

    with Workflow() as wf:
        wf.wps(service.url(), headers={"machineid": "mine"})
        assert wf.machineid == "mine"
    assert [seen.all("machineid") for seen in service.seen] == [["mine"]]


def test_another_machineid_among_the_headers_is_refused(service, session):
    with pytest.raises(MachineIdConflict):
        WebProcessingService(service.url(), headers={"machineid": "other"}, session=session)
    assert service.seen == []


@pytest.mark.parametrize(
    "auth",
    [
        Authentication("ann", "secret"),
        ("ann", "secret"),
        requests.auth.HTTPBasicAuth("ann", "secret"),
        Authentication(auth_delegate=requests.auth.HTTPBasicAuth("ann", "secret")),
    ],
)
def test_credentials_go_to_the_service_and_not_to_outputs_elsewhere(service, session, auth):
    wps = WebProcessingService(service.url(), auth=auth, session=session)
    with Server("127.0.0.2") as elsewhere:
        service.execute = lambda seen: service.xml(
            wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(elsewhere.url("/x.txt")))
        )
        with pytest.warns(AffinityWarning):
            assert wps.execute("step", []).output("output").text() == "ok"
        assert elsewhere.seen[0].all("Authorization") == []
        assert elsewhere.seen[0].all("machineid") == []
    assert all(seen.all("Authorization") for seen in service.seen)


def test_headers_and_credentials_set_later_are_sent_from_then_on(wps, service):
    wps.headers = {"X-Later": "1"}
    wps.auth.username, wps.auth.password = "ann", "secret"
    wps.describeprocess("step")
    assert service.seen[-1].all("X-Later") == ["1"]
    assert service.seen[-1].all("Authorization") != []


# ---- no service, or none that answers ----


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(200, b"<html><title>Welcome  to\nnginx</title>", {"Content-Type": "text/html"}),
            r"HTTP 200 and an HTML page titled 'Welcome to nginx'",
        ),
        (Answer(404, b"<!DOCTYPE html><p>no</p>"), r"HTTP 404 and an HTML page"),
        (Answer(200, b'{"links": []}', {"Content-Type": "application/json"}), r"JSON"),
        (Answer(200, b""), r"an empty body"),
        (Answer(200, b"<WMS_Capabilities/>"), r"the root element <WMS_Capabilities>"),
        (Answer(200, b"<Capabilities/>"), r"the root element <Capabilities>"),
        (Answer(200, b"\x89PNG\r\n\x1a\n\x00\x01"), r"bytes of"),
        (Answer(200, b"hello", {"Content-Type": "text/plain"}), r"text/plain that starts with"),
    ],
)
def test_the_error_for_a_url_that_is_not_a_wps_says_what_came(service, session, answer, words):
    service.capabilities = answer
    with pytest.raises(NotAService, match=words) as refused:
        WebProcessingService(service.url(), session=session)
    assert service.url() in str(refused.value)
    assert isinstance(refused.value, ServiceException)
    assert refused.value.machineid == "a1b2"


def test_a_404_is_also_the_error_that_requests_raises(service, session):
    service.capabilities = Answer(404)
    with pytest.raises(requests.HTTPError):
        WebProcessingService(service.url(), session=session)


def test_a_service_that_wants_credentials_says_so(service, session):
    service.capabilities = Answer(401)
    with pytest.raises(ServiceError, match="pass auth=") as refused:
        WebProcessingService(service.url(), session=session)
    assert not isinstance(refused.value, NotAService)


def test_an_exception_report_is_raised_in_the_servers_words(service, session):
    service.capabilities = service.xml(wpsdocs.report("not you", "AccessForbidden"), 403)
    with pytest.raises(ServiceException, match=r"not you .*AccessForbidden"):
        WebProcessingService(service.url(), session=session)


def test_a_500_with_an_exception_report_is_both_errors(service, session):
    service.capabilities = service.xml(wpsdocs.report("out of order"), 500)
    with pytest.raises(ServiceException, match="out of order") as raised:
        WebProcessingService(service.url(), session=session)
    assert isinstance(raised.value, requests.HTTPError)
    assert raised.value.response.status_code == 500


def test_where_nothing_listens_the_service_is_unreachable(session):
    with session.deadline(0.2), pytest.raises(ServiceUnreachable):
        WebProcessingService(f"http://127.0.0.1:{free_port()}/wps", session=session)


@pytest.mark.parametrize("url", ["ftp://h/wps", "wps", "", None, "http://", "file:///etc/passwd"])
def test_a_service_url_that_is_not_a_url_is_refused_at_once(url, session):
    with pytest.raises(OutOfScope, match="not a usable http or https URL"):
        WebProcessingService(url, skip_caps=True, session=session)


def test_a_document_that_breaks_off_is_asked_for_again(service, session):
    whole = wpsdocs.capabilities("step")
    answers = iter([service.xml(whole, cut=200), service.xml(whole)])
    service.answer = lambda seen: next(answers)
    assert WebProcessingService(service.url(), session=session).processes[0].identifier == "step"
    assert len(service.seen) == 2


@pytest.mark.usefixtures("no_waiting")
def test_a_document_that_breaks_off_every_time_is_an_error(service, session):
    service.capabilities = service.xml(wpsdocs.capabilities("step"), cut=200)
    with session.deadline(0.5), pytest.raises(ServiceUnreachable, match=r"broke off \d times"):
        WebProcessingService(service.url(), session=session)
    assert len(service.seen) > 2


def test_a_document_beyond_16_mb_is_not_read_to_its_end_nor_an_answer_beyond_64(service, session):
    service.capabilities = Answer(200, b"<a>" + b" " * (17 * 2**20))
    with pytest.raises(ServiceError, match="more than 16 MB"):
        WebProcessingService(service.url(), session=session)
    service.execute = lambda seen: Answer(200, b"<a>" + b" " * (65 * 2**20))
    wps = WebProcessingService(service.url(), session=session, skip_caps=True)
    with pytest.raises(ServiceError, match="more than 64 MB"):
        wps.execute("step", [])


def test_a_document_with_entities_is_refused(service, session):
    evil = wpsdocs.capabilities("step").replace(
        b"<!-- a comment -->", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    )
    service.capabilities = service.xml(evil)
    with pytest.raises(NotAService, match="entities"):
        WebProcessingService(service.url(), session=session)


def test_a_document_that_only_begins_well_is_refused(service, session):
    service.capabilities = service.xml(wpsdocs.capabilities("step")[:-40])
    with pytest.raises(NotAService, match="GetCapabilities"):
        WebProcessingService(service.url(), session=session)
    service.describe = service.xml(wpsdocs.description("step", "")[:-40])
    wps = WebProcessingService(service.url(), skip_caps=True, session=session)
    with pytest.raises(NotAService, match="DescribeProcess step"):
        wps.describeprocess("step")


# ---- checked before it is sent ----


def test_an_unknown_process_is_refused_naming_the_near_ones(wps, service):
    with pytest.raises(UnknownProcess, match="'stepp'; did you mean 'step'"):
        wps.execute("stepp", [])
    assert service.asked("Execute") == []


def test_an_unknown_process_is_named_with_the_near_ones_also_without_capabilities(service, session):
    wps = WebProcessingService(service.url(), skip_caps=True, session=session)
    with pytest.raises(UnknownProcess, match="did you mean 'step'"):
        wps.describeprocess("stepp")


def test_an_unknown_process_is_every_error_that_owslib_raises(wps):
    for kind in (ServiceException, ValueError, LookupError):
        with pytest.raises(kind):
            wps.describeprocess("nope")


@pytest.mark.parametrize(
    ("inputs", "output", "error"),
    [
        ([("delya", "2")], None, UnknownInput),
        ([("delay", "two")], None, InvalidRequest),
        ([("delay", "1"), ("delay", "2")], None, InvalidRequest),
        ([("delay", "2")], [("outptu", True)], UnknownOutput),
        ([("delay", "2")], "outptu", UnknownOutput),
        ([("delay", object())], None, InvalidRequest),
        ([("resource", ComplexDataInput("nul \0 in it"))], None, InvalidRequest),
        ([("delay", "2")], [("output", True, "text/plain", "more")], InvalidRequest),
        ([("delay", "2")], 7, InvalidRequest),
        ([("delay", "2")], ("output", True), InvalidRequest),
        ([("delay", "2")], [7], InvalidRequest),
    ],
)
def test_nothing_is_sent_of_a_request_that_does_not_fit(wps, service, inputs, output, error):
    with pytest.raises(error):
        wps.execute("step", inputs, output=output)
    assert service.asked("Execute") == []


def test_a_mode_that_there_is_not_is_refused(wps, service):
    with pytest.raises(InvalidRequest, match="mode is 'later'"):
        wps.execute("step", [], mode="later")
    assert service.asked("Execute") == []


def test_a_description_is_asked_for_once_per_process_and_session(wps, service, session):
    wps.execute("step", [])
    wps.execute("step", [])
    WebProcessingService(service.url(), session=session).execute("step", [])
    wps.execute("subset_bbox", [])
    assert len(service.asked("DescribeProcess")) == 2


@pytest.mark.parametrize("identifier", ["step", "all"])
def test_a_description_that_was_shown_is_not_asked_for_again(wps, service, identifier):
    service.describe = service.xml(wpsdocs.description("step", service.inputs))
    wps.describeprocess(identifier)
    wps.execute("step", [])
    assert len(service.asked("DescribeProcess")) == 1


def test_a_description_in_another_language_is_another(wps, service):
    wps.execute("step", [])
    wps.language = "fr-CA"
    wps.execute("step", [])
    assert ["language=fr-CA" in s.path for s in service.asked("DescribeProcess")] == [False, True]


def test_a_description_that_the_user_may_not_see_leaves_inputs_unchecked(wps, service):
    service.describe = Answer(403)
    with pytest.warns(AffinityWarning, match="unchecked"):
        wps.execute("step", [("whatever", "2")])
    assert len(service.asked("Execute")) == 1


def test_ready_made_requests_are_sent_as_they_are(wps, service):
    request = wpsdocs.response("").replace(b"ExecuteResponse", b"Execute")
    wps.execute(None, [], request=request)
    [sent] = service.asked("Execute")
    assert sent.body == request
    assert service.asked("DescribeProcess") == []


def test_a_ready_made_request_that_is_not_xml_is_refused(wps, service):
    with pytest.raises(InvalidRequest, match="is not XML"):
        wps.execute(None, [], request="Execute!")
    assert service.asked("Execute") == []


# ---- what is sent ----


def form(service):
    [sent] = service.asked("Execute")
    root = etree.fromstring(sent.body)
    return root, root.find("{*}ResponseForm/{*}ResponseDocument")


@pytest.mark.parametrize("mode", [ASYNC, AUTO])
def test_asynchronous_without_output_really_is(wps, service, mode):
    wps.execute("step", [("delay", "2")], mode=mode)
    _, document = form(service)
    assert (document.get("storeExecuteResponse"), document.get("status")) == ("true", "true")
    assert len(document) == 0


def test_a_process_without_status_runs_synchronously(wps, service):
    service.flags = 'storeSupported="false" statusSupported="false"'
    wps.execute("step", [], output=[("output", True)])
    _, document = form(service)
    assert (document.get("storeExecuteResponse"), document.get("status")) == ("false", "false")


def test_synchronous_without_output_has_no_response_form(wps, service):
    wps.execute("step", [], mode=SYNC)
    assert form(service)[1] is None


@pytest.mark.parametrize(
    ("output", "attributes"),
    [
        ("output", {}),
        (["output"], {}),
        ([("output", True)], {"asReference": "true"}),
        ([("output", None, "text/plain")], {"mimeType": "text/plain"}),
    ],
)
def test_outputs_are_asked_for_as_owslib_does(wps, service, output, attributes):
    wps.execute("step", [], output=output)
    [wanted] = form(service)[1]
    assert dict(wanted.attrib) == attributes
    assert wanted.findtext("{*}Identifier") == "output"


def test_inputs_are_written_as_owslib_does(wps, service):
    service.inputs += wpsdocs.bbox("box")
    box = BoundingBoxDataInput([0, 1, 2, 3])
    wps.execute(
        "step", [("delay", 2.5), ("resource", ComplexDataInput("http://h/x.nc")), ("box", box)]
    )
    root, _ = form(service)
    assert root.findtext(".//{*}LiteralData") == "2.5"
    assert "http://h/x.nc" in root.find(".//{*}Reference").attrib.values()
    assert root.findtext(".//{*}LowerCorner") == "0 1"


# ---- what comes back ----


@pytest.mark.parametrize("status", [400, 500])
def test_a_refused_execute_is_raised_in_the_servers_words(wps, service, status):
    service.execute = lambda seen: service.xml(
        wpsdocs.report("lon0 is not a number", "InvalidParameterValue", "lon0"), status
    )
    with pytest.raises(ExecutionFailed, match="lon0 is not a number") as failed:
        wps.execute("step", [])
    assert (failed.value.code, failed.value.locator) == ("InvalidParameterValue", "lon0")
    assert isinstance(failed.value, requests.HTTPError) is (status == 500)


@pytest.mark.parametrize(
    ("content_type", "raises"), [("text/xml", True), ("text/xml; charset=utf-8", False)]
)
def test_an_exception_report_with_status_200_is_raised_where_owslib_raises(
    wps, service, content_type, raises
):
    service.execute = lambda seen: Answer(200, wpsdocs.report("no"), {"Content-Type": content_type})
    if raises:
        with pytest.raises(ExecutionFailed, match="no"):
            wps.execute("step", [])
    else:
        execution = wps.execute("step", [])
        assert execution.status == "Exception"
        with pytest.raises(ExecutionFailed, match="no"):
            execution.wait()


def test_an_answer_cut_short_leaves_the_outcome_unknown_and_is_not_sent_again(wps, service):
    service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED), cut=300)
    with pytest.raises(ExecuteOutcomeUnknown, match="not sent again"):
        wps.execute("step", [])
    assert len(service.asked("Execute")) == 1


def test_a_connection_cut_before_the_answer_leaves_the_outcome_unknown(wps, service):
    service.execute = lambda seen: Answer(cut=-1)
    with pytest.raises(ExecuteOutcomeUnknown):
        wps.execute("step", [])
    assert len(service.asked("Execute")) == 1


def test_the_error_for_an_answer_that_is_not_a_wps_response_names_it(wps, service):
    service.execute = lambda seen: Answer(200, b"<html><title>Login</title></html>")
    with pytest.raises(NotAService, match="HTML page titled 'Login'"):
        wps.execute("step", [])


def test_a_response_without_a_status_is_named(wps, service):
    service.execute = lambda seen: service.xml(
        wpsdocs.response("").replace(b"wps:Status", b"wps:Nothing")
    )
    with pytest.raises(NotAService, match="not a valid WPS response"):
        wps.execute("step", [])


def test_a_doubtful_value_is_sent_with_a_warning(wps, service):
    listed = "<ows:AllowedValues><ows:Value>tas</ows:Value></ows:AllowedValues>"
    service.inputs = wpsdocs.literal("variable", inner=listed)
    with pytest.warns(AffinityWarning, match="'variable' is 'TAS'.*one of tas"):
        wps.execute("step", [("variable", "TAS")])
    assert b">TAS<" in service.asked("Execute")[0].body
