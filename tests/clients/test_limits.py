"""What a document may hold, counted before a tree of it is built."""

from __future__ import annotations

import pytest

from pavics_affinity.clients.http import xml
from pavics_affinity.clients.limits import LIMITS, read_json
from pavics_affinity.clients.outputs.metalink import read_metalink
from pavics_affinity.errors import NotAService, ServiceError
from support import wpsdocs
from support.rawserver import cost

MARGIN = 48.0
MANY = LIMITS.elements + 1


def numbered(piece: str) -> bytes:
    return "".join(piece.format(i) for i in range(MANY)).encode()


TOO_MUCH = {
    "elements": lambda: b"<r>" + b"<a/>" * MANY + b"</r>",
    "elements with namespaces": lambda: b"<r>" + b"<a xmlns='u'/>" * MANY + b"</r>",
    "attributes of one element": lambda: b"<r " + numbered('a{}="" ') + b"/>",
    "attributes of many": lambda: b"<r>" + b'<a b="" c="" d="" e=""/>' * (MANY // 4 + 1) + b"</r>",
    "namespaces": lambda: b"<r " + numbered('xmlns:a{}="u" ') + b"/>",
    "comments": lambda: b"<r>" + b"<!---->" * MANY + b"</r>",
    "comments before the root": lambda: b"<!---->" * MANY + b"<r/>",
    "processing instructions": lambda: b"<r>" + b"<?a?>" * MANY + b"</r>",
    "references to entities": lambda: b"<!DOCTYPE r SYSTEM 'x'><r>" + b"&a;" * MANY + b"</r>",
    "elements as UTF-16": lambda: ("<r>" + "<a/>" * MANY + "</r>").encode("utf-16"),
    "elements as UTF-16 with bytes of an end tag": lambda: "\ufeff<r>{}</r>".format(
        "<\u2f00/>" * MANY
    ).encode("utf-16-be"),
    "elements beside a long text": lambda: b"<r>" + b"x" * LIMITS.text + b"<a/>" * MANY + b"</r>",
    "elements in an unfinished document": lambda: b"<r>" + b"<a/>" * MANY,
}


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.parametrize("read", [xml.parse, xml.start], ids=lambda read: read.__name__)
def test_more_than_the_limit_is_refused_before_there_is_a_tree(what, read):
    with cost() as spent, pytest.raises(ServiceError, match="has more than 300,000"):
        read(TOO_MUCH[what]())
    assert spent.megabytes < 2 * MARGIN


def test_a_metalink_is_held_to_the_limit_as_well():
    with pytest.raises(ServiceError, match="has more than"):
        read_metalink(b"<metalink>" + b"<file/>" * MANY + b"</metalink>")


ENOUGH = {
    "elements at the limit": lambda: b"<r>" + b"<a/>" * (LIMITS.elements - 1) + b"</r>",
    "attributes at the limit": lambda: b"<r>" + b"<a b=''/>" * (LIMITS.elements - 1) + b"</r>",
    "capabilities of 5,000 processes": lambda: wpsdocs.capabilities(
        *(f"p{i}" for i in range(5000))
    ),
    "capabilities of 60,000 processes": lambda: wpsdocs.capabilities(
        *(f"p{i}" for i in range(60_000))
    ),
    "a text of 50 MB": lambda: wpsdocs.response(
        wpsdocs.SUCCEEDED, wpsdocs.embedded("x" * 50_000_000)
    ),
    "a text that looks like XML": lambda: b"<r><![CDATA[" + b"<a b='c'/>" * MANY + b"]]></r>",
    "an escaped text": lambda: b"<r>" + (b"x &lt; y, a = b; " * 1_000_000)[:9_000_000] + b"</r>",
    "another encoding": lambda: "<?xml version='1.0' encoding='koi8-r'?><r>\u0436</r>".encode(
        "koi8-r"
    ),
    "utf-16": lambda: '<?xml version="1.0" encoding="UTF-16"?><r>\u00e9</r>'.encode("utf-16"),
    "a declared type": lambda: b"<!DOCTYPE r SYSTEM 'r.dtd'><r>&amp;</r>",
}


@pytest.mark.parametrize("what", ENOUGH)
def test_what_services_send_is_read(what):
    document = ENOUGH[what]()
    assert xml.start(document) is not None
    assert len(xml.parse(document)) >= 0


def test_descriptions_of_all_processes_are_read():
    one = wpsdocs.literal("delay", "float") * 20_000
    document = wpsdocs.description("step", one)
    root = xml.parse(document)
    assert sum(1 for _ in root.iter()) > 100_000


def test_descriptions_as_large_as_finchs_need_no_exact_count(monkeypatch):
    # Of 0.14: 528 processes, 153,718 elements; counting them exactly takes as long as parsing.
    monkeypatch.setattr("pavics_affinity.clients.limits._is_within", pytest.fail)
    document = b"<r>" + b"<a>b</a>" * 200_000 + b"</r>"
    assert len(xml.parse(document)) == 200_000


@pytest.mark.parametrize("encoding", ["UTF-7", "hz", "cp037", "utf-32", "no-such-thing"])
def test_an_encoding_in_which_nothing_can_be_counted_is_refused(encoding):
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    for document in (declared + b"+ADw-r/+AD4-", b"\n" + declared, declared + b"<r/>"):
        with pytest.raises(NotAService, match="Have the service send UTF-8"):
            xml.parse(document)


def test_the_users_own_request_is_not_counted():
    assert len(xml.parse(TOO_MUCH["elements"](), own=True)) == MANY


@pytest.mark.parametrize("page", [b"<:I/>", b"<:I>", b"<a:b:c/>", b"<:I xmlns='u'/>"])
def test_a_page_that_only_begins_like_xml_has_a_name(page):
    root = xml.start(page)
    if root is not None:
        assert xml.local_name(root).endswith(("I", "c"))
        assert xml.service_of(root) == ""


# ---- JSON and YAML ----


@pytest.mark.parametrize(
    "document",
    [
        b"[" + b"[]," * LIMITS.values + b"[]]",
        b"[" + b"{}," * LIMITS.values + b"{}]",
        b"[" + b"1.5," * LIMITS.values + b"1]",
        ("[" + "[]," * LIMITS.values + "[]]").encode("utf-16"),
        "[" + "[]," * LIMITS.values + "[]]",
        b"[" * 100_000,
        b"[" * (LIMITS.depth + 1) + b"]" * (LIMITS.depth + 1),
        b"9" * 5000,
        b'["' + b'\\"' * 3_000_000,
        b"\xff",
        b"",
    ],
    ids=lambda document: repr(document[:12]),
)
def test_json_beyond_the_limits_is_refused(document):
    with cost() as spent, pytest.raises(ValueError, match=r".+"):
        read_json(document)
    assert spent.megabytes < MARGIN


def test_json_that_services_send_is_read():
    text = '{"a": "' + "[,{" * LIMITS.values + '", "b": "\\"[", "c": [1, {"d": null}]}'
    assert read_json(text)["c"] == [1, {"d": None}]
    assert len(read_json(b"[" + b"1," * (LIMITS.values - 10) + b"1]")) == LIMITS.values - 9
    assert read_json(b"[" * LIMITS.depth + b"]" * LIMITS.depth) is not None
