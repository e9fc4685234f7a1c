"""Logins, redirects and cookies: from http to https of one host they are kept, elsewhere not."""

from __future__ import annotations

import base64
import ssl

import pytest
import requests
from requests.auth import HTTPDigestAuth

from pavics_affinity import Workflow
from pavics_affinity.pin import Pin
from pavics_affinity.transport import AffinitySession
from pavics_affinity.transport.credentials import OriginSettings
from support.hostnames import Hostnames
from support.loopback import Answer, Seen, Server

BASIC = "Basic " + base64.b64encode(b"ann:word").decode()
CHALLENGE = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'}
SECRETS = ("Authorization", "X-Api-Key", "Cookie")


class Bearer(requests.auth.AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = "Bearer word"
        return request


LOGINS = {
    "basic": {"auth": ("ann", "word")},
    "digest": {"auth": HTTPDigestAuth("ann", "word")},
    "bearer": {"auth": Bearer()},
    "bearer header": {"headers": {"Authorization": "Bearer word"}},
    "key header": {"headers": {"X-Api-Key": "word"}},
    "cookie header": {"headers": {"Cookie": "auth_tkt=word"}},
}
OK = {
    "basic": lambda seen: seen.all("Authorization") == [BASIC],
    "digest": lambda seen: (
        f'uri="{seen.path}"' in "".join(seen.all("Authorization"))
        and 'username="ann"' in "".join(seen.all("Authorization"))
    ),
    "bearer": lambda seen: seen.all("Authorization") == ["Bearer word"],
    "bearer header": lambda seen: seen.all("Authorization") == ["Bearer word"],
    "key header": lambda seen: seen.all("X-Api-Key") == ["word"],
    "cookie header": lambda seen: "auth_tkt=word" in seen.all("Cookie"),
}


@pytest.fixture
def session(authority, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with AffinitySession(Pin("a1b2"), deadline=0.5) as made:
        made.trust_env = False
        made.verify = str(tmp_path / "ca.pem")
        yield made


@pytest.fixture
def plain():
    with Server() as server:
        yield server


@pytest.fixture
def secure(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("site.test", "127.0.0.1", "::1").configure_cert(context)
    with Server(tls=context) as server:
        yield server


@pytest.fixture
def names(monkeypatch, plain, secure):
    made = Hostnames(monkeypatch)
    for host in ("site.test", "::1", "0:0:0:0:0:0:0:1", "127.0.0.9"):
        made.lead(host, 80, plain)
        made.lead(host, 8080, plain)
        made.lead(host, 443, secure)
        made.lead(host, 8443, secure)
    return made


def redirecting(location: str):
    def answer(seen: Seen) -> Answer:
        if seen.path == "/wps":
            return Answer(301, b"", {"Location": location})
        return Answer()

    return answer


def told(server: Server, path: str = "/x") -> set[str]:
    seen = [each for each in server.seen if each.path == path]
    assert seen
    return {name for each in seen for name in SECRETS if each.all(name)}


@pytest.mark.parametrize("way", LOGINS)
@pytest.mark.parametrize("given_for", ["http", "https"])
def test_a_login_goes_along_from_http_to_https_of_the_same_host(
    session, names, plain, secure, way, given_for
):
    session.bind("http://site.test/wps")
    session.bind(f"{given_for}://site.test/wps", **LOGINS[way])
    plain.answer = redirecting("https://site.test/x")
    secure.answer = lambda seen: Answer() if OK[way](seen) else Answer(401, b"", CHALLENGE)
    assert session.get("http://site.test/wps").status_code == 200
    if given_for == "https":
        assert told(plain, "/wps") == set()
    # What documents name there has the login, too, once the redirect has said so.
    assert session.get("https://site.test/y").status_code == 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("http://site.test:80/wps", "https://site.test:443/x"),
        ("http://SITE.test/wps", "https://Site.Test/x"),
        ("http://site.test./wps", "https://site.test/x"),
        ("http://site.test/wps", "https://site.test./x"),
        ("http://[::1]/wps", "https://[0:0:0:0:0:0:0:1]:443/x"),
        ("http://127.0.0.9/wps", "https://site.test/x"),
        ("http://site.test:8080/wps", "https://site.test/x"),
        ("https://site.test:8443/wps", "https://site.test/x"),
    ],
)
@pytest.mark.parametrize("way", ["basic", "bearer header", "key header"])
def test_what_was_given_for_the_https_origin_is_sent_there_wherever_the_redirect_comes_from(
    session, names, plain, secure, before, after, way
):
    session.bind(before)
    session.bind(after, **LOGINS[way])
    plain.answer = redirecting(after)
    secure.answer = lambda seen: (
        redirecting(after)(seen)
        if seen.path == "/wps"
        else Answer()
        if OK[way](seen)
        else Answer(401)
    )
    assert session.get(before).status_code == 200


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("https://site.test/wps", "http://site.test/x"),
        ("https://site.test:8443/wps", "http://site.test/x"),
        ("http://site.test/wps", "https://site.test:8443/x"),
        ("http://site.test/wps", "http://site.test:8080/x"),
        ("http://site.test:8080/wps", "https://site.test/x"),
        ("http://site.test/wps", "https://127.0.0.9/x"),
        ("http://site.test/wps", "https://[::1]/x"),
        ("http://127.0.0.9/wps", "https://site.test/x"),
    ],
)
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
@pytest.mark.parametrize("way", LOGINS)
def test_a_login_goes_nowhere_else(session, names, plain, secure, before, after, way):
    session.verify = False
    session.bind(before, **LOGINS[way])
    for host in ("site.test", "127.0.0.9", "[::1]"):
        session.pin.add_scope(f"http://{host}/")
    first, last = (secure if url.startswith("https") else plain for url in (before, after))
    first.answer = redirecting(after)
    last.answer = lambda seen: (
        redirecting(after)(seen) if seen.path == "/wps" else (Answer(401, b"", CHALLENGE))
    )
    assert session.get(before).status_code == 401
    assert told(last) == set()


