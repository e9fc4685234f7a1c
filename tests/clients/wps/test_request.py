"""Large inputs are sent as OWSLib sends them, in less memory, and beyond libxml2's 10 MB."""

from __future__ import annotations

import owslib.wps
import pytest
from lxml import etree
from owslib.wps import ComplexDataInput

from pavics_affinity import Workflow
from pavics_affinity.clients.wps import request as made
from pavics_affinity.errors import InvalidRequest
from support import wpsdocs
from support.rawserver import RawServer, cost, head

TEXTS = ["<a>&amp;]]></a>", "é\u20ac\U0001f40d\r\n\t\x7f", "plain", '"quoted"']


def large(text: str) -> str:
    return text * (made.LARGE // len(text) + 1)


def received(service) -> bytes:
    return service.asked("Execute")[-1].body


def as_owslib_writes(inputs) -> bytes:
    execution = owslib.wps.WPSExecution()
    return etree.tostring(execution.buildRequest("step", inputs, [], mode="async"))


@pytest.mark.parametrize("text", TEXTS)
def test_a_large_input_arrives_as_owslib_writes_it(wps, service, text):
    inputs = [
        ("resource", ComplexDataInput(large(text), mimeType="text/plain", encoding="UTF-8")),
        ("delay", "2"),
    ]
    wps.execute("step", inputs)
    huge = etree.XMLParser(huge_tree=True)
    sent = etree.fromstring(received(service), huge)
    expected = etree.fromstring(as_owslib_writes(inputs), huge)
    assert etree.tostring(sent, method="c14n") == etree.tostring(expected, method="c14n")


def test_several_large_inputs_keep_their_places(wps, service):
    service.inputs += wpsdocs.complex_("other")
    one, other = large("1"), large("2")
    wps.execute("step", [("other", ComplexDataInput(other)), ("resource", ComplexDataInput(one))])
    body = received(service).decode()
    assert body.index(">other<") < body.index(other) < body.index(">resource<") < body.index(one)


def test_an_input_beyond_what_libxml2_reads_is_sent(wps, service):
    text = "0123456789abcde\n" * 700_000
    wps.execute("step", [("resource", ComplexDataInput(text))])
    assert text.encode() in received(service)
    request = received(service)
    wps.execute("step", [], request=request)  # and as a document of the user's own
    assert received(service) == request


def test_a_large_input_that_xml_cannot_hold_is_refused(wps, service):
    for text in ("\x00", large("x") + "\x00", large("x") + "\ud800"):
        with pytest.raises(InvalidRequest, match="cannot be written as XML"):
            wps.execute("step", [("resource", ComplexDataInput(text))])
    assert service.asked("Execute") == []


def test_a_large_input_takes_memory_a_few_times_its_size():
    text = "0123456789abcde\n" * (40 * 2**16)  # 40 MB
    accepted = wpsdocs.response(wpsdocs.SUCCEEDED)
    described = wpsdocs.description("step", wpsdocs.complex_("resource"))
    with RawServer() as server, Workflow("a1b2") as wf:
        server.answer = lambda asked: [
            head("Content-Type: text/xml"),
            described if b"Describe" in asked else accepted,
        ]
        wps = wf.wps(server.url(), skip_caps=True)
        with cost() as spent:
            wps.execute("step", [("resource", ComplexDataInput(text))])
    assert spent.megabytes < 3.5 * 40  # besides the text itself; OWSLib takes five times
