"""What a probe asks is checked first; then a real nginx is probed in each of its states."""

import contextlib
import dataclasses
import re
import socket
import threading

import pytest
import trustme

from pavics_affinity.errors import InvalidRequest
from pavics_affinity.proxy.probe import Plan, ask, judge
from pavics_affinity.proxy.probe.asking import asked_url, spellings
from pavics_affinity.proxy.render import render_proxy
from pavics_affinity.topology import Outputs, Tls
from support.live_site import running, site
from support.loopback import Answer, Server

URL = "http://proxy.example:58093/wps"
EVIDENCE = "X-Pavics-Node"
LINE = "  hash $http_machineid;\n"


@pytest.fixture(scope="module")
def nodes():
    """Three nodes of three services, alive; a proxy is put in front by each test."""
    with site() as made:
        made.start_backends()
        yield made


def probed(made, *services, **options):
    urls = [made.url(name) for name in services or ("flyingpigeon",)]
    return judge(ask(Plan(urls, **options)))


def plain(made, *, evidence=EVIDENCE, old="", new=""):
    files = render_proxy(made.topology(evidence=evidence), "plain")
    return {name: text.replace(old, new) for name, text in files.items()} if old else files


def finding(verdict, name):
    return next(found for found in verdict.findings if found.name == name)


# ---- the plan is checked before anything is sent ----


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"urls": []}, "0 URLs"),
        ({"urls": ["proxy.example/wps"]}, "is not an http or https URL"),
        ({"urls": ["file:///etc/passwd"]}, "is not an http or https URL"),
        ({"urls": ["http://ann:secret@proxy.example/wps"]}, "leave them out"),
        ({"urls": [f"{URL}?service=WPS&REQUEST=execute&identifier=x"]}, "executes a process"),
        ({"urls": [f"{URL}?request=%45xecute"]}, "executes a process"),
        ({"header": "machine id"}, "header = 'machine id'"),
        ({"header": "Host"}, "header = 'Host'"),
        ({"header": "a\r\nb"}, "header ="),
        ({"evidence": "Content-Type"}, "evidence = 'Content-Type'"),
        ({"ids": 1}, "ids = 1"),
        ({"requests": 1000}, "requests = 1000"),
        ({"timeout": 0}, "timeout = 0"),
        ({"timeout": float("nan")}, "timeout = nan"),
    ],
)
def test_a_plan_that_cannot_be_asked_is_refused(options, words):
    with pytest.raises(InvalidRequest, match=words) as caught:
        Plan(**{"urls": [URL], **options})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        (URL, f"{URL}?service=WPS&request=GetCapabilities"),
        (f"{URL}?map=a%20b#x", f"{URL}?map=a%20b&service=WPS&request=GetCapabilities"),
        (f"{URL}?Request=DescribeProcess&x=1", f"{URL}?Request=DescribeProcess&x=1"),
    ],
)
def test_a_service_is_asked_for_its_capabilities(url, asked):
    assert asked_url(url) == asked


@pytest.mark.parametrize(
    ("header", "others"),
    [
        ("machineid", ["machine-id", "machine_id"]),
        ("machine_id", ["machine-id", "machineid"]),
        ("Machine-Id", ["machine-id", "machine_id"]),
        ("x_key", ["x-key", "xkey"]),
        ("key", []),
    ],
)
def test_other_spellings_of_a_header_are_tried(header, others):
    assert spellings(header) == others


# ---- what it must tell apart ----


def test_a_strict_proxy_works_and_its_services_keep_together(nodes):
    with running(nodes, render_proxy(nodes.topology(), "strict")):
        verdict = probed(nodes, *nodes.services)
    assert (verdict.kind, verdict.works) == ("strict", True)
    assert all(found.good for found in verdict.findings if found.name != "no header")
    assert "3 nodes, 3 services, strict" in finding(verdict, "document").words
    assert "node1, node2, node3" in finding(verdict, "no header").words
    assert "an unknown one is refused" in finding(verdict, "node names").words


def test_the_plain_proxy_of_the_manual_works_where_its_answers_name_the_node(nodes):
    with running(nodes, plain(nodes)):
        verdict = probed(nodes, *nodes.services)
    assert (verdict.kind, verdict.works) == ("plain", True)
    assert finding(verdict, "header machineid").good
    assert finding(verdict, "together").good
    assert finding(verdict, "document").good is None
    assert finding(verdict, "query key").words == "has no effect"


def test_addresses_identify_a_node_on_all_services(nodes):
    add = "location / {\n    add_header X-Who $upstream_addr always;\n   "
    with running(nodes, plain(nodes, evidence=None, old="location / {", new=add)):
        for options in ({}, {"evidence": "x-who"}):
            verdict = probed(nodes, *nodes.services, **options)
            assert (verdict.kind, verdict.works) == ("plain", True)
            assert finding(verdict, "together").good


