"""User and password in the URLs of a service's documents are shown, logged and kept nowhere."""

from __future__ import annotations

import contextlib
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pavics_affinity import Workflow
from pavics_affinity.clients.http import waiting
from pavics_affinity.errors import AffinityError
from support import wpsdocs
from support.loopback import Answer, Seen, Server
from support.scriptedwps import ScriptedWPS

CANARY = "c4nary"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def service(monkeypatch, no_waiting) -> Iterator[ScriptedWPS]:
    for name in ("GONE_FOR", "UNREADABLE_FOR"):
        monkeypatch.setattr(waiting, name, 0.0)
    with ScriptedWPS() as server:
        yield server


class Shown:
    """All that a person, or a file, gets to see of a workflow; and what is done meanwhile."""

    def __init__(self, wf: Workflow, directory: Path) -> None:
        self.wf = wf
        self.directory = directory
        self.texts: list[str] = []

    def show(self, thing: Any) -> None:
        self.texts += [repr(thing), str(thing)]
        for name in ("_repr_html_", "__rich__"):
            if hasattr(thing, name):
                self.texts.append(str(getattr(thing, name)()))
        if isinstance(thing, list | tuple):
            for each in thing:
                self.show(each)

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Do something that may fail, and show the result."""
        try:
            done = action()
        except Exception as error:  # noqa: BLE001  # birdy's own, too
            self.show(error)
            self.texts += ["".join(traceback.format_exception(error)), repr(vars(error))]
            if isinstance(error, AffinityError):
                self.texts.append(repr(pickle.dumps(error)))
            return None
        self.show(done)
        return done

    def use(self, output: Any) -> None:
        self.show(output)
        for action in (
            lambda: output.download(self.directory),
            lambda: self.wf.headers(output.reference),
            lambda: self.wf.download([output], self.directory),
        ):
            self.attempt(action)
        # What is read from a file is what the user asked for, so only failures are shown.
        for action in (output.json, output.open, output.text):
            with contextlib.suppress(AffinityError):
                action()
        for file in self.attempt(output.files) or ():
            self.attempt(lambda file=file: file.download(self.directory))

    def finish(self) -> None:
        wf = self.wf
        for thing in (wf, wf.record, list(wf.record), wf.record.rows(), wf.record.notes):
            self.show(thing)
        for thing in (wf.steps, wf.record.steps.rows(), wf.session.pin.warned, wf.executions):
            self.show(thing)


def urls(login: str, service: Server, elsewhere: Server) -> dict[str, str]:
    return {
        "here": f"http://{login}@{service.host}:{service.port}/outputs/x.txt",
        "elsewhere": f"http://{login}@{elsewhere.host}:{elsewhere.port}/x.txt",
        "without a scheme": f"//{login}@{elsewhere.host}:{elsewhere.port}/x.txt",
        "no server there": f"http://{login}@127.0.0.2:9/x.txt",
        "redirects": f"http://{login}@{service.host}:{service.port}/away",
        "no host": f"http://{login}@[bad/x.txt",
        "no port": f"http://{login}@127.0.0.2:99999/x.txt",
        "no web": f"ftp://{login}@127.0.0.2/x.txt",
    }


KINDS = [
    "here",
    "elsewhere",
    "without a scheme",
    "no server there",
    "redirects",
    "no host",
    "no port",
    "no web",
]


@pytest.mark.parametrize(
    ("kind", "login"),
    [
        *((kind, "ann:it&apos;s:c4nary") for kind in KINDS),
        ("here", "c4nary"),
        ("here", "ann:c4nary"),
    ],
)
@pytest.mark.parametrize("client", ["wps", "birdy", "ogcapi"])
def test_a_login_in_a_documents_url_is_shown_nowhere(
    service, elsewhere, tmp_path, caplog, client, kind, login
):
    caplog.set_level(logging.DEBUG)
    url = urls(login, service, elsewhere)[kind]
    raw = url.replace("&apos;", "'")
    elsewhere.answer = lambda seen: Answer(404, b"gone")
    service.files = lambda seen: (
        Answer(302, b"", {"Location": raw.replace("/away", "/x")})
        if seen.path == "/away"
        else Answer(200, json.dumps([raw]).encode(), JSON)
    )
    with (
        warnings.catch_warnings(record=True) as warned,
        Workflow("a1b2", journal=tmp_path / "run.jsonl", deadline=0.05, timeout=5) as wf,
    ):
        warnings.simplefilter("always")
        shown = Shown(wf, tmp_path)
        (in_ogcapi if client == "ogcapi" else in_wps)(shown, service, url, client)
        shown.finish()
    shown.texts += [caplog.text, repr([vars(record) for record in caplog.records])]
    shown.texts += [str(each.message) for each in warned]
    shown.texts.append((tmp_path / "run.jsonl").read_text())
    assert [_around(text) for text in shown.texts if CANARY in text] == []


def _around(text: str) -> str:
    at = text.index(CANARY)
    return text[max(0, at - 300) : at + 100]


def in_wps(shown: Shown, service: ScriptedWPS, url: str, client: str) -> None:
    wf, raw = shown.wf, url.replace("&apos;", "'")
    wps = wf.birdy(service.url()) if client == "birdy" else wf.wps(service.url())
    shown.show(wps)

    def run() -> Any:
        return wps.step() if client == "birdy" else wps.execute("step", [])

    metalink = f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="x"><metaurl>{url}'
    metalink += f"</metaurl><url>{url}</url></file></metalink>"
    as_metalink = 'mimeType="application/metalink+xml; version=4.0"'
    outputs = [
        wpsdocs.reference(url),
        wpsdocs.reference(url, mimetype="application/metalink+xml; version=4.0"),
        wpsdocs.embedded(metalink.replace("<", "&lt;"), attributes=as_metalink),
        wpsdocs.embedded(f'["{url}"]', attributes='mimeType="application/json"'),
    ]
    documents = [wpsdocs.response(wpsdocs.SUCCEEDED, output) for output in outputs]
    documents += [
        wpsdocs.response(wpsdocs.ACCEPTED, location=url),
        wpsdocs.response(wpsdocs.failed(f"cannot read {url}, so there")),
        wpsdocs.report(f"cannot read {url}", "NoApplicableCode"),
        wpsdocs.report(f"{url}", "InvalidParameterValue", "resource"),
    ]
    for document in documents:
        service.execute = lambda seen, document=document: service.xml(document)
        done = shown.attempt(run)
        if done is None:
            continue
        if client == "birdy":
            # birdy's tuple of references is a value, as `Output.reference` is one.
            shown.attempt(lambda done=done: bool(done.get()))
            continue
        shown.attempt(lambda done=done: done.wait(0.2))
        for output in done.processOutputs:
            shown.use(output)
        shown.show(done)
    for code in (301, 303):
        service.execute = lambda seen, code=code: Answer(code, b"", {"Location": raw})
        shown.attempt(run)
    if client == "wps":
        shown.attempt(lambda: wps.attach(raw))
        shown.attempt(lambda: wps.execute("step", [("resource", raw)]))
        shown.attempt(lambda: wf.wps(raw))


def in_ogcapi(shown: Shown, service: ScriptedWPS, url: str, client: str) -> None:
    wf, raw = shown.wf, url.replace("&apos;", "'")
    posted: dict[str, Answer] = {}
    documents: dict[str, Any] = {
        "/api/processes/step": {"id": "step", "inputs": {}, "links": [{"href": raw}]},
        "/api/jobs/1": {"jobID": "1", "status": "successful", "message": f"see {raw}"},
        "/api/jobs/1/results": {"output": {"href": raw}, "other": [{"href": raw}], "text": raw},
        "/api/jobs/2": {
            "jobID": "2",
            "status": "successful",
            "links": [{"rel": "http://www.opengis.net/def/rel/ogc/1.0/results", "href": raw}],
        },
        "/api/jobs/3": {"jobID": "3", "status": "failed", "message": f"cannot read {raw}"},
    }

    def answer(seen: Seen) -> Answer:
        if seen.method == "POST":
            return posted["now"]
        if seen.path in documents:
            return Answer(200, json.dumps(documents[seen.path]).encode(), JSON)
        return service._answer(seen)

    service.answer = answer
    api = wf.processes(service.url("/api/"), json_=json.dumps({"links": [{"href": raw}]}))
    shown.show(api)
    results = json.dumps(documents["/api/jobs/1/results"]).encode()
    problem = json.dumps({"title": f"no {raw}", "detail": raw, "status": 400}).encode()
    for posted["now"] in (
        Answer(200, results, JSON),
        Answer(400, problem, {"Content-Type": "application/problem+json"}),
        Answer(303, b"", {"Location": raw}),
        Answer(201, b"{}", {**JSON, "Location": raw}),
        *(Answer(201, b"{}", {**JSON, "Location": f"/api/jobs/{n}"}) for n in (1, 2, 3)),
    ):
        done = shown.attempt(lambda: api.execute("step", {}))
        if done is None:
            continue
        shown.attempt(lambda done=done: done.wait(0.2))
        shown.attempt(lambda done=done: done.results())
        found = None
        with contextlib.suppress(AffinityError):
            found = done.output("output")
        if found is not None:
            shown.use(found)
        shown.attempt(lambda done=done: done.output("none"))
        shown.show(done)
    shown.attempt(lambda: api.attach(raw))
