"""What the environment says of proxies and certificates holds as it does for requests."""

import itertools

import pytest
import requests

from pavics_affinity import Workflow
from pavics_affinity.transport.credentials import environment_proxies

URLS = [
    "http://10.0.0.1:80/wps",
    "http://user:secret@node.example.org/wps?a=b",
    "http://proxy/",
    "https://proxy:8443/",
]
ENVIRONMENTS = [
    {},
    {"http_proxy": "http://squid:3128"},
    {"HTTPS_PROXY": "http://squid:3128", "NO_PROXY": "10.0.0.0/24, .example.org"},
    {"all_proxy": "http://squid:3128", "no_proxy": "proxy:8443"},
    {"http_proxy": "http://squid:3128", "REQUESTS_CA_BUNDLE": "/etc/own.pem"},
    {"HTTP_PROXY": "http://squid:3128", "REQUEST_METHOD": "GET", "CURL_CA_BUNDLE": "/etc/c.pem"},
]
OWN_PROXIES = [None, {}, {"http": "http://own:1"}, {"http": None}, {"no_proxy": "proxy"}]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda e: "+".join(e) or "empty")
@pytest.mark.parametrize("url", URLS)
def test_settings_are_merged_as_requests_merges_them(url, environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Workflow() as wf, requests.Session() as plain:
        for session in (wf.session, plain):
            session.proxies = {"ftp": "http://ftp:1"}
        given = itertools.product(OWN_PROXIES, (None, True), (None, True, False), (None, "/c"))
        for proxies, stream, verify, cert in given:
            ours = wf.session.merge_environment_settings(
                url, None if proxies is None else dict(proxies), stream, verify, cert
            )
            theirs = plain.merge_environment_settings(
                url, dict(proxies or {}), stream, verify, cert
            )
            assert ours == {**theirs, "proxies": dict(theirs["proxies"])}


def test_a_session_that_does_not_trust_the_environment_reads_nothing_from_it(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://squid:3128")
    with Workflow() as wf:
        wf.session.trust_env = False
        assert wf.session.merge_environment_settings(URLS[0], {}, None, None, None)["proxies"] == {}


def test_a_change_of_the_environment_holds_from_the_next_request_on(monkeypatch):
    assert environment_proxies("http://proxy/wps") == {}
    monkeypatch.setenv("http_proxy", "http://squid:3128")
    assert environment_proxies("http://proxy/wps")["http"] == "http://squid:3128"
    monkeypatch.setenv("no_proxy", "proxy")
    assert environment_proxies("http://proxy/wps") == {}
    assert environment_proxies("http://other/wps")["http"] == "http://squid:3128"


def test_what_is_kept_cannot_be_changed_by_who_asked(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://squid:3128")
    with pytest.raises(TypeError):
        environment_proxies("http://proxy/wps")["http"] = "http://evil:1"
