"""Secrets are canaries: a listener on another address hears none, however it is named.

A hostile service names that address in every place of its documents and redirects, in many
spellings. The listener keeps every byte that reaches it, and answers as the service would, or with
a challenge. Each case ends in a result or in an error of ours: any other exception fails the test.
"""

from __future__ import annotations

import base64
import contextlib
import json
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPDigestAuth

from pavics_affinity import Backend, Node, Service, Topology, Workflow
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.discovery.document import document
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import AffinityError, OutOfScope
from pavics_affinity.topology import Outputs
from support import wpsdocs
from support.hostnames import Hostnames
from support.loopback import Answer, Seen, Server

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning"),
]

CANARY = "c4n4ry"
LOGIN = base64.b64encode(f"ann:{CANARY}-password".encode()).decode()
LEAK = re.compile(f"{CANARY}|{re.escape(LOGIN)}")
#: The only headers that a stranger may send: each further one is a finding.
OF_A_STRANGER = {"accept", "accept-encoding", "accept-language", "connection", "content-length"}
OF_A_STRANGER |= {"content-type", "host", "if-range", "range", "user-agent"}

SPELLINGS = (
    "http://{evil}/x{end}",
    "HTTP://{evil}/x{end}",
    "//{evil}/x{end}",
    "http:/\\{evil}/x{end}",
    "http:\\\\{evil}/x{end}",
    "/\\{evil}/x{end}",
    "\\\\{evil}/x{end}",
    "http://{good}@{evil}/x{end}",
    "http://{good}:80@{evil}/x{end}",
    "http://ann:{canary}-password@{evil}/x{end}",
    "http://{evil}\\@{good}/x{end}",
    "http://{evil}#@{good}/x{end}",
    "http://{evil}?@{good}/x{end}",
    "http://{good}%40{evil}/x{end}",
    "http://{good}%2f@{evil}/x{end}",
    "http://{good}\t@{evil}/x{end}",
    " http://{evil}/x{end} ",
    "\thttp://{evil}/x{end}",
    "ht\ttp://{evil}/x{end}",
    "http://{evil}./x{end}",
    "http://{evil_host}.:{evil_port}/x{end}",
    "http://[::ffff:127.0.0.2]:{evil_port}/x{end}",
    "http://0x7f.0.0.2:{evil_port}/x{end}",
    "http://2130706434:{evil_port}/x{end}",
    "http://127.2:{evil_port}/x{end}",
    "http://{good_host}:{good_port}:{evil_port}/x{end}",
    "http://{good};{evil}/x{end}",
    "http://{evil}/.affinity/{canary}/x{end}",
    "http://{evil}/{good}/x{end}",
    "https://{evil}/x{end}",
    "ftp://{evil}/x{end}",
    "file://{evil}/x{end}",
)
CODES = (301, 302, 303, 307, 308)
#: Two codes for each spelling, all codes in turn: nothing reads a URL by the code.
REDIRECTS = [
    (spelling, CODES[(number + step) % 5])
    for number, spelling in enumerate(SPELLINGS)
    for step in (0, 2)
]
CHALLENGES = {
    "basic": 'Basic realm="the service"',
    "digest": 'Digest realm="the service", nonce="n", qop="auth", algorithm=MD5',
}
LEAST = 1500
"""Ways that the tests of this module must try together."""


