"""Cookies: to the host that set them, and below it only where that host said so."""

from __future__ import annotations

import pytest
import requests

from pavics_affinity import Workflow
from support.hostnames import Hostnames
from support.loopback import Answer, Server


@pytest.fixture
def server():
    with Server() as made:
        yield made


@pytest.fixture
def wf(monkeypatch, server):
    names = Hostnames(monkeypatch)
    for host in HOSTS:
        for port in (80, 8080):
            names.lead(host, port, server)
    with Workflow("a1b2") as made:
        made.session.trust_env = False
        for host in HOSTS:
            made.add_scope(host)
        yield made


HOSTS = (
    "wps.site.test", "evil.wps.site.test", "site.test", "other.site.test", "xwps.site.test",
    "proxy", "other", "proxy.local", "wps.local", "localhost", "10.0.0.1", "127.0.0.1", "a.proxy",
)  # fmt: skip


def signs_in(
    wf: Workflow, server: Server, host: str, attributes: str = "", path: str = "/"
) -> None:
    server.answer = lambda seen: Answer(headers={"Set-Cookie": f"auth_tkt=word{attributes}"})
    wf.session.get(f"http://{host}{path}")
    server.answer = lambda seen: Answer()


def sent(wf: Workflow, server: Server, url: str) -> bool:
    server.seen.clear()
    wf.session.get(url)
    return any("auth_tkt" in value for value in server.seen[-1].all("Cookie"))


@pytest.mark.parametrize(
    ("host", "attributes", "goes_to", "not_to"),
    [
        ("wps.site.test", "", ["wps.site.test", "WPS.site.test", "wps.site.test:8080"],
         ["evil.wps.site.test", "site.test", "xwps.site.test", "other.site.test"]),
        ("wps.site.test", "; Path=/", ["wps.site.test"], ["evil.wps.site.test"]),
        ("wps.site.test", "; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT; HttpOnly",
         ["wps.site.test"], ["evil.wps.site.test"]),
        ("wps.site.test", "; Domain=site.test", ["wps.site.test", "site.test", "other.site.test"],
         ["proxy"]),
        ("wps.site.test", "; Domain=.wps.site.test", ["wps.site.test", "evil.wps.site.test"],
         ["site.test"]),
        ("wps.site.test", "; Domain=evil.wps.site.test", [],
         ["wps.site.test", "evil.wps.site.test"]),
        ("proxy", "", ["proxy", "proxy:8080"], ["proxy.local", "a.proxy", "other"]),
        ("proxy.local", "", ["proxy.local"], ["proxy", "wps.local"]),
        ("proxy", "; Domain=.local", [], ["other", "proxy.local", "wps.local"]),
        ("localhost", "", ["localhost"], ["proxy", "127.0.0.1"]),
        ("127.0.0.1", "", ["127.0.0.1:8080"], ["10.0.0.1"]),
        ("127.0.0.1", "; Domain=.0.0.1", [], ["10.0.0.1"]),
    ],
)  # fmt: skip
def test_a_cookie_goes_to_the_host_that_set_it_and_below_it_only_with_a_domain(
    wf, server, host, attributes, goes_to, not_to
):
    signs_in(wf, server, host, attributes)
    assert [to for to in goes_to if not sent(wf, server, f"http://{to}/x")] == []
    assert [to for to in not_to if sent(wf, server, f"http://{to}/x")] == []


def test_a_cookie_set_on_a_redirect_stays_with_its_host_too(wf, server):
    def answer(seen):
        if seen.path == "/away":
            to = "http://evil.wps.site.test/x"
            return Answer(302, b"", {"Location": to, "Set-Cookie": "auth_tkt=word"})
        return Answer()

    server.answer = answer
    wf.session.get("http://wps.site.test/away")
    assert server.seen[-1].all("Host") == ["evil.wps.site.test"]
    assert server.seen[-1].all("Cookie") == []
    assert sent(wf, server, "http://wps.site.test/")
    server.answer = lambda seen: (
        Answer(302, b"", {"Location": "http://evil.wps.site.test/x"})
        if seen.path == "/on"
        else Answer()
    )
    prepared = requests.Request("GET", "http://wps.site.test/on").prepare()
    wf.session.send(prepared)
    assert server.seen[-1].all("Cookie") == []


@pytest.mark.parametrize("host", ["proxy", "wps.site.test"])
def test_a_server_can_take_its_cookie_back(wf, server, host):
    signs_in(wf, server, host)
    assert sent(wf, server, f"http://{host}/")
    signs_in(wf, server, host, "; Max-Age=0")
    assert not sent(wf, server, f"http://{host}/")


def test_cookies_of_the_users_own_go_where_they_went(wf, server):
    jar = requests.cookies.RequestsCookieJar()
    wf.session.cookies.set("auth_tkt", "1", domain="localhost.local")  # as requests wants it
    assert sent(wf, server, "http://localhost/")
    wf.session.cookies = jar
    wf.session.cookies.set("auth_tkt", "1", domain="site.test")
    assert sent(wf, server, "http://wps.site.test/")
    assert not sent(wf, server, "http://proxy/")
    wf.session.cookies.clear()
    wf.session.cookies.set("auth_tkt", "1")
    assert sent(wf, server, "http://proxy/")
    own = requests.Session()
    own.trust_env = False
    server.answer = lambda seen: Answer(headers={"Set-Cookie": "auth_tkt=word"})
    own.get("http://localhost/")
    wf.session.cookies = own.cookies
    server.answer = lambda seen: Answer()
    assert sent(wf, server, "http://localhost/")
