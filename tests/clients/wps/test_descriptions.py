"""A request is held against the description of its process."""

import datetime as dt
import decimal

import pytest
from owslib.wps import BoundingBoxDataInput, ComplexDataInput

from pavics_affinity import WebProcessingService
from pavics_affinity.clients.http import xml
from pavics_affinity.clients.wps.descriptions import Description
from pavics_affinity.clients.wps.request import as_value, pairs
from pavics_affinity.errors import InvalidRequest, UnknownInput, UnknownOutput
from support import wpsdocs


def described(*inputs, **options):
    root = xml.parse(wpsdocs.description("step", "".join(inputs), **options))
    return Description.of(next(root.iterchildren("{*}ProcessDescription")))


def values(inputs):
    return [(name, as_value(name, value)) for name, value in pairs(inputs)]


def check(rule, *given):
    described(rule).check_inputs(values([("x", value) for value in given]))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "7"),
        ("integer", "-7"),
        ("integer", "1.0"),  # PyWPS takes it
        ("integer", 7),
        ("nonNegativeInteger", "0"),
        ("positiveInteger", "1"),
        ("float", "2.5e-3"),
        ("float", "NaN"),
        ("float", " 1 "),
        ("double", 3),
        ("float", decimal.Decimal("0.5").__float__()),
        ("boolean", True),
        ("boolean", "False"),
        ("string", "anything at all"),
        ("anyURI", "file:///cache/x.nc"),
        ("date", dt.date(2020, 1, 31)),
        ("", "no type is stated"),
    ],
)
def test_a_value_of_the_described_type_passes(kind, value):
    check(wpsdocs.literal("x", kind), value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "seven"),
        ("integer", "7.5"),
        ("integer", ""),
        ("integer", "1_000"),
        ("integer", "INF"),
        ("positiveInteger", "0"),
        ("nonNegativeInteger", -1),
        ("float", "1,5"),
        ("float", "0x10"),
        ("boolean", "maybe"),
    ],
)
def test_a_value_of_another_type_is_refused_naming_both(kind, value):
    with pytest.raises(InvalidRequest) as refused:
        check(wpsdocs.literal("x", kind), value)
    assert repr(str(value)) in str(refused.value)
    assert f"of type {kind}" in str(refused.value)
    assert isinstance(refused.value, ValueError)


def allowed(*listed, more=""):
    return (
        "<ows:AllowedValues>"
        + "".join(f"<ows:Value>{v}</ows:Value>" for v in listed)
        + f"{more}</ows:AllowedValues>"
    )


def test_only_allowed_values_pass():
    rule = wpsdocs.literal("x", inner=allowed("tas", "pr"))
    check(rule, "tas")
    with pytest.raises(InvalidRequest, match="'tasmax'; expected one of tas, pr"):
        check(rule, "tasmax")


def test_allowed_numbers_are_compared_as_numbers():
    rule = wpsdocs.literal("x", "float", inner=allowed("1.0", "2.0"))
    check(rule, "1")
    with pytest.raises(InvalidRequest):
        check(rule, "3")


def test_values_beside_an_allowed_range_are_left_to_the_server():
    more = "<ows:Range><ows:MinimumValue>5</ows:MinimumValue></ows:Range>"
    check(wpsdocs.literal("x", "integer", inner=allowed("1", more=more)), "7")


def test_an_unknown_input_is_refused_naming_the_near_ones():
    process = described(wpsdocs.literal("delay"), wpsdocs.literal("seed"))
    with pytest.raises(UnknownInput, match="'delya'; did you mean 'delay'") as refused:
        process.check_inputs([("delya", "2")])
    assert isinstance(refused.value, LookupError)


def test_an_unknown_output_is_refused_naming_those_there_are():
    with pytest.raises(UnknownOutput, match="there are metalink, output"):
        described(outputs=("output", "metalink")).check_output("zzz")


def test_a_missing_input_is_refused():
    process = described(wpsdocs.complex_("resource", low=1))
    with pytest.raises(InvalidRequest, match=r"'resource'.*0 times.*at least 1"):
        process.check_inputs([])


def test_an_input_with_a_default_may_be_left_out():
    default = "<DefaultValue>1</DefaultValue>"
    described(wpsdocs.literal("x", "integer", inner=default, low=1)).check_inputs([])


def test_an_input_given_too_often_is_refused():
    with pytest.raises(InvalidRequest, match="3 times; it takes at most 2"):
        check(wpsdocs.literal("x", high=2), "a", "b", "c")


def test_occurrences_that_are_not_numbers_do_not_limit():
    check(wpsdocs.literal("x", high="unbounded"), *"abcdefgh")