class Hostile(Server):
    """A service whose documents name a URL, in the places that a test asks for."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1")
        self.publishes = True
        self.plays = "output"
        self.reset()
        self.answer = self._hostile

    def reset(self, url_named: str = "", **set_up: Any) -> None:
        """Name another URL, in the usual places."""
        self.url_named = url_named
        self.redirects: tuple[str, int] | None = None
        self.metalink = self.metalink4 = self.opendap = False
        self.status_elsewhere: str | bool = False
        self.as_job = self.as_list = False
        self.topology: Callable[[], dict[str, Any]] | None = None
        for name, value in set_up.items():
            assert hasattr(self, name)
            setattr(self, name, value)

    def _hostile(self, seen: Seen) -> Answer:
        if seen.path == WELL_KNOWN:
            told = None if self.topology is None else json.dumps(self.topology()).encode()
            return Answer(404, b"") if told is None else Answer(200, told)
        kind = self.kind(seen)
        if self.redirects is not None and self.redirects[0] == kind:
            return Answer(self.redirects[1], b"", {"Location": self._as_header()})
        answer = self.documents(seen, kind)
        answer.headers.setdefault("Set-Cookie", f"sid={CANARY}-cookie; Path=/")
        return answer

    def _as_header(self) -> str:
        return self.url_named.strip().replace("\t", "%09")

    def kind(self, seen: Seen) -> str:
        """Say what is asked for; a relative spelling names the service itself."""
        if "x.xml" in seen.path:
            return self.plays
        if seen.path.startswith("/ogc"):
            return "ogc " + seen.path.removeprefix("/ogc").strip("/").partition("?")[0]
        if seen.method == "POST":
            return "Execute"
        for name in ("GetCapabilities", "DescribeProcess"):
            if name in seen.path:
                return name
        return "status" if seen.path.partition("?")[0].endswith(".xml") else "output"

    def documents(self, seen: Seen, kind: str) -> Answer:
        xml = {"Content-Type": "text/xml"}
        named = self.url_named.replace("&", "&amp;")
        done = wpsdocs.response(
            wpsdocs.SUCCEEDED, wpsdocs.reference(self._output(named), mimetype=self._mimetype())
        )
        match kind:
            case "GetCapabilities":
                document = wpsdocs.capabilities("step").replace(
                    b"http://example.org/wps", named.encode()
                )
                return Answer(200, document, xml)
            case "DescribeProcess":
                inputs = wpsdocs.literal("text") + wpsdocs.complex_("resource")
                return Answer(200, wpsdocs.description("step", inputs), xml)
            case "Execute":
                if b'status="true"' in seen.body:
                    location = named if self.status_elsewhere else self.url("/s.xml")
                    return Answer(200, wpsdocs.response(wpsdocs.ACCEPTED, location=location), xml)
                return Answer(200, done, xml)
            case "status":
                return Answer(200, done, xml)
            case "output":
                return Answer(200, self._file(named), xml)
        return self._ogc(kind.removeprefix("ogc "))

    def _mimetype(self) -> str:
        if self.opendap:
            return "application/x-ogc-dods"
        version = "4.0" if self.metalink4 else "3.0"
        is_metalink = self.metalink or self.metalink4
        return f"application/metalink+xml; version={version}" if is_metalink else "text/plain"

    def _output(self, named: str) -> str:
        return self.url("/files") if self.metalink or self.metalink4 else named

    def _file(self, named: str) -> bytes:
        urls = f"<url priority='1' preference='100'>{named}</url><url>{self.url('/mirror')}</url>"
        if self.metalink4:
            namespace = "urn:ietf:params:xml:ns:metalink"
            return f"<metalink xmlns='{namespace}'><file name='f'>{urls}</file></metalink>".encode()
        listed = f"<files><file name='f'><resources>{urls}</resources></file></files>"
        return f"<metalink version='3.0'>{listed}</metalink>".encode()

    def _ogc(self, path: str) -> Answer:
        headers = {"Content-Type": "application/json"}
        link = {"href": self.url_named, "type": "application/vnd.oai.openapi+json;version=3.0"}
        results = {"rel": "http://www.opengis.net/def/rel/ogc/1.0/results", **link}
        output = {"href": self.url_named, "type": "text/plain"}
        documents: dict[str, Any] = {
            "": {"links": [{"rel": r, **link} for r in ("self", "service-desc", "processes")]},
            "processes": {"processes": [{"id": "step"}], "links": [{"rel": "next", **link}]},
            "processes/step": {
                "id": "step",
                "inputs": {},
                "outputs": {"output": {}},
                "links": [{"rel": "http://www.opengis.net/def/rel/ogc/1.0/execute", **link}],
            },
            "jobs/1": {"jobID": "1", "status": "successful", "links": [results]},
            "jobs/1/results": {"output": [output, output] if self.as_list else output},
            "processes/step/execution": {"output": [output, output] if self.as_list else output},
        }
        if path != "processes/step/execution":
            return Answer(200, json.dumps(documents.get(path, {})).encode(), headers)
        if self.status_elsewhere == "Link":
            headers["Link"] = f'<{self._as_header()}>; rel="monitor"'
            return Answer(201, b"{}", headers)
        if self.status_elsewhere == "body":
            link = {"rel": "monitor", "href": self.url_named}
            told = {"jobID": "1", "status": "accepted", "type": "process", "links": [link]}
            return Answer(201, json.dumps(told).encode(), headers)
        if self.status_elsewhere:
            return Answer(201, b"{}", headers | {"Location": self._as_header()})
        if self.as_job:
            return Answer(201, b"{}", headers | {"Location": self.url("/ogc/jobs/1")})
        return Answer(200, json.dumps(documents[path]).encode(), headers)


@dataclass(frozen=True)
class Way:
    """What the client does, what the service is to name, and what the listener plays."""

    name: str
    act: Callable[[Workflow, Hostile, Path], Any]
    set_up: tuple[tuple[str, Any], ...] = ()
    plays: str = "output"


def executed(wf: Workflow, server: Hostile, mode: str = "sync") -> Any:
    return wf.wps(server.url()).execute("step", [], mode=mode)


def output_of(wf: Workflow, server: Hostile) -> Any:
    return executed(wf, server).output("output")


def ogc(wf: Workflow, server: Hostile) -> Any:
    return wf.processes(server.url("/ogc"))


def run_of(wf: Workflow, server: Hostile) -> Any:
    return ogc(wf, server).execute("step", {})


def job_of(wf: Workflow, server: Hostile) -> Any:
    return ogc(wf, server).execute("step", {}, async_=True)


def handed_on(wf: Workflow, server: Hostile, _: Path) -> Any:
    output = output_of(wf, server)
    for act in (wf.headers, wf.link):
        with contextlib.suppress(AffinityError):
            act(output.reference)
    return output.text()


def pickled(wf: Workflow, server: Hostile, _: Path) -> Any:
    return pickle.loads(pickle.dumps(output_of(wf, server))).text()


def attached(wf: Workflow, server: Hostile, _: Path) -> Any:
    return wf.wps(server.url()).attach(server.url_named).wait(1)


def job_attached(wf: Workflow, server: Hostile, _: Path) -> Any:
    return ogc(wf, server).attach(server.url_named).wait(1)


def resumed(wf: Workflow, server: Hostile, directory: Path, how: str = "wps") -> Any:
    """A program ends after its Execute; the next one waits for the job that the journal names."""
    journal = directory / "run.jsonl"
    journal.unlink(missing_ok=True)
    with Workflow(f"{CANARY}-id", journal=journal, deadline=0.05, timeout=0.5) as first:
        started = job_of(first, server) if how == "ogc" else executed(first, server, "async")
        assert started is not None
    with Workflow.resume(journal, deadline=0.05, timeout=0.5) as second:
        with_secrets(second, server, "basic")
        for execution in second.executions:
            execution.wait(1)


def dismissed(wf: Workflow, server: Hostile, _: Path) -> Any:
    return job_of(wf, server).dismiss()


def chained(wf: Workflow, server: Hostile, _: Path) -> Any:
    """The URL of one step's output is an input of the next."""
    wf.wps(server.url()).execute("step", [("resource", output_of(wf, server))], mode="sync")


