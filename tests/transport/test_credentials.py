"""Logins and redirects: from http to https of one host they are kept, elsewhere they are not."""

from __future__ import annotations

import base64
import ssl

import pytest
import requests
import trustme
from requests.auth import HTTPDigestAuth

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


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


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