def test_a_verdict_without_evidence_is_not_guessed(nodes):
    for old in ("", LINE):
        with running(nodes, plain(nodes, evidence=None, old=old)):
            verdict = probed(nodes, "flyingpigeon", "malleefowl")
        assert (verdict.kind, verdict.works) == ("cannot-tell", None)
        assert "which only one node has" in verdict.next


def test_an_output_of_one_node_shows_whether_there_is_a_hash(nodes):
    for (node, _), server in nodes.backends.items():
        server.status = 200 if node == "node2" else 404
        server.answer = lambda seen, status=server.status: Answer(status, b"the same")
    try:
        # As many ids as make it sure that some land on the node and some do not.
        with running(nodes, plain(nodes, evidence=None)):
            verdict = probed(nodes, ids=30, requests=2)
            assert (verdict.kind, verdict.works) == ("plain", True)
            assert "whether the resource is found" in finding(verdict, "evidence").words
        with running(nodes, plain(nodes, evidence=None, old=LINE)):
            verdict = probed(nodes)
            assert (verdict.kind, verdict.works) == ("no-hash", False)
    finally:
        for server in list(nodes.backends.values()):
            server.stop()
        nodes.backends.clear()
        nodes.start_backends()


def test_a_proxy_without_a_hash_gets_the_line_to_write(nodes):
    with running(nodes, plain(nodes, old=LINE)):
        verdict = probed(nodes)
    assert (verdict.kind, verdict.works) == ("no-hash", False)
    assert "hash $http_machineid;" in verdict.next
    assert finding(verdict, "header machineid").good is False


@pytest.mark.parametrize("sent", [None, "machine_id"])
def test_a_header_with_an_underscore_is_named(nodes, sent):
    underscore = plain(nodes, old="$http_machineid", new="$http_machine_id")
    with running(nodes, underscore):
        verdict = probed(nodes, header=sent)
    assert (verdict.kind, verdict.works) == ("other-header", False)
    assert "nginx drops a header machine_id because of its underscore" in verdict.words
    assert "Workflow(header='machine-id')" in verdict.next


def test_a_header_with_an_underscore_works_if_nginx_keeps_it(nodes):
    files = plain(nodes, old="$http_machineid", new="$http_machine_id")
    files["conf.d/00-underscores.conf"] = "underscores_in_headers on;\n"
    with running(nodes, files):
        assert probed(nodes, header="machine_id").works


def test_an_address_that_refuses_connections_is_down(nodes):
    verdict = probed(nodes)
    assert (verdict.kind, verdict.works) == ("down", False)
    assert "refused the connection" in verdict.words


def test_another_web_server_is_not_nginx(nodes):
    with contextlib.closing(Closing(Server())) as closing:
        verdict = judge(ask(Plan([f"http://127.0.0.1:{closing.server.port}/wps"])))
    assert (verdict.kind, verdict.works) == ("not-nginx", False)
    assert "BaseHTTP" in verdict.words


# ---- other troubles of a site ----


def test_a_node_that_is_down_behind_a_strict_proxy_is_named():
    with site() as made, running(made, render_proxy(made.topology(), "strict")):
        made.kill("node2", "flyingpigeon")
        verdict = probed(made)
        assert (verdict.kind, verdict.works) == ("node-down", False)
        assert "node2 behind it does not answer" in verdict.words
        for node in ("node1", "node3"):
            made.kill(node, "flyingpigeon")
        assert probed(made).kind == "nodes-down"


def test_services_that_hash_differently_are_apart(nodes):
    topology = nodes.topology(evidence=EVIDENCE)
    order = ("node2", "node3", "node1")
    backends = [topology.backends(topology.services[0])[int(name[-1]) - 1] for name in order]
    one = dataclasses.replace(topology.services[0], backends=backends)
    files = render_proxy(topology.with_services([one, *topology.services[1:]]), "plain")
    with running(nodes, files):
        verdict = probed(nodes, "flyingpigeon", "malleefowl")
        assert (verdict.kind, verdict.works) == ("apart", False)
    # Where a key names its node, the order of servers is of no account.
    files = render_proxy(topology.with_services([one, *topology.services[1:]]), "strict")
    with running(nodes, files):
        verdict = probed(nodes, "flyingpigeon", "malleefowl")
    assert (verdict.kind, verdict.works) == ("strict", True)
    assert finding(verdict, "together").good is None


