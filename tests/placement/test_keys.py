from __future__ import annotations

import pytest

from pavics_affinity.errors import InvalidPlacement, PlacementUndetermined
from pavics_affinity.placement import key_for

URI = "/twitcher/ows/proxy/weaver?service=WPS"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("$http_machineid", "a1b2"),
        ("${http_machineid}", "a1b2"),
        ("$HTTP_MachineID", "a1b2"),
        ("$http_machineid$request_uri", f"a1b2{URI}"),
        ("$host$http_machineid", "proxy.examplea1b2"),
        ("$http_host$http_machineid", "Proxy.Example.:8093a1b2"),
        ("$uri$is_args$args", URI),
        ("$document_uri-$query_string", "/twitcher/ows/proxy/weaver-service=WPS"),
        ('"pin $http_machineid"', "pin a1b2"),
        ("'$http_machineid;'", "a1b2;"),
        (r'"\"\\$http_machineid\t"', '"\\a1b2\t'),
        ("fixed", "fixed"),
    ],
)
@pytest.mark.parametrize("end", [";", "", " consistent;"])
def test_keys_are_evaluated(key: str, expected: str, end: str):
    assert key_for(f"hash {key}{end}", "a1b2", uri=URI, host="Proxy.Example.:8093") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?id=7", "7"),
        ("?a=1&ID=7&id=8", "7"),
        ("?xid=1&id=7&b", "7"),
        ("?id", ""),
        ("?id=", ""),
        ("?id&id=7", "7"),
        ("?id=%41+b=c", "%41+b=c"),
        ("", ""),
    ],
)
def test_an_argument_is_taken_as_it_is_sent(query: str, expected: str):
    assert key_for("hash $arg_id;", "a1b2", uri=f"/wps{query}") == expected


def test_the_header_may_have_another_name():
    assert key_for("hash $http_x_machine_id;", "a1b2", header="X-Machine-Id") == "a1b2"


def test_an_ipv6_host_keeps_its_brackets_and_loses_its_port():
    assert key_for("hash $host;", "a", host="[::1]:8093") == "[::1]"


def test_a_uri_without_query_has_no_question_mark():
    assert key_for("hash $uri$is_args$args;", "a", uri="/wps") == "/wps"


@pytest.mark.parametrize("variable", ["request_uri", "uri", "args", "is_args", "arg_id"])
def test_the_uri_must_be_given_where_the_key_holds_it(variable: str):
    with pytest.raises(PlacementUndetermined, match=rf"\${variable}: pass .* uri="):
        key_for(f"hash $http_machineid${variable};", "a1b2")


@pytest.mark.parametrize("variable", ["host", "http_host"])
def test_the_host_must_be_given_where_the_key_holds_it(variable: str):
    with pytest.raises(PlacementUndetermined, match=rf"\${variable}: pass .* host="):
        key_for(f"hash ${variable};", "a1b2")


@pytest.mark.parametrize("variable", ["remote_addr", "http_cookie", "cookie_x", "key", "1"])
def test_an_unknown_variable_is_named(variable: str):
    with pytest.raises(PlacementUndetermined, match=rf"\${variable},"):
        key_for(f"hash ${variable};", "a1b2", uri="/", host="h")


@pytest.mark.parametrize("path", ["/a%20b", "//a", "/a/../b", "/./a"])
def test_a_path_that_nginx_would_normalise_is_not_guessed(path: str):
    assert key_for("hash $request_uri;", "a", uri=path) == path
    with pytest.raises(PlacementUndetermined, match="normalise"):
        key_for("hash $uri;", "a", uri=path)


def test_a_whole_url_is_refused_as_uri():
    with pytest.raises(InvalidPlacement, match="http://h/wps"):
        key_for("hash $request_uri;", "a", uri="http://h/wps")


@pytest.mark.parametrize("key", ["$", "$-a", "a$", "${http_machineid", '"$http_machineid', "''x"])
def test_a_key_that_nginx_refuses_is_refused(key: str):
    with pytest.raises(InvalidPlacement, match="expected"):
        key_for(f"hash {key};", "a1b2")