ELSEWHERE = (("status_elsewhere", True),)
METALINK = (("metalink", True),)
WAYS = (
    Way("status", lambda wf, s, _: executed(wf, s, "async").wait(1), ELSEWHERE, "status"),
    Way("status attached", attached, (), "status"),
    Way("status resumed", resumed, ELSEWHERE, "status"),
    Way("output text", lambda wf, s, _: output_of(wf, s).text()),
    Way("output open", lambda wf, s, _: output_of(wf, s).open().close()),
    Way("output retrieveData", lambda wf, s, _: output_of(wf, s).retrieveData()),
    Way("output download", lambda wf, s, d: output_of(wf, s).download(d / "file")),
    Way("output writeToDisk", lambda wf, s, d: output_of(wf, s).writeToDisk(str(d / "file"))),
    Way("output pickled", pickled),
    Way("output chained", chained),
    Way("output shown", lambda wf, s, _: output_of(wf, s)._repr_html_()),
    Way("opendap", lambda wf, s, _: output_of(wf, s).open_dataset(), (("opendap", True),)),
    Way("wf.download", lambda wf, s, d: wf.download([output_of(wf, s)], d, progress=False)),
    Way("wf.download url", lambda wf, s, d: wf.download([s.url_named], d, progress=False)),
    Way("session get", lambda wf, s, _: wf.session.get(output_of(wf, s).reference)),
    Way("session head", lambda wf, s, _: wf.session.head(output_of(wf, s).reference)),
    Way("headers and link first", handed_on),
    Way("metalink", lambda wf, s, _: [f.text() for f in output_of(wf, s).files()], METALINK),
    Way(
        "metalink 4",
        lambda wf, s, _: [f.text() for f in output_of(wf, s).files()],
        (("metalink4", True),),
    ),
    Way("birdy", lambda wf, s, _: wf.birdy(s.url()).step().get(asobj=True)),
    Way("birdy metalink", lambda wf, s, _: wf.birdy(s.url()).step().get(asobj=True), METALINK),
    Way("OGC definition", lambda wf, s, _: ogc(wf, s).api(), (), "ogc "),
    Way("OGC processes", lambda wf, s, _: ogc(wf, s).processes(), (), "ogc processes"),
    Way("OGC process", lambda wf, s, _: ogc(wf, s).process("step"), (), "ogc processes/step"),
    Way("OGC job", lambda wf, s, _: job_of(wf, s).wait(1), ELSEWHERE, "ogc jobs/1"),
    Way(
        "OGC job in a Link header",
        lambda wf, s, _: job_of(wf, s).wait(1),
        (("status_elsewhere", "Link"),),
        "ogc jobs/1",
    ),
    Way(
        "OGC job in a body",
        lambda wf, s, _: job_of(wf, s).wait(1),
        (("status_elsewhere", "body"),),
        "ogc jobs/1",
    ),
    Way("OGC job attached", job_attached, (), "ogc jobs/1"),
    Way("OGC job dismissed", dismissed, ELSEWHERE, "ogc jobs/1"),
    Way("OGC job resumed", lambda wf, s, d: resumed(wf, s, d, "ogc"), ELSEWHERE, "ogc jobs/1"),
    Way(
        "OGC results",
        lambda wf, s, _: job_of(wf, s).wait(1).results().output("output").text(),
        (("as_job", True),),
        "ogc jobs/1/results",
    ),
    Way("OGC output", lambda wf, s, _: run_of(wf, s).output("output").text()),
    Way(
        "OGC array of links",
        lambda wf, s, _: [f.text() for f in run_of(wf, s).output("output").files()],
        (("as_list", True),),
    ),
)
REDIRECTED: dict[str, Callable[[Workflow, Hostile, Path], Any]] = {
    "GetCapabilities": lambda wf, s, _: wf.wps(s.url()),
    "DescribeProcess": lambda wf, s, _: wf.wps(s.url()).describeprocess("step"),
    "Execute": lambda wf, s, _: executed(wf, s),
    "status": lambda wf, s, _: wf.wps(s.url()).attach(s.url("/s.xml")),
    "output": lambda wf, s, d: wf.download([s.url("/file?token=c4n4ry")], d, progress=False),
    "ogc ": lambda wf, s, _: ogc(wf, s),
    "ogc processes/step/execution": lambda wf, s, _: run_of(wf, s),
    "ogc jobs/1": lambda wf, s, _: ogc(wf, s).attach(s.url("/ogc/jobs/1")).wait(1),
}
COUNTED = {
    "URLs in documents": len(WAYS) * len(SPELLINGS),
    "redirects": len(REDIRECTED) * len(REDIRECTS),
    "challenges": len(REDIRECTED) * 3 * len(CHALLENGES),
    "topologies": len(WAYS) * 4,
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Hostile, Server]]:
    with Hostile() as good, Server("127.0.0.2") as evil:
        yield good, evil