def test_an_output_url_that_names_its_node_says_nothing_about_the_hash(nodes):
    topology = nodes.topology(evidence=EVIDENCE)
    by_node = topology.with_services(
        dataclasses.replace(s, outputs=Outputs(s.outputs.public + "/{node}", "/outputs"))
        for s in topology.services
    )
    url = nodes.url(path="/outputs/node2/u/a.nc")
    with running(nodes, render_proxy(by_node, "strict")):
        verdict = judge(ask(Plan([url])))
        assert (verdict.kind, verdict.works) == ("cannot-tell", None)
        assert "names node node2" in verdict.words
        assert probed(nodes).kind == "strict"
    with running(nodes, render_proxy(by_node, "plain")):  # it publishes nothing
        verdict = judge(ask(Plan([url])))
        assert (verdict.kind, verdict.works) == ("one-node", None)
        assert "or the URL itself names its node" in verdict.words
        assert probed(nodes).kind == "plain"


def test_a_hash_over_the_address_sends_all_ids_to_one_node(nodes):
    with running(nodes, plain(nodes, old="$http_machineid", new="$remote_addr")):
        verdict = probed(nodes)
    assert (verdict.kind, verdict.works) == ("one-node", None)


def test_a_proxy_in_front_that_drops_the_header_or_the_evidence(nodes):
    strict = render_proxy(nodes.topology(), "strict")
    dropped = {n: t.replace("map $http_machineid", 'map ""') for n, t in strict.items()}
    dropped = {n: t.replace("default $http_machineid", 'default ""') for n, t in dropped.items()}
    with running(nodes, dropped):
        verdict = probed(nodes)
        assert (verdict.kind, verdict.works) == ("no-hash", False)
        assert "nothing in front of nginx drops the header" in verdict.next
    silent = {
        n: t.replace(f"add_header {EVIDENCE}", "add_header X-Other") for n, t in strict.items()
    }
    with running(nodes, silent):
        verdict = probed(nodes)
        assert (verdict.kind, verdict.works) == ("stripped", None)


def test_nodes_given_by_host_name_are_identified_by_named_keys(nodes):
    # nginx prints addresses, so that what is rendered for names has no line for them.
    strict = {
        name: re.sub(r'(?m)^  "~\(\^\|\[ ,\]\).*\n', "", text)
        for name, text in render_proxy(nodes.topology(), "strict").items()
    }
    with running(nodes, strict):
        verdict = probed(nodes, "flyingpigeon", "malleefowl")
    assert (verdict.kind, verdict.works) == ("strict", True)
    assert finding(verdict, "header machineid").words == "no answer to a bare id shows its node"
    assert finding(verdict, "node names").good


def test_a_document_of_another_configuration_than_the_one_that_runs(nodes):
    strict = render_proxy(nodes.topology(), "strict")
    stale = {n: t.replace("[~]node2$", "[~]node7$") for n, t in strict.items()}
    with running(nodes, stale):
        verdict = probed(nodes)
    assert (verdict.kind, verdict.works) == ("not-strict", False)


def test_a_document_that_does_not_speak_of_the_url(nodes):
    strict = render_proxy(nodes.topology(), "strict")
    other = {n: t.replace(f"//{nodes.host}:", "//proxy.example:") for n, t in strict.items()}
    with running(nodes, other):
        verdict = probed(nodes)
    assert (verdict.kind, verdict.works) == ("plain", True)
    assert finding(verdict, "document").good is False
    assert "an alias" in verdict.next


def test_a_site_of_one_node(nodes):
    topology = nodes.topology()
    one = dataclasses.replace(topology, nodes=topology.nodes[:1])
    with running(nodes, render_proxy(one, "strict")):
        assert probed(nodes).works


def test_a_certificate_that_is_not_trusted_and_then_is(nodes, tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert(nodes.host).private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "proxy.pem"
    )
    pem = str(tmp_path / "proxy.pem")
    topology = nodes.topology(tls=Tls(pem, pem))
    services = [
        dataclasses.replace(
            service, url=service.url.replace("http:", "https:"), outputs=None, publish=None
        )
        for service in topology.services
    ]
    files = render_proxy(topology.with_services(services), "strict")
    plan = Plan([nodes.url().replace("http:", "https:")])
    with running(nodes, files):
        verdict = judge(ask(plan))
        assert (verdict.kind, "TLS" in verdict.words) == ("down", True)
        assert "REQUESTS_CA_BUNDLE" in verdict.next
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert judge(ask(plan)).kind == "strict"
        # Plain HTTP at a port that speaks TLS is an answer, though no service's.
        assert probed(nodes).kind == "no-service"


# ---- how much is asked, and of whom ----


def test_only_gets_are_sent_and_no_more_than_planned():
    with site() as made, running(made, render_proxy(made.topology(), "strict")):
        for count in (1, 3):
            plan = Plan([made.url(name) for name in list(made.services)[:count]])
            assert plan.most <= (50 if count == 1 else 80)
            before = sum(len(server.seen) for server in made.backends.values())
            seen = ask(plan)
            arrived = sum(len(server.seen) for server in made.backends.values()) - before
            assert arrived < seen.requests <= plan.most
        asked = [request for server in made.backends.values() for request in server.seen]
    assert {request.method for request in asked} == {"GET"}
    assert all("request=GetCapabilities" in request.path for request in asked)
    for request in asked:
        assert not request.all("authorization")
        assert not request.all("cookie")


