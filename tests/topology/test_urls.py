"""Origins, addresses and paths: compared as a browser would, and nothing taken on trust."""

import contextlib
import socket

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pavics_affinity.errors import OutOfScope, TopologyError
from pavics_affinity.topology.urls import (
    Origin,
    checked_url,
    is_plain_path,
    join_host,
    origin_of,
    split_address,
)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://proxy/wps", Origin("http", "proxy", 80)),
        ("http://proxy:80/wps", Origin("http", "proxy", 80)),
        ("http://proxy:/wps", Origin("http", "proxy", 80)),
        ("https://proxy", Origin("https", "proxy", 443)),
        ("HTTP://PROXY.Example.:8093", Origin("http", "proxy.example", 8093)),
        ("http://user:password@proxy/", Origin("http", "proxy", 80)),
        ("http://[::1]:8093/", Origin("http", "::1", 8093)),
        ("http://[0:0:0:0:0:0:0:1]:8093/", Origin("http", "::1", 8093)),
        ("http://bücher.example/", Origin("http", "xn--bcher-kva.example", 80)),
    ],
)
def test_one_place_has_one_origin_however_it_is_written(url, origin):
    assert origin_of(url) == origin
    assert origin_of(str(origin)) == origin


@pytest.mark.parametrize(
    "url",
    [
        "ftp://proxy/x",
        "file:///tmp/x.nc",
        "//proxy/wps",
        "/wps",
        "proxy:8093/wps",
        "http:///wps",
        "http://",
        "",
        "http://proxy:port/",
        "http://proxy:99999/",
        "http://[::1/",
        "http://[nonsense]/",
        None,
        b"http://proxy/",
    ],
)
def test_a_url_that_is_not_http_has_no_origin(url):
    assert origin_of(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://evil\\@proxy/",  # urllib: proxy; urllib3: evil
        "http://proxy\\.evil/",
        "http://proxy\t.evil/",  # urllib drops the tab
        "http://pro\nxy/",
        " http://proxy/",
        "http://proxy/a b",
        "http://proxy/\x00",
        "http://proxy/\ud800",
    ],
)
def test_what_two_libraries_read_differently_has_no_origin(url):
    assert origin_of(url) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://proxy@evil/", "evil"),
        ("http://proxy:8093@evil/", "evil"),
        ("http://proxy.evil/", "proxy.evil"),
        ("http://evil/?http://proxy/", "evil"),
        ("http://evil#@proxy/", "evil"),
        ("http://proxy%2eevil/", "proxy%2eevil"),
        ("http://\u0440roxy/", "xn--roxy-f6d"),  # a Cyrillic letter
        ("http://proxy..", "proxy."),
    ],
)
def test_look_alikes_are_other_hosts(url, host):
    origin = origin_of(url)
    assert origin is not None
    assert origin.host == host


@given(st.text())
@example("..")
def test_any_text_can_be_read_as_a_url(text):
    for url in (text, f"http://{text}", f"http://proxy{text}", f"http://proxy/{text}"):
        origin = origin_of(url)
        assert origin is None or origin_of(str(origin)) in (origin, None)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("10.0.0.1:8093", ("10.0.0.1", 8093)),
        ("10.0.0.1", ("10.0.0.1", 80)),
        ("HOST1:8093", ("host1", 8093)),
        ("host_1.site-a.example:1", ("host_1.site-a.example", 1)),
        ("[::1]:8093", ("::1", 8093)),
        ("[0:0::1]", ("::1", 80)),
        ("unix:/run/wps.sock", None),
        ("UNIX:/run/wps.sock", None),
    ],
)
def test_addresses_have_the_form_that_nginx_accepts(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":8093",
        "host:",
        "host:0",
        "host:65536",
        "host:port",
        "host:٣",
        "host:8093/path",
        "http://host:8093",
        "user@host:80",
        "a b:80",
        "host;evil:80",
        "host{:80",
        "::1",
        "[::1",
        "[::1]8093",
        "[fe80::1%eth0]:80",
        "[10.0.0.1]:80",
        "unix:",
        "unix:/a b",
        "unix:/a;include /etc/passwd",
        "unix:/" + "x" * 120,
        "bücher.example:80",
        None,
        8093,
    ],
)
def test_an_address_that_nginx_would_refuse_is_named(address):
    with pytest.raises(TopologyError) as refused:
        split_address(address)
    assert repr(address) in str(refused.value)
    assert "host:port" in str(refused.value)


def test_hosts_and_ports_are_joined_with_brackets_where_needed():
    assert join_host("10.0.0.1", 80) == "10.0.0.1:80"
    assert join_host("::1", 80) == join_host("[::1]", 80) == "[::1]:80"


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/wps", True),
        ("/a.b/..c/d..", True),
        ("/wps/%20x", True),
        ("", True),
        ("/wps/../admin", False),
        ("/./wps", False),
        ("/wps/%2e%2E/admin", False),
        ("/wps%2f..%2fadmin", False),
        ("/wps/..", False),
    ],
)
def test_dot_segments_are_seen_escaped_or_not(path, plain):
    assert is_plain_path(path) is plain


