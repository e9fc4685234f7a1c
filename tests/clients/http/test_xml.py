"""Documents of servers are parsed without resolving anything."""

import pytest
from lxml import etree

from pavics_affinity.clients.http import xml
from pavics_affinity.errors import NotAService

LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))


def test_a_document_that_declares_an_external_entity_is_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do not read")
    with pytest.raises(NotAService, match="entities"):
        xml.parse(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>')


@pytest.mark.parametrize("body", ["<a>&l10;</a>", '<a x="&l10;"/>'])
def test_a_billion_laughs_are_refused(body):
    """They would take all the time and memory that there is."""
    with pytest.raises((NotAService, etree.XMLSyntaxError)):
        xml.parse(f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]>{body}'.encode())


def test_an_external_dtd_is_not_read():
    root = xml.parse(b'<!DOCTYPE a SYSTEM "file:///nowhere/at/all.dtd"><a/>')
    assert root.tag == "a"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("padding", ["", "<!--" + " " * 10_000 + "-->"])
def test_entities_are_seen_before_the_root_already(padding, encoding):
    evil = f'<?xml version="1.0" encoding="{encoding}"?>{padding}<!DOCTYPE a [<!ENTITY x "y">]><a>'
    with pytest.raises(NotAService, match="entities"):
        xml.start(evil.encode(encoding))


def test_the_start_of_a_document_shows_its_name_only():
    root = xml.start(b"<!--" + b" " * 10_000 + b'--><w:Capabilities xmlns:w="urn:w"><a></b>')
    assert xml.local_name(root) == "Capabilities"


@pytest.mark.parametrize("document", [b"", b"{}", b"\x00\x01", b"<!-- no root -->"])
def test_a_document_that_is_not_xml_has_no_start(document):
    assert xml.start(document) is None


@pytest.mark.parametrize("text", ["", "   ", "<a><b></a>", "<a>", "{}", b"\x00\x01"])
def test_a_document_that_is_not_well_formed_is_a_syntax_error(text):
    with pytest.raises(etree.XMLSyntaxError):
        xml.parse(text)


def test_a_str_may_declare_an_encoding():
    assert xml.parse('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>').text == "é"


def test_an_exception_report_is_read_with_code_locator_and_all_texts():
    said = xml.exception_of(
        xml.parse(
            '<r:ExceptionReport xmlns:r="http://www.opengis.net/ows/1.1">'
            '<r:Exception exceptionCode="InvalidParameterValue" locator="lon0">'
            "<r:ExceptionText>not a\n number</r:ExceptionText></r:Exception>"
            "<r:Exception><r:ExceptionText>and more</r:ExceptionText></r:Exception>"
            "</r:ExceptionReport>"
        )
    )
    assert said == xml.OWSException("not a number\nand more", "InvalidParameterValue", "lon0")
    assert str(said) == "not a number\nand more (code InvalidParameterValue, locator lon0)"


def test_a_locator_none_as_pywps_writes_it_is_none():
    assert xml.OWSException.of("x", "NoApplicableCode", "None").locator is None


def test_another_document_is_not_an_exception_report():
    assert xml.exception_of(xml.parse("<Capabilities/>")) is None