def test_a_diagnosis_sends_no_more_than_planned(nodes):
    for old, new in ((LINE, ""), ("$http_machineid", "$remote_addr")):
        with running(nodes, plain(nodes, old=old, new=new)):
            plan = Plan([nodes.url()])
            assert ask(plan).requests <= plan.most


# ---- hostile answers ----


class Closing:
    """Something that is stopped."""

    def __init__(self, server):
        self.server = server

    def close(self):
        self.server.stop()


def verdict_on(answer, **options):
    server = Server()
    server.answer, server.publishes = answer, True
    try:
        plan = Plan([f"http://127.0.0.1:{server.port}/wps"], **options)
        return judge(ask(plan))
    finally:
        server.stop()


@contextlib.contextmanager
def talking(*pieces, pause=0.0):
    """Serve these bytes to every connection, and the last one for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def talk(connection):
        with contextlib.suppress(OSError), connection:
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)
            while pieces and not over.wait(pause):
                connection.sendall(pieces[-1])

    def serve():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/wps"
    finally:
        over.set()
        listener.close()


@pytest.mark.parametrize(
    ("pieces", "pause", "words"),
    [
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], 0.01, "does not speak HTTP"),
        ([b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 60_000 + b"\r\n"], 0.0, "head of its answer"),
        ([b"HTTP/1.1 200 OK\r\nX-A: ", b"a" * 70_000], 0.0, "head of its answer"),
        ([b"HTTP/1.1 200 OK\r\nX-A: ", b"a"], 0.05, "silent"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"a"], 0.05, "silent"),
        ([], 0.0, "without an answer"),
    ],
    ids=[
        "no HTTP",
        "many headers",
        "an endless line",
        "drops of a head",
        "drops of a body",
        "shut",
    ],
)
def test_a_server_that_never_answers_is_asked_three_times(pieces, pause, words):
    with talking(*pieces, pause=pause) as url:
        seen = ask(Plan([url], timeout=0.5 if words == "silent" else 20))
    verdict = judge(seen)
    assert (verdict.kind, verdict.works) == ("down", False)
    assert words in verdict.words
    assert seen.requests == 3


def test_an_endless_body_is_read_to_its_limit():
    with talking(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", b"a" * 60_000) as url:
        verdict = judge(ask(Plan([url], ids=2, requests=2)))
    assert verdict.kind == "not-nginx"


@pytest.mark.parametrize(
    "document",
    [
        b"[" * 100_000,
        b'{"pavics-affinity": 1}',
        b'{"pavics-affinity": 1, "nodes": 7}',
        b"\xff",
        b"{}",
    ],
)
def test_an_invalid_document_changes_nothing(document):
    verdict = verdict_on(lambda seen: Answer(200, document))
    assert verdict.kind == "not-nginx"
    found = finding(verdict, "document")
    assert found.good is (False if b"pavics" in document else None)


def test_text_of_a_server_is_shown_without_control_characters():
    nasty = "\x1b[31mnode\x1b]0;x\x07" + "y" * 500
    verdict = verdict_on(lambda seen: Answer(200, b"", {EVIDENCE: nasty, "Server": nasty}))
    told = " ".join([verdict.words, verdict.next, *(f.words for f in verdict.findings)])
    assert told.isprintable()
    assert "y" * 100 not in told


def test_a_server_that_echoes_the_id_proves_nothing():
    def echo(seen):
        key = (seen.all("machineid") or ["none"])[0]
        return Answer(200, key.encode(), {"X-Your-Id": key, "ETag": key})

    assert verdict_on(echo).kind == "not-nginx"


def test_values_that_never_come_back_do_not_identify_nodes():
    count = iter(range(1000))

    def counted(seen):
        number = str(next(count))
        return Answer(200, number.encode(), {"X-Request-Number": number})

    assert verdict_on(counted).kind == "not-nginx"


def test_a_service_that_wants_credentials_cannot_be_judged():
    verdict = verdict_on(lambda seen: Answer(401, b"no", {"WWW-Authenticate": "Basic"}))
    assert (verdict.kind, verdict.works) == ("cannot-tell", None)
    assert "asks for credentials" in verdict.words


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (404, {}, "answers 404"),
        (302, {"Location": "https://elsewhere.example/wps"}, "'https://elsewhere.example/wps'"),
    ],
)
def test_a_url_that_is_not_a_service(status, headers, words):
    verdict = verdict_on(lambda seen: Answer(status, b"", headers))
    assert (verdict.kind, verdict.works) == ("no-service", False)
    assert words in verdict.words