def test_a_login_for_https_is_not_replaced_by_the_one_for_http(session, names, plain, secure):
    session.bind("http://site.test/wps", auth=("bob", "x"), headers={"X-Api-Key": "x"})
    session.bind("https://site.test/wps", **LOGINS["basic"])
    plain.answer = redirecting("https://site.test/x")
    session.get("http://site.test/wps")
    [seen] = secure.seen
    assert seen.all("Authorization") == [BASIC]
    assert seen.all("X-Api-Key") == ["x"]


def test_an_execute_that_is_sent_on_to_https_keeps_its_login(session, names, plain, secure):
    session.bind("http://site.test/wps", **LOGINS["basic"])
    plain.answer = lambda seen: Answer(308, b"", {"Location": "https://site.test/wps"})
    assert session.post("http://site.test/wps", data=b"<Execute/>").status_code == 200
    [seen] = secure.seen
    assert (seen.body, seen.all("Authorization")) == (b"<Execute/>", [BASIC])


def test_a_client_certificate_for_http_is_shown_to_https_of_the_same_host(
    session, names, plain, authority, tmp_path
):
    identity = authority.issue_cert("ann@example.org", common_name="ann")
    identity.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "ann.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("site.test").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(tls=context) as strict:
        names.lead("site.test", 443, strict)
        ca, session.verify = session.verify, True
        session.bind("http://site.test/wps", cert=str(tmp_path / "ann.pem"), verify=ca)
        plain.answer = redirecting("https://site.test/x")
        assert session.get("http://site.test/wps").status_code == 200


def test_settings_of_an_origin_show_no_secret():
    settings = OriginSettings(
        auth=("ann", "word"), cert=("/my/word.pem", "/my/word.key"), headers={"X-Api-Key": "word"}
    )
    assert settings.has_credentials
    assert "word" not in repr(settings)
    assert "word" not in str(settings)


# ---- cookies: to the host that set them, and below it only if that host said so ----


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