@pytest.fixture(autouse=True)
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A login for every host, as `.netrc` can have one."""
    path = tmp_path / "netrc"
    path.write_text(f"default login ann password {CANARY}-password\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def with_secrets(wf: Workflow, good: Server, login: str) -> None:
    """Give a workflow each kind of secret that it can have."""
    word = ("ann", f"{CANARY}-password")
    auth = HTTPDigestAuth(*word) if login == "digest" else word
    wf.session.bind(good.url(), auth=auth, headers={"X-Api-Key": f"{CANARY}-key"})
    wf.session.auth = auth
    wf.session.headers["X-Token"] = f"{CANARY}-token"
    wf.session.params = {"token": f"{CANARY}-parameter"}
    wf.session.cookies.set("own", f"{CANARY}-own")


@dataclass(frozen=True)
class Case:
    """A hostile service and the listener that it names; `heard` has the secrets that came."""

    good: Hostile
    evil: Server
    directory: Path

    def named(self, spelling: str) -> str:
        return spelling.format(
            good=self.good.origin[7:],
            evil=self.evil.origin[7:],
            good_host=self.good.host,
            good_port=self.good.port,
            evil_host=self.evil.host,
            evil_port=self.evil.port,
            canary=CANARY,
            end=".xml",
        )

    def heard(
        self,
        spelling: str,
        act: Callable[[Workflow, Hostile, Path], Any],
        plays: str = "output",
        *,
        challenge: str | None = None,
        **set_up: Any,
    ) -> list[str]:
        """Let a client act on the service; return the secrets that went elsewhere."""
        good, evil = self.good, self.evil
        good.reset(self.named(spelling), **set_up)
        good.plays = plays
        evil.answer = lambda seen: good.documents(seen, plays)
        if challenge is not None:
            asks = {"WWW-Authenticate": CHALLENGES[challenge]}
            evil.answer = lambda seen: Answer(401, b"", asks)
        evil.seen.clear()
        FINDER.forget()
        with Workflow(f"{CANARY}-id", deadline=0.05, timeout=0.5) as wf:
            with_secrets(wf, good, challenge or "basic")
            with contextlib.suppress(AffinityError):  # a foreign error is a finding
                act(wf, good, self.directory)
        return [f"{seen.method} {seen.path} {seen.headers}" for seen in evil.seen if leaks(seen)]


@pytest.fixture
def case(servers: tuple[Hostile, Server], tmp_path: Path) -> Case:
    return Case(*servers, tmp_path)


def leaks(seen: Seen) -> bool:
    """Return whether a request has more than a stranger would send."""
    if any(name.lower() not in OF_A_STRANGER for name, _ in seen.headers):
        return True
    # A hostile document already knows what it writes into the path of a URL.
    path = seen.path.replace(f"/.affinity/{CANARY}", "")
    body = seen.body.decode(errors="replace")
    return any(LEAK.search(text) for text in (path, body, *(value for _, value in seen.headers)))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_secret_follows_a_url_of_a_document(case, way):
    found = {s: case.heard(s, way.act, way.plays, **dict(way.set_up)) for s in SPELLINGS}
    assert {s: leaked for s, leaked in found.items() if leaked} == {}


@pytest.mark.parametrize("kind", REDIRECTED)
def test_no_secret_follows_a_redirect(case, kind):
    found = {
        (s, code): case.heard(s, REDIRECTED[kind], kind, redirects=(kind, code))
        for s, code in REDIRECTS
    }
    assert {way: leaked for way, leaked in found.items() if leaked} == {}


@pytest.mark.parametrize("challenge", CHALLENGES)
@pytest.mark.parametrize("kind", REDIRECTED)
def test_no_challenge_of_another_host_gets_the_login(case, kind, challenge):
    act, spelling = REDIRECTED[kind], "http://{evil}/x{end}"
    found = {
        code: case.heard(spelling, act, kind, challenge=challenge, redirects=(kind, code))
        for code in (302, 307)
    }
    found[0] = case.heard(spelling, lambda wf, s, _: wf.session.get(s.url_named), kind)
    assert {code: leaked for code, leaked in found.items() if leaked} == {}


def test_1500_ways_and_more_are_tried():
    assert sum(COUNTED.values()) >= LEAST, COUNTED


@pytest.mark.parametrize("code", [307, 308])
def test_the_inputs_of_an_execute_do_not_follow_a_redirect_out_of_the_scope(case, code):
    case.good.reset(case.evil.url("/wps"), redirects=("Execute", code))
    case.evil.seen.clear()
    with Workflow(f"{CANARY}-id") as wf:
        service = wf.wps(case.good.url())
        with pytest.raises(OutOfScope, match="inputs may be private"):
            service.execute("step", [("text", f"{CANARY}-input")], mode="sync")
        assert not wf.steps[-1].ran
    assert case.evil.seen == []


LOOK_ALIKES = (
    "evil.test", "wps.site.test.evil.test", "xwps.site.test", "site.test", "below.wps.site.test",
    "other.site.test", "wps.site.test-evil.test", "wps-site.test", "w.ps.site.test",
)  # fmt: skip


@pytest.mark.parametrize(
    "domain", ["", "; Domain=wps.site.test", "; Domain=.test", "; Domain=evil.test"]
)
@pytest.mark.parametrize("host", LOOK_ALIKES)
def test_a_host_whose_name_is_like_the_services_hears_nothing(case, monkeypatch, host, domain):
    if host == "below.wps.site.test":  # a browser, too, sends it there if the Domain says so
        domain = domain.replace("; Domain=wps.site.test", "")
    names = Hostnames(monkeypatch)
    names.lead("wps.site.test", 80, case.good)
    names.lead(host, 80, case.evil)
    case.good.reset(f"http://{host}/x", redirects=("status", 302), opendap=False)
    case.evil.seen.clear()
    with Workflow(f"{CANARY}-id", deadline=0.05, timeout=0.5) as wf:
        service = wf.wps("http://wps.site.test/wps", auth=("ann", f"{CANARY}-password"))
        wf.session.headers["X-Token"] = f"{CANARY}-token"
        case.good.answer, usual = with_cookie(case.good, domain), case.good.answer
        try:
            output = service.execute("step", [], mode="sync").output("output")
            for act in (output.text, lambda: wf.session.get("http://wps.site.test/s.xml")):
                act()
        finally:
            case.good.answer = usual
    assert len(case.evil.seen) == 2
    assert [seen for seen in case.evil.seen if leaks(seen)] == []


def with_cookie(server: Hostile, attributes: str) -> Callable[[Seen], Answer]:
    """Have a server set a cookie with these attributes with each answer."""
    usual = server.answer

    def answer(seen: Seen) -> Answer:
        given = usual(seen)
        given.headers["Set-Cookie"] = f"ticket={CANARY}-ticket; Path=/{attributes}"
        return given

    return answer


def hostile_topologies(good: Server, evil: Server) -> dict[str, dict[str, Any]]:
    """Name the listener in a document: as service, outputs, alias, node and backend."""
    nodes = [Node("node1", host=evil.host)]
    backends = [Backend(n.name, address=evil.origin[7:]) for n in nodes]
    outputs = Outputs(evil.url("/outputs"), "/outputs")
    service = Service(
        "own", url=good.url(), port=evil.port, outputs=outputs, aliases=(evil.url("/alias"),),
        backends=tuple(backends), publish=good.port,
    )  # fmt: skip
    other = Service("other", url=evil.url("/wps"), port=evil.port, backends=tuple(backends))
    told = document(Topology(nodes=nodes, services=[service, other], direct=True))
    return {
        "everything": told,
        "alias alone": {**told, "services": [{**told["services"][1], "aliases": [good.url()]}]},
        "own header": {**told, "header": "X-Api-Key"},
        "of the login": {**told, "header": "X-Token"},
    }


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_topology_that_names_another_host_is_not_believed_of_it(case, way):
    found = {}
    for kind, told in hostile_topologies(case.good, case.evil).items():
        set_up = {**dict(way.set_up), "topology": lambda told=told: told}
        found[kind] = case.heard("http://{evil}/wps/x{end}", way.act, way.plays, **set_up)
    assert {kind: leaked for kind, leaked in found.items() if leaked} == {}


def test_the_listener_hears_what_is_sent_to_it(case):
    """The canary sings where it should: a host that the user has named himself."""
    with Workflow(f"{CANARY}-id", deadline=0.05) as wf:
        wf.add_scope("127.0.0.2")
        case.evil.seen.clear()
        wf.session.get(case.evil.url("/x"))
    assert [leaks(seen) for seen in case.evil.seen] == [True]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_listener_is_reached_in_each_way(case, way):
    """A way that never gets as far as the listener would prove nothing."""
    case.heard("http://{evil}/x{end}", way.act, way.plays, **dict(way.set_up))
    unused = {"output chained", "output shown", "OGC processes", "OGC process"}
    assert bool(case.evil.seen) is (way.name not in unused)
