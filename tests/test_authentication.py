"""Logging in, over real TLS, through nginx and to the node itself; who must not get a login."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import pickle
import re
import ssl
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import requests
import tblib.pickling_support
import trustme
from requests.auth import AuthBase, HTTPDigestAuth
from requests_magpie import MagpieAuth, MagpieAuthenticationError

from pavics_affinity import Backend, Node, Service, Topology, Workflow, pin_session
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import (
    AffinityError,
    AffinityWarning,
    InvalidRequest,
    OutOfScope,
    ServiceError,
    TransportError,
)
from pavics_affinity.testing.ports import AddressBlock
from pavics_affinity.topology import Outputs
from support import wpsdocs
from support.live_site import RealNginx
from support.loopback import Answer, Seen, Server
from support.scriptedwps import ScriptedWPS

SECRET = "s3cret-word"
BASIC = base64.b64encode(f"ann:{SECRET}".encode()).decode()
CHALLENGE = 'Digest realm="r", nonce="n0nce", qop="auth", algorithm=MD5'
CONTENT = b"an output of its node"


class Bearer(AuthBase):
    def __call__(self, request):
        request.headers["Authorization"] = f"Bearer {SECRET}"
        return request


def by_basic(seen: Seen) -> bool:
    return seen.all("Authorization") == [f"Basic {BASIC}"]


def by_bearer(seen: Seen) -> bool:
    return seen.all("Authorization") == [f"Bearer {SECRET}"]


def by_cookie(seen: Seen) -> bool:
    return f"auth_tkt={SECRET}" in "; ".join(seen.all("Cookie"))


def by_digest(seen: Seen) -> bool:
    given = " ".join(seen.all("Authorization"))
    return given.startswith('Digest username="ann"') and f'uri="{seen.path}"' in given


WAYS = {
    "basic": (by_basic, {"auth": ("ann", SECRET)}),
    "bearer": (by_bearer, {"auth": Bearer()}),
    "bearer header": (by_bearer, {"headers": {"Authorization": f"Bearer {SECRET}"}}),
    "cookie header": (by_cookie, {"headers": {"Cookie": f"auth_tkt={SECRET}"}}),
    "digest": (by_digest, {"auth": HTTPDigestAuth("ann", SECRET)}),
}


class SecureNode(ScriptedWPS):
    """One node: a WPS, an OGC API below it, and outputs; nothing of it without a login."""

    def __init__(self, host: str, tls: ssl.SSLContext, public: str) -> None:
        super().__init__(host, tls=tls)
        self.public = public
        self.publishes = True
        self.lets_in = lambda seen: True
        self.execute = lambda seen: self.xml(
            wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(f"{public}/outputs/x.txt"))
        )
        self.answer = self._guarded

    def _guarded(self, seen: Seen) -> Answer:
        if seen.path == WELL_KNOWN:
            return Answer(404)
        if seen.path == "/wps/signin":
            return Answer(200, b"", {"Set-Cookie": f"auth_tkt={SECRET}; Path=/; Secure; HttpOnly"})
        if not self.lets_in(seen):
            return Answer(401, b"log in", {"WWW-Authenticate": CHALLENGE})
        if seen.path.startswith("/outputs/"):
            return Answer(200, CONTENT)
        if seen.path.startswith("/wps/api"):
            return self._ogc(seen)
        return self._answer(seen)

    def _ogc(self, seen: Seen) -> Answer:
        documents = {
            "/wps/api/": {"links": []},
            "/wps/api/processes/step": {"id": "step", "inputs": {}},
            "/wps/api/jobs/1": {"jobID": "1", "status": "successful"},
            "/wps/api/jobs/1/results": {"output": {"href": f"{self.public}/outputs/x.txt"}},
        }
        if seen.method == "POST":
            return Answer(201, b"{}", {"Location": f"{self.public}/wps/api/jobs/1"})
        body = json.dumps(documents[seen.path]).encode()
        return Answer(200, body, {"Content-Type": "application/json"})


class SecureSite:
    """Three nodes whose certificates name the service only, and nginx before them, all TLS."""

    def __init__(self, directory: Path, *, client_certificates: bool = False) -> None:
        self.ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        identity = self.ca.issue_cert("ann@example.org", common_name="ann")
        self.cert = (str(directory / "ann.pem"), str(directory / "ann.key"))
        identity.cert_chain_pems[0].write_to_path(self.cert[0])
        identity.private_key_pem.write_to_path(self.cert[1])
        self.block = AddressBlock()
        self.port = self.block.port(["127.0.0.1"])
        self.public = f"https://localhost:{self.port}"
        self.url = f"{self.public}/wps"
        self._service = self.ca.issue_cert("localhost")
        self.nodes = {
            f"node{i}": SecureNode(
                self.block.host(10 + i), self._context(client_certificates), self.public
            )
            for i in (1, 2, 3)
        }
        self._nginx = RealNginx(directory, {"conf.d/site.conf": self._conf(directory)})
        if client_certificates:
            verify = f"ssl_client_certificate {self.ca_file}; ssl_verify_client on;"
            self._nginx.write({"conf.d/site.conf": self._conf(directory, verify)})

    def _context(self, client_certificates: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._service.configure_cert(context)
        if client_certificates:
            self.ca.configure_trust(context)
            # nginx shows no certificate: only the direct route must show one
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _conf(self, directory: Path, verify: str = "") -> str:
        self._service.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
        servers = " ".join(f"server {n.host}:{n.port};" for n in self.nodes.values())
        return f"""upstream wps {{ hash $http_machineid; {servers} }}
