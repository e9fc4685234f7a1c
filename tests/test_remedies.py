"""What the manual's page on errors says to do is done here, after a real error, and it helps."""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import re
import shlex
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from click.testing import CliRunner
from requests.adapters import HTTPAdapter

from pavics_affinity import (
    NginxConsistentHash,
    NginxHash,
    Node,
    Service,
    Topology,
    Workflow,
    errors,
    map_workflows,
    mint_machineid,
    read_nginx,
)
from pavics_affinity.cli.group import group
from pavics_affinity.placement import key_for, steer
from pavics_affinity.proxy.render import render_proxy
from pavics_affinity.proxy.write import write
from support import chains, wpsdocs
from support.loopback import Answer, Server, free_port
from support.manual import code_of_error, section_of_error
from support.scriptedapi import ScriptedAPI
from support.scriptedwps import ScriptedWPS

CLASSES = [
    thing.__name__
    for thing in vars(errors).values()
    if inspect.isclass(thing) and issubclass(thing, errors.AffinityError | errors.AffinityWarning)
]
BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]
NOT_RUN = {"MissingExtra": "pip would change the packages of this environment"}
"""Commands of the page that no test runs; the test of the section says what it does instead."""


class Remedy:
    """One section of the page: the error that it is about, and its examples."""

    def __init__(self, name):
        self.name, self.kind = name, getattr(errors, name)
        self.seen = False

    @contextlib.contextmanager
    def raised(self):
        """Expect the section's error, whose message leads to the section."""
        with pytest.raises(self.kind) as caught:
            yield caught
        assert str(caught.value).splitlines()[-1] == errors.see_manual(self.kind)
        self.seen = True

    @contextlib.contextmanager
    def warned(self):
        with pytest.warns(self.kind) as caught:
            yield caught
        assert {w.category for w in caught} == {self.kind}
        assert str(caught[0].message).splitlines()[-1] == errors.see_manual(self.kind)
        self.seen = True

    def apply(self, **names):
        """Run the examples of the section, and return the names that they leave."""
        assert self.seen, "first the error, then what helps"
        assert code_of_error(self.name), "what is to be done is code"
        for block in code_of_error(self.name):
            exec(block, names)
        return names


@pytest.fixture
def remedy(request):
    """Return the section that the test's name ends with."""
    wanted = request.node.originalname.removeprefix("test_fix_of_")
    return Remedy(next(name for name in CLASSES if name.lower() == wanted))


def test_the_remedy_of_each_error_and_warning_is_tried():
    tried = {name.removeprefix("test_fix_of_") for name in globals() if "test_fix_of_" in name}
    assert tried == {name.lower() for name in CLASSES}