@pytest.mark.parametrize("host", ["straße.example", "Bücher.example", "faß.de", "日本。example"])
def test_a_name_in_another_script_is_compared_as_requests_sends_it(host):
    url = f"http://{host}/wps"
    try:
        sent = requests.Request("GET", url).prepare().url
    except requests.exceptions.InvalidURL:
        assert origin_of(url) is None
    else:
        assert origin_of(url) == origin_of(sent)


# ---- what can be asked for ----


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1/wps",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:\uff18\uff10/",
        "http://127.0.0.1:-1/",
        f"http://{'a' * 64}.example/",
        f"http://{'a.' * 127}example/",
        "http://0...1/",
        "http://a..b/",
        "http://a../",
        "http://.a/",
        "http://-a/",
        "http://\u00e9../",
        "http://\u200d.example/",
        "http://a\u3002\u3002b/",
        f"http://{chr(0xE9) * 5000}/",
        "http://a%41/",
        "http://a;b/",
        "http://*.a/",
        "http://user@:80/",
        "http://user@/",
        "http://@/",
        "http://:80/",
        "http:///wps",
        "http:/wps",
        "http:wps",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.a]/",
        "http://[1.2.3.4]/",
        "http://[::1]a:80/",
        "http://\u20ac:p@a/",
        "http://%E2%82%AC:p@a/",
        "http://a\\@b/",
        "http://a b/",
        "http://a\tb/",
        "http://a/\nb",
        "ht\ntp://a/",
        "http://a/\0",
        "http://a/\ud800",
        f"http://a/{'x' * 70_000}",
        "file:///etc/passwd",
        "//a/wps",
        "a/wps",
        "",
        None,
        5,
        b"http://a/",
    ],
    ids=lambda url: repr(url)[:40],
)
def test_a_url_that_cannot_be_requested_is_refused(url):
    with pytest.raises(OutOfScope, match=r"the output is at .* not a usable http") as refused:
        checked_url(url, "the output")
    assert len(str(refused.value)) < 1200


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("http://proxy.example:8093/wps?a=b#c", None),
        ("  http://proxy/wps\n", "http://proxy/wps"),
        ("http://proxy/a b\\c", "http://proxy/a%20b%5Cc"),
        ("http://proxy?a b", "http://proxy?a%20b"),
        ("http://b\u00fccher.example/\u00e9", None),
        ("http://xn--bcher-kva.example./", None),
        ("http://my_host:80/", None),
        ("http://user:p%40ss@proxy/", None),
        ("http://[::1]:8093/", None),
        ("http://127.0.0.1/%zz/[x]", None),
        ("HTTPS://PROXY:/", None),
    ],
)
def test_a_url_that_can_be_requested_stays_the_same_except_for_blanks(url, same):
    assert checked_url(url, "it") == (same or url)


PIECES = [
    *[
        "http",
        ":",
        "//",
        "/",
        "\\",
        "@",
        "[",
        "]",
        "::1",
        "%25",
        "eth0",
        "127.0.0.1",
        "0...1",
        "..",
        ".",
        "x.y",
        ":80",
        ":99999",
        ":0",
        ":-1",
        ":+1",
        "?",
        "#",
    ],
    *[
        "xn--",
        "xn--a",
        "*",
        "_",
        "-",
        "%",
        "%41",
        "user",
        "user:pw@",
        "v1.a",
        "1.2.3.4",
        "host",
        ";",
        "'",
        "<",
        "0x7f.1",
        "%E2%82%AC",
    ],
    *[" ", "\t", "\n", "\0", "\x7f", "\ud800", "\u00e9", "\u00df", "\u0130", "\u200d", "\u3002"],
    *["\uff11\uff12\uff17", "\uff18\uff10", "\u2100", "\uff0f", "\U0001f600"],
    *["a" * 64, "a." * 130, "9" * 5000, "[::ffff:1.2.3.4]"],
]


@settings(
    max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    parts=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6),
    start=st.sampled_from(["http://", "https://", ""]),
)
def test_every_checked_url_is_sent_by_requests(monkeypatch, parts, start):
    """The resolver is asked for nothing: it takes the name, and knows none."""

    def resolve(host, *_, **__):
        host.encode("idna")  # as the socket module does
        raise socket.gaierror("no host has this name")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with requests.Session() as session, contextlib.suppress(OutOfScope):
        session.trust_env = False
        url = checked_url(start + "".join(parts), "it")
        assert origin_of(url) is not None
        with pytest.raises(requests.ConnectionError):
            session.get(url)