server {{
  listen 127.0.0.1:{self.port} ssl;
  ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.pem; {verify}
  location / {{ proxy_pass https://wps; proxy_set_header Host $http_host; }}
}}
"""

    def start_proxy(self) -> None:
        self._nginx.start(("127.0.0.1", self.port))

    def topology(self, *, host: str = "localhost", tls: bool = True) -> Topology:
        public = f"https://{host}:{self.port}"
        return Topology(
            nodes=tuple(Node(name, host=node.host) for name, node in self.nodes.items()),
            services=(
                Service(
                    "fp",
                    url=f"{public}/wps",
                    tls=tls,
                    outputs=Outputs(f"{public}/outputs", "/outputs"),
                    backends=tuple(
                        Backend(name, address=f"{node.host}:{node.port}")
                        for name, node in self.nodes.items()
                    ),
                ),
            ),
        )

    @property
    def seen(self) -> dict[str, list[Seen]]:
        """What came to which node, without requests for a topology, which any node answers."""
        asked = {
            name: [seen for seen in node.seen if seen.path != WELL_KNOWN]
            for name, node in self.nodes.items()
        }
        return {name: seen for name, seen in asked.items() if seen}

    def let_in(self, by) -> None:
        for node in self.nodes.values():
            node.lets_in = by
            node.seen.clear()

    def stop(self) -> None:
        self._nginx.stop()
        for node in self.nodes.values():
            node.stop()
        self.block.close()


def started(**options):
    with tempfile.TemporaryDirectory() as directory:
        made = SecureSite(Path(directory), **options)
        try:
            made.start_proxy()
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def site():
    yield from started()


@pytest.fixture(scope="module")
def site_with_certificates():
    yield from started(client_certificates=True)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    FINDER.forget()
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # requests puts it above .verify
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


def workflow(site: SecureSite, route: str, **options) -> Workflow:
    if route == "direct":
        options = {"topology": site.topology(), "route": "direct", **options}
    return Workflow("a1b2", **options)


def by_wps(wf, site, directory, **login):
    execution = wf.wps(site.url, **login).execute("step", []).wait()
    return execution.output("output").download(directory).path.read_bytes()


def by_birdy(wf, site, directory, **login):
    client = wf.birdy(site.url, **login)
    [text] = client.step().get(asobj=True)
    return text.encode() if isinstance(text, str) else text


def by_ogc(wf, site, directory, **login):
    job = wf.processes(f"{site.url}/api", **login).execute("step", {}, async_=True).wait()
    return job.output("output").read_bytes()


def by_several(wf, site, directory, **login):
    wf.session.bind(site.url, **login)
    [done] = wf.download([f"{site.public}/outputs/x.txt"], directory)
    return done.path.read_bytes()


CLIENTS = [by_wps, by_birdy, by_ogc, by_several]


# ---- it works ----


@pytest.mark.parametrize("route", ["proxy", "direct"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_login_reaches_the_node_with_every_request(site, tmp_path, client, way, route):
    lets_in, login = WAYS[way]
    site.let_in(lets_in)
    with workflow(site, route) as wf:
        assert client(wf, site, tmp_path, verify=site.ca_file, **login) == CONTENT
    [asked] = site.seen.values()  # one node
    assert {tuple(s.all("machineid")) for s in asked} == {("a1b2",)}
    refused = [s for s in asked if not lets_in(s)]
    assert len(refused) <= (len(asked) // 2 if way == "digest" else 0)


@pytest.mark.parametrize("route", ["proxy", "direct"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_certificate_is_shown_to_proxy_and_node(
    site_with_certificates, tmp_path, client, route
):
    site = site_with_certificates
    site.let_in(lambda seen: True)
    with workflow(site, route) as wf:
        assert client(wf, site, tmp_path, verify=site.ca_file, cert=site.cert) == CONTENT
    if route == "proxy":
        with workflow(site, route) as wf, pytest.raises((ServiceError, TransportError)):
            client(wf, site, tmp_path, verify=site.ca_file)


@pytest.mark.parametrize("route", ["proxy", "direct"])
@pytest.mark.parametrize("client", CLIENTS)
def test_what_magpie_gives_at_sign_in_is_sent_with_what_follows(site, tmp_path, client, route):
    site.let_in(by_cookie)
    with workflow(site, route) as wf:
        wf.session.bind(site.url, verify=site.ca_file)
        wf.session.post(f"{site.url}/signin", json={"user_name": "ann", "password": SECRET})
        assert client(wf, site, tmp_path, verify=site.ca_file) == CONTENT
    [_] = site.seen


@pytest.fixture
def magpie(request):
    """Magpie's sign-in, as requests-magpie knows it; Magpie itself cannot be installed here."""

    def sign_in(seen: Seen) -> Answer:
        given = dict(parse_qsl(seen.body.decode()))
        if (seen.method, seen.path) != ("POST", "/magpie/signin") or given["password"] != SECRET:
            return Answer(401)
        return Answer(200, b"{}", {"Set-Cookie": f"auth_tkt={SECRET}; Path=/; HttpOnly"})

    with Server(getattr(request, "param", "localhost")) as server:
        server.answer = sign_in
        yield server


@pytest.mark.parametrize("route", ["proxy", "direct"])
@pytest.mark.parametrize("client", CLIENTS)
def test_magpies_login_is_an_auth_whose_cookie_reaches_the_node_with_every_request(
    site, magpie, tmp_path, client, route
):
    site.let_in(by_cookie)
    auth = MagpieAuth(magpie.url("/magpie"), "ann", SECRET)
    with workflow(site, route) as wf:
        assert client(wf, site, tmp_path, verify=site.ca_file, auth=auth) == CONTENT
    [asked] = site.seen.values()  # one node
    assert {tuple(s.all("machineid")) for s in asked} == {("a1b2",)}
    assert all(by_cookie(s) for s in asked)
    assert [s.path for s in magpie.seen] == ["/magpie/signin"]
    assert told(magpie) == set()


def test_a_password_that_magpie_refuses_is_the_error_of_its_login(site, magpie):
    site.let_in(by_cookie)
    auth = MagpieAuth(magpie.url("/magpie"), "ann", "wrong")
    with workflow(site, "proxy") as wf, pytest.raises(MagpieAuthenticationError):
        wf.wps(site.url, verify=site.ca_file, auth=auth)
    assert site.seen == {}


@pytest.mark.parametrize("way", ["basic", "digest"])
def test_a_session_of_ones_own_logs_in_as_before(site, way):
    lets_in, login = WAYS[way]
    site.let_in(lets_in)
    own = requests.Session()
    own.auth, own.verify = login["auth"], site.ca_file
    with Workflow("a1b2") as wf:
        pin_session(own, wf, hosts=["localhost"])
        assert own.get(f"{site.public}/outputs/x.txt").content == CONTENT
    [seen] = site.seen.values()
    assert {tuple(s.all("machineid")) for s in seen} == {("a1b2",)}


def test_user_and_password_in_the_services_url_are_a_login(site, tmp_path):
    site.let_in(by_basic)
    url = site.url.replace("https://", f"https://ann:{SECRET}@")
    with Workflow("a1b2") as wf:
        wps = wf.wps(url, verify=site.ca_file)
        assert wps.url == site.url
        output = wps.execute("step", []).wait().output("output")
        assert output.download(tmp_path).path.read_bytes() == CONTENT


@pytest.mark.parametrize("auth", ["ann", ("ann",), ("ann", 1), object()])
def test_what_cannot_log_anybody_in_is_refused_without_repeating_it(site, auth):
    site.let_in(by_basic)
    with Workflow("a1b2") as wf:
        for client in (wf.wps, wf.processes, wf.birdy):
            with pytest.raises(InvalidRequest, match="expected") as refused:
                client(site.url, auth=auth)
            assert "ann" not in str(refused.value)
    assert site.seen == {}


# ---- TLS ----


def test_a_certificate_of_an_unknown_authority_is_refused(site):
    site.let_in(lambda seen: True)
    for route in ("proxy", "direct"):
        with (
            workflow(site, route, deadline=0.3) as wf,
            pytest.raises(TransportError, match="TLS handshake failed"),
        ):
            wf.wps(site.url)
    assert site.seen == {}


def test_a_node_must_show_the_services_certificate(site):
    site.let_in(lambda seen: True)
    # The nodes' certificates are for localhost, and this service is another one.
    topology = site.topology(host="wps.example.org")
    with (
        Workflow("a1b2", topology=topology, route="direct", deadline=0.3) as wf,
        pytest.raises(TransportError, match="TLS handshake failed"),
    ):
        wf.wps(f"https://wps.example.org:{site.port}/wps", verify=site.ca_file, auth=("ann", "x"))
    assert site.seen == {}


def test_credentials_do_not_leave_tls_for_a_node_that_speaks_none(site):
    site.let_in(lambda seen: True)
    topology = site.topology(tls=False)
    with (
        Workflow("a1b2", topology=topology, route="direct") as wf,
        pytest.raises(OutOfScope, match="in clear"),
    ):
        wf.wps(site.url, verify=site.ca_file, auth=("ann", SECRET))
    assert site.seen == {}


# ---- who must not get a login ----

FORBIDDEN = {"authorization", "cookie", "x-api-key", "machineid"}


def told(server: Server) -> set[str]:
    return {name.lower() for seen in server.seen for name, _ in seen.headers} & FORBIDDEN


@pytest.fixture
def service():
    with ScriptedWPS() as server:
        server.publishes = True
        server.answer = lambda seen: (
            Answer(404) if seen.path == WELL_KNOWN else server._answer(seen)
        )
        yield server


@pytest.fixture
def others(tmp_path):
    """Another host; the service's host on another port; and a TLS server there."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with Server("127.0.0.2") as host, Server() as port, Server(tls=context) as scheme:
        scheme.ca = str(tmp_path / "ca.pem")
        ca.cert_pem.write_to_path(scheme.ca)
        yield {"host": host, "port": port, "scheme": scheme}


LOGIN = {
    "basic": {"auth": ("ann", SECRET), "headers": {"X-Api-Key": SECRET}},
    "digest": {"auth": HTTPDigestAuth("ann", SECRET), "headers": {"Cookie": f"auth_tkt={SECRET}"}},
    "bearer": {"auth": Bearer(), "headers": {"X-Api-Key": SECRET}},
}


@pytest.mark.parametrize("where", ["host", "port", "scheme"])
@pytest.mark.parametrize("how", ["named", "redirect"])
@pytest.mark.parametrize("way", [*LOGIN, "magpie"])
@pytest.mark.parametrize("magpie", ["127.0.0.1"], indirect=True)
def test_another_origin_receives_no_secret(service, magpie, others, tmp_path, way, how, where):
    other = others[where]
    signed_in = {"auth": MagpieAuth(magpie.url("/magpie"), "ann", SECRET)}
    # A server that asks for a digest must not get one either.
    other.answer = lambda seen: Answer(401, b"", {"WWW-Authenticate": CHALLENGE})
    away = other.url("/outputs/x.txt")
    if how == "redirect":
        service.files = lambda seen: Answer(302, b"", {"Location": away})
    named = away if how == "named" else service.url("/outputs/x.txt")
    xml = wpsdocs.response(wpsdocs.SUCCEEDED, wpsdocs.reference(named))
    service.execute = lambda seen: service.xml(xml)
    with contextlib.ExitStack() as stack:
        if where == "host":
            stack.enter_context(_warnings_expected())
        wf = stack.enter_context(Workflow("a1b2"))
        wf.session.verify = others["scheme"].ca
        wps = wf.wps(service.url(), **LOGIN.get(way, signed_in))
        output = wps.execute("step", []).wait().output("output")
        for fetch in (output.read_bytes, lambda: output.download(tmp_path)):
            with pytest.raises(TransportError):
                fetch()
        with pytest.raises(TransportError):
            wf.download([named], tmp_path)
    assert other.seen
    # Magpie's cookie is its host's on every port, as in a browser; only redirects bring it there.
    cookie = {"cookie"} if way == "magpie" and how == "redirect" else set()
    assert told(other) <= ({"machineid", *cookie} if where != "host" else set())
    if way == "magpie":
        assert all(by_cookie(seen) for seen in service.seen if seen.path != WELL_KNOWN)


@contextlib.contextmanager
def _warnings_expected():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AffinityWarning)
        yield


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
@pytest.mark.parametrize("how", ["named", "redirect"])
def test_what_is_set_on_the_session_goes_to_hosts_in_scope_only(service, others, how):
    other = others["host"]
    other.answer = lambda seen: Answer(401, b"", {"WWW-Authenticate": CHALLENGE})
    service.files = lambda seen: Answer(302, b"", {"Location": other.url("/x")})
    with Workflow("a1b2") as wf:
        wf.add_scope(service.url())
        session = wf.session
        session.headers["X-Api-Key"] = SECRET
        session.cookies.set("auth_tkt", SECRET)
        session.params = {"token": SECRET}
        for session.auth in (("ann", SECRET), HTTPDigestAuth("ann", SECRET)):
            session.get(service.url("/a") if how == "redirect" else other.url("/x"))
            if how == "redirect" and isinstance(session.auth, tuple):
                assert told(service) == FORBIDDEN
    assert other.seen
    assert told(other) == set()
    assert not [seen.path for seen in other.seen if SECRET in seen.path]


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
@pytest.mark.parametrize("params", [f"token={SECRET}", [("token", SECRET)], {"token": SECRET}])
def test_parameters_of_the_session_in_any_form_stay_in_scope(others, params):
    other = others["host"]
    with Workflow("a1b2") as wf:
        wf.session.params = params
        wf.session.get(other.url("/x"))
        wf.session.get(other.url("/x"), params={"own": "1"})
    assert len(other.seen) == 2
    assert not [seen.path for seen in other.seen if SECRET in seen.path]


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_what_one_request_was_given_goes_where_it_was_sent(others):
    other = others["host"]
    with Workflow("a1b2") as wf:
        wf.session.get(
            other.url(), auth=("ann", SECRET), headers={"X-Api-Key": "k"}, cookies={"c": "d"}
        )
    assert told(other) == {"authorization", "x-api-key", "cookie"}
    other.seen.clear()
    with Workflow("a1b2") as wf:
        wf.session.cookies.set("auth_tkt", SECRET)
        wf.session.get(other.url(), headers={"Cookie": "c=d"})
    assert other.seen[-1].all("Cookie") == ["c=d"]


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_a_cookie_for_another_domain_is_not_taken(service, others):
    def answer(seen):
        cookie = "evil=1; Domain=127.0.0.2"
        return Answer(headers={"Set-Cookie": cookie})

    service.answer = answer
    with Workflow("a1b2") as wf:
        wf.session.get(service.url())
        wf.session.get(others["host"].url())
        assert not list(wf.session.cookies)
    assert told(others["host"]) == set()


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
def test_a_netrc_is_read_for_the_host_it_names(service, others, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Workflow("a1b2") as wf:
        wf.add_scope(service.url())
        wf.session.get(service.url("/x"))
        wf.session.get(others["host"].url("/x"))
    assert told(service) == {"machineid", "authorization"}
    assert told(others["host"]) == set()


@pytest.mark.filterwarnings("ignore:.* belongs to no known service")
@pytest.mark.parametrize("how", ["named", "redirect"])
def test_the_default_of_a_netrc_is_for_hosts_in_scope(service, others, tmp_path, monkeypatch, how):
    netrc = tmp_path / "netrc"
    netrc.write_text(
        f"machine 127.0.0.3 login ann password {SECRET}\ndefault login ann password {SECRET}\n"
    )
    monkeypatch.setenv("NETRC", str(netrc))
    with Server("127.0.0.3") as known, Workflow("a1b2") as wf:
        wf.add_scope(service.url())
        for other, expected in ((others["host"], set()), (known, {"authorization"})):
            service.files = lambda seen, to=other: Answer(302, b"", {"Location": to.url("/x")})
            wf.session.get(other.url("/x") if how == "named" else service.url("/outputs/x"))
            assert told(other) == expected
        wf.session.get(service.url("/x"))
    assert told(service) == {"machineid", "authorization"}


def test_a_redirect_within_an_origin_keeps_the_login_that_was_given_beside_a_netrc(
    service, tmp_path, monkeypatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login other password word\nmachine 127.0.0.1 login o password w\n")
    monkeypatch.setenv("NETRC", str(netrc))
    service.files = lambda seen: (
        Answer(302, b"", {"Location": "/outputs/2"}) if seen.path.endswith("1") else Answer()
    )
    with Workflow("a1b2") as wf:
        wf.session.bind(service.url(), auth=("ann", SECRET))
        wf.session.get(service.url("/outputs/1"))
    assert [by_basic(seen) for seen in service.seen if "outputs" in seen.path] == [True, True]


def test_a_proxy_is_asked_for_its_topology_without_any_credentials(service):
    with Workflow("a1b2") as wf:
        wf.session.cookies.set("auth_tkt", SECRET, domain="127.0.0.1")
        for client in (wf.wps, wf.birdy):
            FINDER.forget()
            client(service.url(), **LOGIN["basic"])
    asked = [seen for seen in service.seen if seen.path == WELL_KNOWN]
    assert len(asked) == 2
    for seen in asked:
        assert {name.lower() for name, _ in seen.headers} & FORBIDDEN == set()


def test_a_node_that_replaces_the_proxy_receives_no_credentials_of_the_proxy(service):
    topology = Topology(
        nodes=(Node("n1", host=service.host),),
        services=(
            Service(
                "fp",
                url="http://127.0.0.9:9/wps",
                backends=(Backend("n1", address=f"{service.host}:{service.port}"),),
            ),
        ),
    )
    service.execute = lambda seen: Answer(503)  # and then it is asked whether it is alive
    with Workflow("a1b2", topology=topology, deadline=0.5) as wf, _warnings_expected():
        wps = wf.wps("http://127.0.0.9:9/wps", **LOGIN["basic"])
        with pytest.raises(TransportError):
            wps.execute("step", [])
    assert [s.method for s in service.seen].count("POST") == 1
    assert len(service.seen) > 3
    assert told(service) == {"machineid"}


# ---- what is written down ----


@pytest.mark.filterwarnings("ignore:.* refuses DescribeProcess")
def test_no_secret_is_in_a_log_a_record_a_journal_a_repr_a_pickle_or_an_error(
    service, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    url = service.url().replace("//", f"//ann:{SECRET}@")
    journal = tmp_path / "journal"
    errors, texts, pickles = [], [], []
    with Workflow("a1b2", journal=journal, deadline=0.2) as wf:
        clients = [
            wf.wps(url, headers={"X-Api-Key": SECRET}),
            wf.wps(service.url(), skip_caps=True, **LOGIN["basic"]),
            wf.wps(service.url(), skip_caps=True, auth=Bearer()),
            wf.birdy(url),
            wf.processes(url, json_='{"links": []}', headers={"Authorization": SECRET}),
        ]
        execution = clients[0].execute("step", [])
        execution.wait()
        # what goes wrong: a refusal, an unknown name, a lost status, a dead server, a bad redirect
        service.describe = Answer(401, b"")
        service.execute = lambda seen: Answer(403, b"")
        service.status = lambda seen: Answer(401)
        service.files = lambda seen: Answer(302, b"", {"Location": "http://[bad/"})
        dead = f"http://ann:{SECRET}@127.0.0.1:9/wps"
        for cause in (
            lambda: clients[1].execute("nope", []),
            lambda: clients[0].attach(service.status_url.replace("//", f"//ann:{SECRET}@")),
            lambda: wf.session.get(dead + f"?access_token={SECRET}"),
            lambda: wf.session.get(url.replace("/wps", "/redirected")),
            lambda: wf.session.get(f"ftp://ann:{SECRET}@127.0.0.1/"),
            lambda: wf.download([f"file://ann:{SECRET}@h/x"], tmp_path),
            lambda: wf.wps(dead),
        ):
            with pytest.raises(AffinityError) as raised:
                cause()
            errors.append(raised.value)
        for held in (*clients, *(c.auth for c in clients[:3]), execution, wf, wf.session):
            texts.append(repr(held))
            with contextlib.suppress(TypeError):  # lxml's elements do not travel
                pickles.append(pickle.dumps(held))
        texts += [repr(wf.record.rows()), repr(wf.steps), repr(wf.record.notes), caplog.text]
        texts += [repr(vars(record)) for record in caplog.records]
    for error in errors:
        texts += [str(error), repr(error)]
        if "access_token" not in str(error.url):
            pickles.append(pickle.dumps(error))
            # As in Dask: the causes travel, too.
            tblib.pickling_support.install(error)
            pickles.append(pickle.dumps(error))
    texts.append(journal.read_text())
    assert len(pickles) > 8
    for text in texts:
        assert not re.search(f"{SECRET}|{BASIC}", text), text
    for held in pickles:
        assert SECRET.encode() not in held
        assert BASIC.encode() not in held