def test_each_command_of_the_page_is_run_or_listed():
    own = {name for name in CLASSES if "```console" in section_of_error(name)}
    assert own == {"NginxConfigError", *NOT_RUN}


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path, monkeypatch):
    """The examples name files of the current directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def wf():
    with Workflow("a1b2", deadline=0.2) as made:
        yield made


@pytest.fixture
def wps(wf, service):
    return wf.wps(service.url())


def site(service, **options):
    """Return the topology of two nodes; the service answers for each of them."""
    offered = Service("wps", url=service.url(), port=service.port)
    nodes = [Node("node1", host=service.host), Node("node2", host="127.0.0.7")]
    return Topology(nodes=nodes, services=[offered], **options)


def done(service, content=None):
    document = wpsdocs.response(wpsdocs.SUCCEEDED, content or wpsdocs.embedded("hello"))
    return lambda seen: service.xml(document)


# ---- the base ----


def test_fix_of_affinityerror(remedy, wf, wps, service, capsys):
    Path("missing").touch()
    with remedy.raised():
        write(render_proxy(site(service)), "missing/proxy")
    write(render_proxy(site(service)), "proxy")
    remedy.apply(wf=wf, wps=wps)
    assert capsys.readouterr().out.startswith("workflow a1b2 failed: input 'delay' is 'soon'")


# ---- your input ----


def test_fix_of_invalidmachineid(remedy, capsys):
    with remedy.raised():
        Workflow("Ana María")
    remedy.apply()
    remedy.apply()
    first, second = capsys.readouterr().out.split()
    assert first == second


def test_fix_of_machineidconflict(remedy, wf, service):
    with remedy.raised():
        Workflow("other").wps(service.url(), headers={"machineid": "a1b2"})
    Workflow("other").wps(service.url(), headers={})
    assert service.seen[-1].all("machineid") == ["other"]
    remedy.apply(url=service.url())
    assert service.seen[-1].all("machineid") == ["a1b2"]


def test_fix_of_workflowclosed(remedy, service):
    with Workflow() as wf:
        wps = wf.wps(service.url())
    with remedy.raised():
        wps.execute("step", [])
    remedy.apply(wf=wf, url=service.url())
    assert service.seen[-1].all("machineid") == [wf.machineid]


def test_fix_of_missingextra(remedy, monkeypatch, wf):
    """pip is not run: the command is compared with the message, and the package is there."""
    pytest.importorskip("matplotlib")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "matplotlib", None)
        with remedy.raised() as caught:
            wf.plot()
    [command] = code_of_error(remedy.name, "console")
    assert command.removeprefix("$ ").strip() in caught.value.message
    assert wf.plot() is not None


def test_fix_of_invalidrequest(remedy, wps, service):
    with remedy.raised():
        wps.execute("step", [("delay", "soon")])
    remedy.apply(wps=wps)
    assert len(service.asked("Execute")) == 1


def test_fix_of_unknownprocess(remedy, wps, service):
    with remedy.raised():
        wps.execute("stop", [])
    remedy.apply(wps=wps)
    assert len(service.asked("Execute")) == 1


def test_fix_of_unknowninput(remedy, wps, service):
    with remedy.raised():
        wps.execute("step", [("dealy", "0.5")])
    remedy.apply(wps=wps)
    assert len(service.asked("Execute")) == 1


def test_fix_of_unknownoutput(remedy, wps):
    execution = wps.execute("step", []).wait()
    with remedy.raised():
        execution.output("outptu")
    assert remedy.apply(execution=execution)["text"] == "hello"


def test_fix_of_referencerefused(remedy, cluster):
    with Workflow(embed_limit=0) as wf:
        malleefowl = wf.wps(cluster.url("malleefowl"))
        done = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
        output, url = done.output("output"), cluster.url("flyingpigeon")
        with remedy.raised():
            wf.wps(url).execute("wordcounter", [("text", output.reference)])
        [path] = output.json()
        wf.wps(url).execute("subset_bbox", [("resource", path), *BOX]).wait()
        found = remedy.apply(wf=wf, url=url, topology=cluster.topology, output=output)
        assert found["again"].steps[-1].inputs["text"] != "content"
        with Workflow(wf.machineid, embed_limit=1000) as embedding:
            embedding.wps(url).execute("wordcounter", [("text", output.reference)]).wait()
            assert embedding.steps[-1].inputs["text"] == "content"


def test_fix_of_chainfailed(remedy, service):
    topology = site(service)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, remedy.raised():
        list(map_workflows(chains.misbehave, ["lock"], executor=pool, topology=topology))
    Path("a.txt").write_text("hello")
    chain = remedy.apply()["chain"]
    [result] = map_workflows(chain, ["a.txt"], topology=topology)
    assert pickle.loads(pickle.dumps(result)).value == "hello"


def test_fix_of_journalerror(remedy, capsys):
    Workflow("a1b2", journal="run.jsonl").close()
    with remedy.raised():
        Workflow(journal="run.jsonl")
    remedy.apply()
    assert capsys.readouterr().out.startswith("a1b2 0\n")
    kept = Path("run.jsonl").read_text()
    first, _, rest = kept.partition("\n")
    Path("run.jsonl").write_text(f"{first}\ndamaged\n{rest}{rest}".replace("resume", "sent", 1))
    with remedy.raised() as caught:
        Workflow.resume("run.jsonl")
    assert "line 2" in caught.value.message
    Path("run.jsonl").write_text(kept)  # as a copy of it
    Workflow.resume("run.jsonl").close()


def test_fix_of_journallocked(remedy):
    wf = Workflow("a1b2", journal="run.jsonl")
    with remedy.raised():
        Workflow.resume("run.jsonl")
    assert remedy.apply(wf=wf)["again"].machineid == "a1b2"


# ---- the description of the site ----


def test_fix_of_topologyerror(remedy, capsys):
    file = Path("site.toml")
    text = '[nodes]\nnode1 = { hots = "10.0.0.1" }\n[services.s]\nurl = "http://p.example/wps"\n'
    file.write_text(text)
    with remedy.raised() as caught:
        Topology.load(file)
    assert "line 2" in caught.value.message
    assert "did you mean 'host'?" in caught.value.message
    file.write_text(text.replace("hots", "host"))
    remedy.apply()
    assert 'host = "10.0.0.1"' in capsys.readouterr().out


def test_fix_of_unknownnode(remedy, service):
    with remedy.raised():
        Workflow(node="nod1", topology=site(service))
    assert remedy.apply(topology=site(service))["wf"].node == "node1"


def test_fix_of_unknownservice(remedy, service):
    with remedy.raised():
        site(service).service("vps")
    assert remedy.apply(topology=site(service))["service"].url == service.url()


SOUND = """\
events {}
http {
  upstream s { hash $http_machineid; server 10.0.0.1:8093; server 10.0.0.2:8093; }
  server { listen 80; location /wps { proxy_pass http://s; } }
}
"""


def test_fix_of_nginxconfigerror(remedy, capsys):
    pytest.importorskip("crossplane")
    file = Path("conf.d") / "nginx.conf"
    file.parent.mkdir()
    file.write_text(SOUND.replace("8093; }", "8093 }"))
    with remedy.raised():
        read_nginx("conf.d")
    [command] = code_of_error(remedy.name, "console")
    program, *arguments = shlex.split(command.removeprefix("$ "))
    assert program == "pavics-affinity"
    found = CliRunner().invoke(group, arguments)
    assert found.exit_code == 1
    assert "nginx.conf:3" in found.output
    file.write_text(SOUND)
    remedy.apply()
    assert "10.0.0.2" in capsys.readouterr().out


def test_fix_of_invalidplacement(remedy, capsys):
    with remedy.raised():
        NginxHash(["10.0.0.1:8093 wieght=2", "10.0.0.2:8093"])
    remedy.apply()
    assert capsys.readouterr().out.startswith("10.0.0.")


def test_fix_of_placementundetermined(remedy, capsys):
    with remedy.raised():
        NginxConsistentHash(["node1:8093", "node2:8093"], resolve=lambda name: None).place("a1b2")
    remedy.apply()
    assert capsys.readouterr().out.startswith("10.0.0.")
    with remedy.raised():
        key_for("hash $http_machineid$uri;", "a1b2")
    assert key_for("hash $http_machineid$uri;", "a1b2", uri="/wps") == "a1b2/wps"


def test_fix_of_steeringimpossible(remedy):
    text = """
    nodes = { node1 = { host = "10.0.0.1" }, node2 = { host = "10.0.0.2" } }
    [services.wps]
    url = "http://proxy.example/wps"
    port = 8093
    backends = [{ node = "node1", down = true }, "node2"]
    """
    topology = Topology.loads(text)
    with remedy.raised():
        mint_machineid(node="node1", topology=topology)
    found = remedy.apply(topology=topology)
    assert topology.first_node("wps", found["machineid"]) == "node2"
    [advice] = re.findall("`(hash .*?;)`", section_of_error("SteeringImpossible"))
    placement, target = NginxHash(["10.0.0.1:8093", "10.0.0.2:8093"]), "10.0.0.2:8093"
    with remedy.raised():
        steer(placement, "a1b2", target, directive="hash $http_machineid$request_uri;")
    assert placement.place(steer(placement, "a1b2", target, directive=advice)) == target


# ---- on the wire ----


def test_fix_of_transporterror(remedy, wf, wps, service, capsys):
    service.execute = lambda seen: Answer(cut=-1)
    with pytest.raises(errors.TransportError):
        wps.execute("step", [])
    remedy.seen = True  # it was one of its subclasses
    remedy.apply(wf=wf, wps=wps)
    assert capsys.readouterr().out.endswith("unknown\n")


def test_fix_of_serviceunreachable(remedy, wf, capsys):
    port = free_port()
    with remedy.raised():
        wf.wps(f"http://127.0.0.1:{port}/wps")
    with ScriptedWPS(port=port) as service:
        remedy.apply(wf=wf, url=service.url())
    assert "step" in capsys.readouterr().out


def test_fix_of_backendunavailable(remedy, make_cluster):
    cluster = make_cluster(proxy="none", nodes=2, services=("flyingpigeon",))
    with Workflow(topology=cluster.topology, route="direct", deadline=0.5) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        wps.execute("echo", [("text", "a")]).wait()
        cluster.kill(wf.node)
        with remedy.raised():
            wps.execute("wordcounter", [("text", "a b")])
        with Workflow(topology=cluster.topology, route="direct", deadline=0.5) as new:
            again = new.wps(cluster.url("flyingpigeon"))
            assert again.execute("wordcounter", [("text", "a b")]).wait().isSucceeded()
            assert new.node != wf.node
        cluster.start(wf.node)
        execution = remedy.apply(wps=wps, text="a b")["execution"]
        assert execution.output("output").text() == "2"


def test_fix_of_noanswer(remedy, service):
    answer, free = service.answer, threading.Event()
    with Workflow(timeout=0.3) as wf:
        wps = wf.wps(service.url())
        service.answer = lambda seen: free.wait(10) and answer(seen)
        with remedy.raised():
            wps.session.get(service.url("/wps?service=WPS&request=GetCapabilities"))
        threading.Timer(0.5, free.set).start()
        remedy.apply(wf=wf, url=service.url())


def test_fix_of_executeoutcomeunknown(remedy, wf, wps, service, capsys):
    service.execute = lambda seen: Answer(cut=-1)
    with remedy.raised():
        wps.execute("step", [])
    service.execute = done(service)
    remedy.apply(wf=wf, wps=wps)
    assert capsys.readouterr().out == "step unknown\n"
    assert len(service.asked("Execute")) == 2


def test_fix_of_executeredirected(remedy, wps, service, capsys):
    service.execute = lambda seen: Answer(303, headers={"Location": service.status_url})
    with remedy.raised():
        wps.execute("step", [])
    remedy.apply(wps=wps)
    assert capsys.readouterr().out == "hello\n"
    with ScriptedWPS() as moved:
        service.execute = lambda seen: Answer(301, headers={"Location": moved.url()})
        with remedy.raised() as caught:
            wps.execute("step", [])
        with Workflow() as wf:
            assert wf.wps(caught.value.location).execute("step", []).wait().isSucceeded()


def test_fix_of_affinitylost(remedy, service):
    stray = Evidence(service)
    with Workflow(node="node1", topology=site(service, evidence="X-Node")) as wf, remedy.raised():
        wf.wps(service.url())
    with Workflow(node="node2", topology=site(service, evidence="X-Node")) as wf:
        wf.wps(service.url())
        assert (wf.node, wf.node_known) == ("node2", "proved")
    stray.node = "node1"
    remedy.apply(topology=site(service, evidence="X-Node"), url=service.url())


class Evidence:
    """Has a service name a node in its answers."""

    def __init__(self, service, node="node2"):
        self.node, self._answer = node, service.answer
        service.answer = self._named

    def _named(self, seen):
        answer = self._answer(seen)
        return Answer(answer.status, answer.body, {**answer.headers, "X-Node": self.node})


def test_fix_of_outofscope(remedy, wf, wps, capsys):
    other = "http://127.0.0.2:8093/outputs/x.nc"
    with remedy.raised():
        wf.headers(other)
    remedy.apply(wf=wf, other_url=other)
    assert "a1b2" in capsys.readouterr().out


def test_fix_of_redirectloop(remedy, wf, service):
    with Server() as login:
        login.answer = lambda seen: Answer(302, headers={"Location": seen.path})
        with remedy.raised():
            wf.wps(login.url())
    assert remedy.apply(wf=wf, url=service.url())["wps"].processes


def test_fix_of_outputunavailable(remedy, wps, service):
    service.status = done(service, wpsdocs.reference(service.url("/outputs/x.txt")))
    execution = wps.execute("step", []).wait()
    with remedy.raised():
        execution.output("output").text()
    service.files = lambda seen: Answer(body=b"hello")
    assert remedy.apply(wps=wps)["text"] == "hello"
    service.files = lambda seen: Answer(200 if seen.all("Authorization") else 401, b"no JSON")
    with remedy.raised() as caught:
        execution.output("output").text()
    assert "pass auth=" in caught.value.message
    with Workflow() as wf:
        wps = wf.wps(service.url(), auth=("ana", "secret"))
        output = wps.execute("step", []).wait().output("output")
        with remedy.raised():
            output.json()
        assert output.download("look").path.read_text() == "no JSON"


def test_fix_of_downloadfailed(remedy, wps, service):
    service.status = done(service, wpsdocs.reference(service.url("/outputs/x.txt")))
    service.files = lambda seen: Answer(body=b"hello")
    output = wps.execute("step", []).wait().output("output")
    Path("file").touch()
    with remedy.raised():
        output.download("file/x.txt")
    assert remedy.apply(output=output)["done"].path.read_bytes() == b"hello"


# ---- from the service ----


def test_fix_of_serviceerror(remedy, wf, service):
    answer = service.answer
    service.answer = lambda seen: answer(seen) if seen.all("Authorization") else Answer(401)
    with remedy.raised():
        wf.wps(service.url())
    remedy.apply(wf=wf, url=service.url())
    service.answer = lambda seen: Answer(500)
    with remedy.raised():
        wf.wps(service.url())
    service.answer = answer
    wf.wps(service.url())


def test_fix_of_notaservice(remedy, wf, service, capsys):
    with ScriptedAPI() as api:
        with remedy.raised():
            wf.wps(api.url(""))
        remedy.apply(wf=wf, url=api.url(""))
        with remedy.raised():
            wf.wps(service.url(""))
        assert wf.wps(service.url("/wps")).processes
    assert capsys.readouterr().out == "['step']\n"


def test_fix_of_servicebusy(remedy, service):
    full = [service.xml(wpsdocs.report("the queue is full", code="ServerBusy"), 400)] * 2
    service.execute = lambda seen: full.pop() if full else done(service)(seen)
    with Workflow(patience=0) as wf:
        with remedy.raised():
            wf.wps(service.url()).execute("step", [])
        assert remedy.apply(wf=wf, url=service.url())["execution"].isSucceeded()


def test_fix_of_executionfailed(remedy, cluster_no_proxy, capsys):
    cluster = cluster_no_proxy
    with Workflow(topology=cluster.topology, route="direct") as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        box = [("resource", cluster.sample_url), *BOX]
        with remedy.raised():
            wps.execute("subset_bbox", [*box, ("variable", "air_temp")]).wait()
        assert remedy.apply(wps=wps, box=box)["execution"].isSucceeded()
    assert "has no variable air_temp" in capsys.readouterr().out


def test_fix_of_executiontimeout(remedy, wf, wps, service):
    service.status = lambda seen: service.xml(
        wpsdocs.response(wpsdocs.STARTED, location=service.status_url)
    )
    execution = wps.execute("step", [])
    with remedy.raised():
        execution.wait(0.2)
    service.status = done(service)
    found = remedy.apply(wf=wf, url=service.url(), execution=execution)["execution"]
    assert found.output("output").text() == "hello"


def test_fix_of_statuslost(remedy, wps, service, no_waiting):
    service.status = lambda seen: Answer(404)
    execution = wps.execute("step", [])
    with remedy.raised():
        execution.wait()
    service.status = done(service)
    remedy.apply(execution=execution)
    assert execution.isSucceeded()


# ---- warnings ----


def test_fix_of_affinitywarning(remedy, wf):
    with Server("127.0.0.2") as other:
        with remedy.warned():
            wf.session.get(other.url("/x"))
        with warnings.catch_warnings(), Workflow() as strict:
            remedy.apply()
            with pytest.raises(errors.AffinityWarning):
                strict.session.get(other.url("/x"))


def test_fix_of_affinitylostwarning(remedy, service):
    stray, topology = Evidence(service), site(service, evidence="X-Node")
    with Workflow(node="node1", topology=topology, strict=False) as wf, remedy.warned():
        wf.wps(service.url())
    with Workflow(node="node1", topology=topology) as wf, pytest.raises(errors.AffinityLost):
        wf.wps(service.url())
    stray.node = "node1"
    remedy.apply(topology=topology, url=service.url())


def test_fix_of_evidencestrippedwarning(remedy, service):
    topology = site(service, evidence="X-Node")
    with Workflow(node="node1", topology=topology) as wf, remedy.warned():
        wf.wps(service.url())
    with Workflow(node="node1", topology=remedy.apply(topology=topology)["topology"]) as wf:
        wf.wps(service.url())
        assert (wf.node, wf.node_known) == ("node1", "predicted")
    Evidence(service, "node1")
    with Workflow(node="node1", topology=topology) as wf:
        wf.wps(service.url())
        assert (wf.node, wf.node_known) == ("node1", "proved")


def test_fix_of_adapterignoredwarning(remedy, wf, service):
    with remedy.warned():
        wf.session.mount("http://", HTTPAdapter(max_retries=3))
    refusals = [Answer(503)] * 2
    answer = service.answer
    service.answer = lambda seen: refusals.pop() if refusals else answer(seen)
    remedy.apply(url=service.url())
    assert not refusals


def test_fix_of_nginxconfigwarning(remedy):
    pytest.importorskip("crossplane")
    file = Path("nginx.conf")
    shown = "location /wps { add_header X-Up $upstream_addr always;"
    file.write_text(
        SOUND.replace("location /wps {", shown).replace("10.0.0.1", "a").replace("10.0.0.2", "b")
    )
    with remedy.warned():
        read_nginx(file)
    file.write_text(SOUND.replace("location /wps {", shown))
    assert remedy.apply()["topology"].evidence == "X-Up"


def test_fix_of_outcomeunknownwarning(remedy, service):
    service.execute = lambda seen: Answer(cut=-1)
    with Workflow(journal="run") as wf, pytest.raises(errors.ExecuteOutcomeUnknown):
        wf.wps(service.url()).execute("step", [])
    with remedy.warned():
        wf = Workflow.resume("run")
    service.execute = done(service)
    with wf:
        assert remedy.apply(wf=wf, url=service.url())["execution"].isSucceeded()


def name_of_node(wf, item):
    return wf.node


def test_fix_of_unevenloadwarning(remedy, service):
    with remedy.warned():
        list(map_workflows(name_of_node, range(2), topology=[]))
    names = {"chain": name_of_node, "items": range(2), "topology": site(service)}
    assert {result.value for result in remedy.apply(**names)["results"]} == {"node1", "node2"}


def test_fix_of_nothingsentwarning(remedy, service):
    names = {"chain": name_of_node, "items": range(2), "topology": site(service)}
    with remedy.warned():
        results = map_workflows(names["chain"], names["items"], topology=names["topology"])
        del results
    assert len(remedy.apply(**names)["results"]) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a full disk needs /dev/full")
def test_fix_of_journalwarning(remedy, service):
    with Workflow(journal="run.jsonl") as wf:
        wps = wf.wps(service.url())

        def execute(seen):
            fill(Path("run.jsonl").resolve())
            return service.xml(wpsdocs.response(wpsdocs.ACCEPTED, location=service.status_url))

        service.execute = execute
        with remedy.warned():
            execution = wps.execute("step", [])
    found = remedy.apply(wf=wf, execution=execution)
    with Workflow(found["machineid"]) as later:
        assert later.wps(service.url()).attach(found["status_url"]).wait().isSucceeded()


def fill(path):
    """Let this process find the disk full when it writes on to a file that it has open."""
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if link.resolve() == path:
                with Path("/dev/full").open("wb") as full:
                    os.dup2(full.fileno(), int(link.name))
                return
    raise AssertionError(f"{path} is not open")
