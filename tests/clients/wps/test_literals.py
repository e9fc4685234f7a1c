"""Which literals are sent, which are sent with a warning, and which are refused: as a table."""

import pytest
from lxml import etree

from pavics_affinity.clients.wps.literals import LiteralRule, Verdict
from support import wpsdocs

FITS, DOUBTFUL, REFUSED = Verdict


def listing(*values, more="", beside=""):
    listed = "".join(f"<ows:Value>{v}</ows:Value>" for v in values)
    return f"<ows:AllowedValues>{listed}{more}</ows:AllowedValues>{beside}"


def a_range(low=None, high=None, closure=None, spacing=None):
    attribute = f'ows:rangeClosure="{closure}"' if closure else ""
    ends = "".join(
        f"<ows:{name}>{value}</ows:{name}>"
        for name, value in (("MinimumValue", low), ("MaximumValue", high), ("Spacing", spacing))
        if value is not None
    )
    return f"<ows:Range {attribute}>{ends}</ows:Range>"


ANY = "<ows:AnyValue/>"
ELSEWHERE = '<ows:ValuesReference ows:reference="http://example.org/list"/>'

TABLE = [
    # type, what is allowed, value, verdict
    #
    # ---- the type alone ----
    ("integer", ANY, "5", FITS),
    ("integer", ANY, "+5", FITS),
    ("integer", ANY, "5.0", FITS),
    ("integer", ANY, "1e3", FITS),
    ("integer", ANY, "5.5", REFUSED),
    ("integer", ANY, "five", REFUSED),
    ("integer", ANY, "", REFUSED),
    ("integer", ANY, "INF", REFUSED),
    ("integer", ANY, "5 m", REFUSED),
    ("integer", ANY, "9" * 400, FITS),
    ("integer", ANY, "1e999999999", FITS),
    ("long", ANY, "9223372036854775807", FITS),
    ("long", ANY, "9223372036854775808", REFUSED),
    ("long", ANY, "-9223372036854775808", FITS),
    ("unsignedLong", ANY, "18446744073709551615", FITS),
    ("unsignedLong", ANY, "18446744073709551616", REFUSED),
    ("byte", ANY, "128", REFUSED),
    ("positiveInteger", ANY, "0", REFUSED),
    ("nonPositiveInteger", ANY, "0", FITS),
    *[
        ("double", ANY, end, FITS)
        for end in ("INF", "-INF", "+INF", "inf", "-inf", "Infinity", "-Infinity", "NaN", "nan")
    ],
    ("float", ANY, "1e5", FITS),
    ("float", ANY, ".5", FITS),
    ("float", ANY, "5.", FITS),
    ("float", ANY, "1,5", REFUSED),
    ("float", ANY, "0x10", REFUSED),
    ("boolean", ANY, "true", FITS),
    ("boolean", ANY, "True", FITS),
    ("boolean", ANY, "FALSE", FITS),
    ("boolean", ANY, "1", FITS),
    ("boolean", ANY, "yes", DOUBTFUL),
    ("boolean", ANY, "no", DOUBTFUL),  # PyWPS takes it for true
    ("boolean", ANY, "off", DOUBTFUL),
    ("boolean", ANY, "maybe", REFUSED),
    ("boolean", listing("true", "false"), "1", FITS),
    ("string", ANY, "whatever", FITS),
    ("string", ANY, "", FITS),
    ("dateTime", ANY, "2020-01-01T00:00:00Z", FITS),
    ("dateTime", ANY, "2020", FITS),
    ("anyURI", ANY, "not a uri", FITS),
    ("Integer", ANY, "five", FITS),  # no type that is known: the service judges
    ("unheardOf", ANY, "x", FITS),
    #
    # ---- a plain list ----
    ("string", listing("tas", "pr"), "tas", FITS),
    ("string", listing("  tas\n", "pr"), "tas", FITS),
    ("string", listing("tas", "pr"), "tasmax", REFUSED),
    ("", listing("tas", "pr"), "tasmax", REFUSED),
    ("string", listing("tas", "pr"), "TAS", DOUBTFUL),
    ("string", listing("tas", "pr"), "tas,pr", DOUBTFUL),
    ("string", listing("tas", "pr"), "tas,tasmax", REFUSED),
    ("integer", listing("1", "2"), "1", FITS),
    ("integer", listing("1", "2"), "1.0", FITS),
    ("integer", listing("1", "2"), "3", REFUSED),
    ("float", listing("1.0", "1000"), "1e3", FITS),
    ("float", listing("1.0", "1000"), "2", REFUSED),
    ("float", listing("0.1"), "NaN", REFUSED),
    ("float", listing("INF"), "Infinity", FITS),
    ("string", listing("5"), "5.0", DOUBTFUL),
    ("Double", listing("5"), "5.0", DOUBTFUL),
    ("date", listing("2020-01-01"), "2020-01-01Z", DOUBTFUL),
    ("anyURI", listing("http://example.org/"), "http://example.org", DOUBTFUL),
    ("unheardOf", listing("a"), "b", DOUBTFUL),
    ("string", listing("tas", "pr") + listing("tasmax"), "tasmax", FITS),
    #
    # ---- no plain list ----
    ("integer", listing("1-10"), "5", FITS),
    ("integer", listing("1 - 10"), "10", FITS),
    ("integer", listing("1..10"), "5", FITS),
    ("integer", listing("1/10"), "5", FITS),
    ("float", listing("-1.5-2"), "0.5", FITS),
    ("integer", listing("1-10"), "11", DOUBTFUL),
    ("float", listing("1-10"), "NaN", DOUBTFUL),
    ("integer", listing("[1,10]"), "5", DOUBTFUL),
    ("integer", listing("greater than 0"), "5", DOUBTFUL),
    ("integer", listing("1-10"), "five", DOUBTFUL),
    ("integer", listing("low", "high"), "low", FITS),
    ("integer", listing("low", "high"), "medium", DOUBTFUL),
    ("string", listing("1-10"), "5", DOUBTFUL),
    ("string", listing("tas, pr"), "tas", DOUBTFUL),
    ("string", listing("tas*"), "tasmax", DOUBTFUL),
    ("string", listing("1", beside=ANY), "5", FITS),
    ("integer", listing("1", beside=ANY), "5", FITS),
    ("integer", listing("1", more=ANY), "5", FITS),
    ("integer", listing("1", beside=ANY), "five", REFUSED),
    ("integer", listing("1", beside=ELSEWHERE), "5", FITS),
    ("integer", ELSEWHERE, "5", FITS),
    ("string", listing(""), "x", FITS),
    ("string", listing("", "a"), "x", FITS),
    ("string", listing("*"), "x", FITS),
    ("string", listing("*"), "*", FITS),
    ("integer", listing("*"), "5", FITS),
    ("integer", listing("*"), "five", REFUSED),
    ("string", listing("AnyValue"), "x", FITS),
    ("string", listing(), "x", FITS),
    *[
        ("double", listing(more=a_range(*ends)), "5", FITS)
        for ends in [
            (1, 10),
            (1, None),
            (None, 10),
            (None, None),
            ("-Infinity", "INF"),
            ("NaN", "NaN"),
            ("", ""),
            (1, 10, "open"),
            (5, 10, "open-closed"),
            (1, 5, "closed-open"),
            (1, 10, "no such closure"),
            (1, 10, None, 3),
            ("a", "b"),
        ]
    ],
    ("double", listing("1", more=a_range(7, 10)), "8", FITS),
    ("date", listing(more=a_range("2020-01-01", "2021-01-01")), "2020-06-01", FITS),
    #
    # ---- a default ----
    ("integer", listing("1") + "<DefaultValue>2</DefaultValue>", "2", FITS),
    ("float", ANY + "<DefaultValue>None</DefaultValue>", "None", FITS),
    ("float", ANY + "<DefaultValue/>", "x", REFUSED),
    ("float", "", "1", FITS),
]


