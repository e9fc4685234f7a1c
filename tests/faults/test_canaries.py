"""Secrets are canaries: a listener on another address hears none, however it is named.

A hostile service names that address in every place of its documents and redirects, in many
spellings. The listener keeps every byte that reaches it.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import wpsdocs
from loopback import Answer, Seen, Server
from pavics_affinity import Workflow
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import AffinityError

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::pavics_affinity.errors.AffinityWarning"),
]

CANARY = "c4n4ry"
LOGIN = base64.b64encode(f"ann:{CANARY}-password".encode()).decode()
LEAK = re.compile(f"{CANARY}|{re.escape(LOGIN)}|(?i:authorization|cookie|machineid)")

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


class Hostile(Server):
    """A service whose documents name a URL, in the places that a test asks for."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1")
        self.url_named = ""
        self.redirects: tuple[str, int] | None = None
        self.metalink = False
        self.answer = self._hostile

    def _hostile(self, seen: Seen) -> Answer:
        kind = self._kind(seen)
        if self.redirects is not None and self.redirects[0] == kind:
            return Answer(self.redirects[1], b"", {"Location": self._as_header()})
        answer = self._documents(seen, kind)
        answer.headers.setdefault("Set-Cookie", f"sid={CANARY}-cookie; Path=/")
        return answer

    def _as_header(self) -> str:
        return self.url_named.strip().replace("\t", "%09")

    @staticmethod
    def _kind(seen: Seen) -> str:
        if seen.path.startswith("/ogc"):
            return "ogc " + seen.path.removeprefix("/ogc").strip("/").partition("?")[0]
        if seen.method == "POST":
            return "Execute"
        for name in ("GetCapabilities", "DescribeProcess"):
            if name in seen.path:
                return name
        return "status" if seen.path.endswith(".xml") else "output"

    def _documents(self, seen: Seen, kind: str) -> Answer:
        xml = {"Content-Type": "text/xml"}
        named = self.url_named.replace("&", "&amp;")
        mimetype = "application/metalink+xml" if self.metalink else "text/plain"
        outputs = wpsdocs.reference(named, mimetype=mimetype)
        done = wpsdocs.response(wpsdocs.SUCCEEDED, outputs)
        match kind:
            case "GetCapabilities":
                document = wpsdocs.capabilities("step").replace(
                    b"http://example.org/wps", named.encode()
                )
                return Answer(200, document, xml)
            case "DescribeProcess":
                return Answer(200, wpsdocs.description("step"), xml)
            case "Execute":
                if b'status="true"' in seen.body:
                    location = named if self.status_elsewhere else self.url("/s.xml")
                    return Answer(200, wpsdocs.response(wpsdocs.ACCEPTED, location=location), xml)
                return Answer(200, done, xml)
            case "status":
                return Answer(200, done, xml)
            case "output":
                listed = f"<metalink><file name='f'><url>{named}</url></file></metalink>"
                return Answer(200, listed.encode(), xml)
        return self._ogc(kind.removeprefix("ogc "))

    status_elsewhere = False

    def _ogc(self, path: str) -> Answer:
        headers = {"Content-Type": "application/json"}
        link = {"href": self.url_named, "type": "application/vnd.oai.openapi+json;version=3.0"}
        results = {"rel": "http://www.opengis.net/def/rel/ogc/1.0/results", **link}
        documents: dict[str, Any] = {
            "": {"links": [{"rel": "service-desc", **link}]},
            "processes/step": {"id": "step", "inputs": {}, "outputs": {"output": {}}},
            "jobs/1": {"jobID": "1", "status": "successful", "links": [results]},
            "processes/step/execution": {"output": {"href": self.url_named, "type": "text/plain"}},
        }
        if self.status_elsewhere and path == "processes/step/execution":
            return Answer(201, b"{}", headers | {"Location": self._as_header()})
        if path == "processes/step/execution" and self.metalink:
            return Answer(201, b"{}", headers | {"Location": self.url("/ogc/jobs/1")})
        return Answer(200, json.dumps(documents.get(path, {})).encode(), headers)


@dataclass(frozen=True)
class Way:
    """What the client does, and what the service is to name."""

    name: str
    act: Callable[[Workflow, Hostile], Any]
    set_up: tuple[tuple[str, bool], ...] = ()


def executed(wf: Workflow, server: Hostile, mode: str = "sync") -> Any:
    return wf.wps(server.url()).execute("step", [], mode=mode)


def ogc(wf: Workflow, server: Hostile) -> Any:
    return wf.processes(server.url("/ogc"))


def handed_on(wf: Workflow, server: Hostile) -> Any:
    output = executed(wf, server).output("output")
    for act in (wf.headers, wf.link):
        try:
            act(output.reference)
        except AffinityError:
            continue
    return output.text()