@pytest.mark.parametrize(
    ("rule", "value", "fits"),
    [
        (wpsdocs.complex_("x"), ComplexDataInput("http://h/x.nc"), True),
        (wpsdocs.complex_("x"), ComplexDataInput("some text"), True),
        (wpsdocs.complex_("x"), "http://h/x.nc", True),  # PyWPS takes it
        (wpsdocs.complex_("x"), BoundingBoxDataInput([0, 0, 1, 1]), False),
        (wpsdocs.bbox("x"), BoundingBoxDataInput([0, 0, 1, 1]), True),
        (wpsdocs.bbox("x"), ComplexDataInput("text"), False),
        (wpsdocs.literal("x", "float"), ComplexDataInput("text"), False),
        (wpsdocs.literal("x", "float"), BoundingBoxDataInput([0, 0, 1, 1]), False),
        (wpsdocs.literal("x"), ComplexDataInput("http://h/value.txt"), True),
    ],
)
def test_the_kind_of_an_input_matters(rule, value, fits):
    if fits:
        check(rule, value)
    else:
        with pytest.raises(InvalidRequest, match="expected"):
            check(rule, value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2, "2"),
        (2.5, "2.5"),
        (True, "true"),
        (dt.date(2020, 1, 31), "2020-01-31"),
        (dt.datetime(2020, 1, 31, 12), "2020-01-31T12:00:00"),
    ],
)
def test_plain_python_values_are_written_as_text(value, text):
    assert values([("x", value)]) == [("x", text)]


def test_a_mapping_will_do():
    assert values({"x": 1}) == [("x", "1")]


@pytest.mark.parametrize("inputs", [None, 3, ["abc"], [("x",)], "delay=2"])
def test_inputs_that_are_not_pairs_are_refused(inputs):
    with pytest.raises(InvalidRequest, match="pairs of a name and a value"):
        values(inputs)


def test_a_list_as_value_is_refused_with_the_way_to_give_several():
    with pytest.raises(InvalidRequest, match="repeat the pair"):
        values([("x", [1, 2])])


@pytest.mark.parametrize(
    ("flags", "asynchronous"),
    [
        ('storeSupported="true" statusSupported="true"', True),
        ('storeSupported="true" statusSupported="false"', False),
        ('storeSupported="false" statusSupported="true"', False),
        ("", False),  # the standard's default
    ],
)
def test_a_process_is_asynchronous_if_it_says_both(flags, asynchronous):
    assert described(flags=flags).asynchronous is asynchronous


# ---- descriptions that servers in the field write ----


@pytest.mark.parametrize(
    ("low", "high", "times"),
    [
        (0, 0, 3),
        (1, "unbounded", 9),
        (1, "UNBOUNDED", 9),
        (0, "", 9),
        (0, "-1", 9),
        (0, 2147483647, 9),
        (3, 2, 1),  # it makes no sense
        (3, 2, 4),
        ("", 1, 0),
        ("one", 1, 0),
    ],
)
def test_occurrences_that_say_nothing_do_not_limit(low, high, times):
    described(wpsdocs.literal("x", low=low, high=high)).check_inputs([("x", "a")] * times)


def test_an_input_without_occurrences_may_be_given_or_not():
    written = wpsdocs.literal("x").replace('minOccurs="0" maxOccurs="1"', "")
    process = described(written)
    for times in (0, 1, 5):
        process.check_inputs([("x", "a")] * times)


def test_an_input_that_is_described_as_two_kinds_takes_both():
    both = wpsdocs.literal("x", "integer").replace("</Input>", "<ComplexData/></Input>")
    for value in ("text", "7", ComplexDataInput("text")):
        check(both, value)


def test_a_doubtful_value_is_returned_and_not_refused():
    process = described(wpsdocs.literal("x", inner=allowed("tas", "pr")))
    [doubt] = process.check_inputs([("x", "TAS")])
    assert "'x' is 'TAS'" in doubt
    assert "one of tas, pr" in doubt
    assert process.check_inputs([("x", "tas")]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("inf"), "INF"),
        (float("-inf"), "-INF"),
        (float("nan"), "NaN"),
        (decimal.Decimal("0.10"), "0.10"),
    ],
)
def test_numbers_are_written_as_xml_schema_has_them(value, text):
    assert values([("x", value)]) == [("x", text)]
    check(wpsdocs.literal("x", "double"), value)


@pytest.mark.parametrize("birdy", [False, True])
def test_clients_read_what_owslib_takes_for_numbers(service, session, birdy):
    service.processes = ["step"]
    service.inputs = (
        wpsdocs.literal("many", high="unbounded")
        + wpsdocs.literal("n", "integer", inner=allowed("1-10"))
        + wpsdocs.literal(
            "any", "float", inner=allowed("*", "5") + "<DefaultValue>x</DefaultValue>"
        )
    )
    if birdy:
        pytest.importorskip("birdy")
        from pavics_affinity.clients.birdy.client import WPSClient

        client = WPSClient(service.url(), session=session)
        client.step(n=5, any=3.5, many=["a", "b"])
        assert service.asked("Execute")[0].body.count(b">many<") == 2
        return
    described = WebProcessingService(service.url(), session=session).describeprocess("step")
    assert [i.identifier for i in described.dataInputs] == ["many", "n", "any"]
    assert described.dataInputs[2].allowedValues == [5]