def rule(kind, allowed):
    element = etree.fromstring(
        f"<Input {wpsdocs.NAMESPACES}><LiteralData><ows:DataType>{kind}</ows:DataType>{allowed}"
        "</LiteralData></Input>"
    )
    return LiteralRule.of(element.find("LiteralData"))


@pytest.mark.parametrize(("kind", "allowed", "value", "verdict"), TABLE)
def test_a_value_is_judged(kind, allowed, value, verdict):
    assert rule(kind, allowed).judge(value) == verdict


@pytest.mark.parametrize(
    "written",
    [
        "<ows:DataType>integer</ows:DataType>",
        "<ows:DataType> xs:integer\n</ows:DataType>",
        "<ows:DataType>xsd:integer</ows:DataType>",
        '<ows:DataType ows:reference="xs:integer"/>',
        '<ows:DataType reference="http://www.w3.org/TR/xmlschema-2/#integer"/>',
        '<ows:DataType ows:reference="urn:ogc:def:dataType:OGC:1.1:integer"/>',
        '<ows:DataType ows:reference="http://www.w3.org/2001/XMLSchema#integer">integer'
        "</ows:DataType>",
    ],
)
def test_a_type_is_read_without_its_prefix(written):
    element = etree.fromstring(f"<LiteralData {wpsdocs.NAMESPACES}>{written}</LiteralData>")
    assert LiteralRule.of(element).datatype == "integer"


@pytest.mark.parametrize(
    "value", ["9" * 100_000, "1e" + "9" * 100_000, "1-" * 50_000, "x, " * 50_000]
)
def test_a_long_value_is_judged_at_once(value):
    """It would not come to its end if a pattern went back and forth over it."""
    assert rule("integer", listing("1-10", "1", "a" * 100_000)).judge(value) == DOUBTFUL