WAYS = (
    Way("status", lambda wf, s: executed(wf, s, "async").wait(5), (("status_elsewhere", True),)),
    Way("output text", lambda wf, s: executed(wf, s).output("output").text()),
    Way("output open", lambda wf, s: executed(wf, s).output("output").open()),
    Way("output retrieveData", lambda wf, s: executed(wf, s).output("output").retrieveData()),
    Way("session get", lambda wf, s: wf.session.get(executed(wf, s).output("output").reference)),
    Way("headers and link first", handed_on),
    Way(
        "metalink",
        lambda wf, s: [f.text() for f in executed(wf, s).output("output").files()],
        (("metalink", True),),
    ),
    Way("birdy", lambda wf, s: wf.birdy(s.url()).step().get(asobj=True)),
    Way("OGC definition", lambda wf, s: ogc(wf, s).api()),
    Way(
        "OGC job",
        lambda wf, s: ogc(wf, s).execute("step", {}, async_=True).wait(5),
        (("status_elsewhere", True),),
    ),
    Way(
        "OGC results",
        lambda wf, s: ogc(wf, s).execute("step", {}, async_=True).wait(5).results(),
        (("metalink", True),),
    ),
    Way("OGC output", lambda wf, s: ogc(wf, s).execute("step", {}).output("output").text()),
)
REDIRECTED: dict[str, Callable[[Workflow, Hostile], Any]] = {
    "GetCapabilities": lambda wf, s: wf.wps(s.url()),
    "DescribeProcess": lambda wf, s: wf.wps(s.url()).describeprocess("step"),
    "Execute": executed,
    "status": lambda wf, s: executed(wf, s, "async").wait(5),
    "ogc ": ogc,
    "ogc processes/step/execution": lambda wf, s: ogc(wf, s).execute("step", {}),
}


@pytest.fixture(scope="module")
def servers():
    with Hostile() as good, Server("127.0.0.2") as evil:
        yield good, evil


@pytest.fixture(autouse=True)
def netrc(tmp_path, monkeypatch):
    """A login for every host, as `.netrc` can have one."""
    path = tmp_path / "netrc"
    path.write_text(f"default login ann password {CANARY}-password\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def heard(servers: tuple[Hostile, Server], spelling: str, act: Any, **set_up: Any) -> list[str]:
    """Let a client act on a hostile service; return the secrets that went elsewhere."""
    good, evil = servers
    named = spelling.format(
        good=good.origin[7:],
        evil=evil.origin[7:],
        good_host=good.host,
        good_port=good.port,
        evil_host=evil.host,
        evil_port=evil.port,
        canary=CANARY,
        end=".xml",
    )
    good.url_named, good.redirects = named, None
    good.status_elsewhere = good.metalink = False
    for name, value in set_up.items():
        setattr(good, name, value)
    evil.seen.clear()
    FINDER.forget()
    with Workflow(f"{CANARY}-id", deadline=0.05, timeout=0.5) as wf:
        wf.session.bind(
            good.url(), auth=("ann", f"{CANARY}-password"), headers={"X-Api-Key": f"{CANARY}-key"}
        )
        wf.session.headers["X-Token"] = f"{CANARY}-token"
        wf.session.cookies.set("own", f"{CANARY}-own")
        with contextlib.suppress(AffinityError):  # a foreign error is a finding
            act(wf, good)
    return [f"{seen.method} {seen.path} {seen.headers}" for seen in evil.seen if _leaks(seen)]


def _leaks(seen: Seen) -> bool:
    sent = [f"{name}: {value}" for name, value in seen.headers]
    body = seen.body.decode(errors="replace")
    # What a hostile document writes into its own URL is known to it already.
    return any(LEAK.search(line) for line in sent) or CANARY in body


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_secret_follows_a_url_of_a_document(servers, way):
    leaks = {s: heard(servers, s, way.act, **dict(way.set_up)) for s in SPELLINGS}
    assert {s: found for s, found in leaks.items() if found} == {}


@pytest.mark.parametrize("kind", REDIRECTED)
def test_no_secret_follows_a_redirect(servers, kind):
    leaks = {
        (s, code): heard(servers, s, REDIRECTED[kind], redirects=(kind, code))
        for s, code in itertools.product(SPELLINGS, CODES)
    }
    assert {s: found for s, found in leaks.items() if found} == {}


def test_the_listener_hears_what_is_sent_to_it(servers):
    """The canary sings where it should: a host that the user has named himself."""
    good, evil = servers
    with Workflow(f"{CANARY}-id", deadline=0.05) as wf:
        wf.add_scope("127.0.0.2")
        evil.seen.clear()
        wf.session.get(evil.url("/x"))
    assert [_leaks(seen) for seen in evil.seen] == [True]
    assert good.seen
