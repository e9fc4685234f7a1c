"""What clients and rendered proxies have agreed on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pavics_affinity.errors import InvalidMachineId, InvalidPlacement
from pavics_affinity.protocol import (
    CONNECTED_HEADER,
    DEFAULT_EVIDENCE,
    DEFAULT_HEADER,
    MACHINEID,
    NODE_NAME,
    RESERVED_HEADERS,
    SUFFIX,
    has_key,
    is_free_header,
    is_header_name,
    name_key,
    passes_nginx,
    split_key,
    with_key,
)

machineids = st.from_regex(rf"\A(?:{MACHINEID})\Z", fullmatch=True)


# ---- routing keys ----


@given(machineid=machineids, node=st.from_regex(NODE_NAME, fullmatch=True))
def test_a_named_key_is_split_into_machineid_and_node(machineid, node):
    assert split_key(name_key(machineid, node)) == (machineid, node)


@pytest.mark.parametrize("node", ["", "Node1", "1node", "-a", "a_b", "a~b", "a\n", "é"])
def test_a_node_has_a_name_that_a_proxy_can_tell_from_a_number(node):
    with pytest.raises(InvalidPlacement, match="letter first"):
        name_key("a1b2", node)


def test_a_bare_key_has_no_suffix():
    assert split_key("a1b2") == ("a1b2", None)
    assert split_key("a1b2~17") == ("a1b2", "17")


@pytest.mark.parametrize("key", ["", "~1", "a~", "a~0", "a~01", "a~b~c", "a~B"])
def test_a_text_that_is_not_a_routing_key_is_refused(key):
    with pytest.raises(InvalidMachineId, match="expected"):
        split_key(key)


def test_a_suffix_has_at_most_19_digits():
    assert split_key(f"a~{'9' * 19}") == ("a", "9" * 19)
    with pytest.raises(InvalidMachineId, match="expected"):
        split_key(f"a~{'9' * 20}")


@given(st.text("az09-~._A", max_size=12))
def test_a_key_that_a_proxy_accepts_can_be_split(text):
    if re.fullmatch(f"{MACHINEID}(~({SUFFIX}))?", text):
        machineid, suffix = split_key(text)
        assert text == machineid + (f"~{suffix}" if suffix else "")


# ---- headers ----


def test_the_default_headers_can_be_used():
    assert is_free_header(DEFAULT_HEADER)
    assert is_free_header(DEFAULT_EVIDENCE)
    assert CONNECTED_HEADER.lower() in RESERVED_HEADERS


@pytest.mark.parametrize(
    ("name", "token", "passes", "free"),
    [
        ("X-Machine-Id", True, True, True),
        ("machine_id", True, False, False),
        ("Host", True, True, False),
        ("AUTHORIZATION", True, True, False),
        ("x" * 100, True, True, True),
        ("x" * 101, True, False, False),
        ("1a", True, False, False),
        ("a b", False, False, False),
        ("", False, False, False),
        ("a\n", False, False, False),
    ],
)
def test_a_header_is_a_token_that_nginx_passes_and_http_does_not_use(name, token, passes, free):
    assert (is_header_name(name), passes_nginx(name), is_free_header(name)) == (token, passes, free)


# ---- links ----


@pytest.mark.parametrize("form", ["path", "query"])
@pytest.mark.parametrize("url", ["http://proxy/wps", "http://proxy", "https://p:1/a/b?x=1&y=%2F#z"])
def test_a_key_can_be_found_in_a_link(url, form):
    assert not has_key(url)
    assert has_key(with_key(url, "a1b2~node2", form))


def test_a_link_has_one_key():
    assert (
        with_key("http://p/a?machineid=old&x=1", "new", "query") == "http://p/a?x=1&machineid=new"
    )
    assert with_key("http://p/a?x=1", "a1~n", "path") == "http://p/.affinity/a1~n/a?x=1"
