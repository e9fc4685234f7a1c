"""A warning names the user's line that caused it, never one of ours."""

from __future__ import annotations

import concurrent.futures
import os
import runpy
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

import pavics_affinity
from pavics_affinity import (
    Node,
    Service,
    Topology,
    Workflow,
    map_workflows,
    pin_session,
    read_nginx,
)
from pavics_affinity.errors import (
    AdapterIgnoredWarning,
    AffinityLostWarning,
    AffinityWarning,
    NginxConfigWarning,
    NothingSentWarning,
    OutcomeUnknownWarning,
    UnevenLoadWarning,
    see_manual,
)
from pavics_affinity.warn import warn
from support import wpsdocs
from support.loopback import Answer, Server, free_port


def site(server, url=None, **options):
    offered = Service("s", url=url or server.url(), port=server.port)
    nodes = [Node("n1", host=server.host), Node("n2", host="127.0.0.7")]
    return Topology(nodes=nodes, services=[offered], **options)


# ---- one function for each kind of warning; each is called from a line of this file ----


def a_description_that_the_user_may_not_see(service, tmp_path):
    service.describe = Answer(403)
    with Workflow() as wf:
        wf.wps(service.url()).execute("step", [("delay", "1")])


def a_value_in_doubt(service, tmp_path):
    service.inputs = wpsdocs.literal("delay", "boolean")
    with Workflow() as wf:
        wf.wps(service.url()).execute("step", [("delay", "yes")])


def a_value_in_doubt_given_to_birdy(service, tmp_path):
    pytest.importorskip("birdy")
    service.processes = ["step"]
    service.inputs = wpsdocs.literal("delay", "boolean")
    with Workflow() as wf:
        wf.birdy(service.url()).step(delay="yes")


def an_output_elsewhere(service, tmp_path):
    with Server("127.0.0.2") as elsewhere, Workflow() as wf:
        content = wpsdocs.reference(elsewhere.url("/x.txt"))
        service.execute = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, content))
        wf.wps(service.url()).execute("step", []).output("output").retrieveData()


def a_reference_that_a_service_may_not_reach(service, tmp_path):
    content = wpsdocs.reference(service.url("/outputs/x.txt"))
    service.status = lambda seen: service.xml(wpsdocs.response(wpsdocs.SUCCEEDED, content))
    with Workflow(strict=False, embed_limit=0) as wf:
        client = wf.wps(service.url())
        output = client.execute("step", []).wait().output("output")
        client.execute("step", [("resource", output.reference)])


def an_adapter_of_a_pinned_session(service, tmp_path):
    own = requests.Session()
    own.mount("https://", HTTPAdapter(max_retries=3))
    with Workflow() as wf:
        pin_session(own, wf)


def an_adapter_mounted_on_the_workflows_session(service, tmp_path):
    with Workflow() as wf:
        wf.session.mount("https://", HTTPAdapter())


def a_node_asked_itself(service, tmp_path):
    away = f"http://127.0.0.9:{free_port('127.0.0.9')}/wps"
    with Workflow(node="n1", topology=site(service, url=away)) as wf:
        wf.wps(away)


def an_answer_of_another_node(service, tmp_path):
    answer = service.answer

    def astray(seen):
        given = answer(seen)
        given.headers["X-Node"] = "n2"
        return given

    service.answer = astray
    with Workflow(node="n1", topology=site(service, evidence="X-Node"), strict=False) as wf:
        wf.wps(service.url())


def a_job_of_another_day(service, tmp_path):
    service.execute = lambda seen: Answer(cut=-1)
    with Workflow(journal=tmp_path / "run") as wf, pytest.raises(requests.ConnectionError):
        wf.wps(service.url()).execute("step", [])
    Workflow.resume(tmp_path / "run").close()


def evidence_that_shows_nothing(service, tmp_path):
    text = (
        "events {} http { upstream s { hash $http_machineid; server HOST1:1; server HOST2:1; } "
        "server { listen 80; location /wps { add_header X-Up $upstream_addr; "
        "proxy_pass http://s; } } }"
    )
    (tmp_path / "nginx.conf").write_text(text)
    read_nginx(tmp_path / "nginx.conf")


def results_that_are_never_asked_for(service, tmp_path):
    results = map_workflows(print, [1])
    del results


def a_batch_without_topology(service, tmp_path):
    for _ in map_workflows(ask, [1], topology=[]):
        pass


def ask(wf, item):
    return item


KINDS = {
    a_description_that_the_user_may_not_see: AffinityWarning,
    a_value_in_doubt: AffinityWarning,
    a_value_in_doubt_given_to_birdy: AffinityWarning,
    an_output_elsewhere: AffinityWarning,
    a_reference_that_a_service_may_not_reach: AffinityWarning,
    an_adapter_of_a_pinned_session: AdapterIgnoredWarning,
    an_adapter_mounted_on_the_workflows_session: AdapterIgnoredWarning,
    a_node_asked_itself: AffinityWarning,
    an_answer_of_another_node: AffinityLostWarning,
    a_job_of_another_day: OutcomeUnknownWarning,
    evidence_that_shows_nothing: NginxConfigWarning,
    results_that_are_never_asked_for: NothingSentWarning,
    a_batch_without_topology: UnevenLoadWarning,
}


@pytest.mark.parametrize(("kind", "category"), KINDS.items(), ids=lambda x: x.__name__)
def test_a_warning_names_the_users_line(service, tmp_path, kind, category):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind(service, tmp_path)
    ours = [w for w in caught if issubclass(w.category, AffinityWarning)]
    assert ours
    assert {w.category for w in ours} == {category}
    first = kind.__code__.co_firstlineno
    lines = range(first, first + 20)
    assert [(w.filename, w.lineno in lines) for w in ours] == [(__file__, True)] * len(ours)


# ---- threads without a line of the user ----


def test_in_a_thread_without_the_users_code_the_thread_is_named():
    with (
        warnings.catch_warnings(record=True) as caught,
        concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as pool,
    ):
        warnings.simplefilter("always")
        pool.submit(warn, "take care").result()
    text = f"take care\n{see_manual(AffinityWarning)}"
    assert [(w.filename, str(w.message)) for w in caught] == [("<thread mine_0>", text)]
    assert "<thread mine_0>" in warnings.formatwarning("x", AffinityWarning, "<thread mine_0>", 0)


def test_in_a_thread_that_runs_the_users_code_its_line_is_named():
    with (
        warnings.catch_warnings(record=True) as caught,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        warnings.simplefilter("always")
        pool.submit(lambda: warn("take care")).result()
    assert [w.filename for w in caught] == [__file__]


def test_a_line_warns_once_as_usual_in_python():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            warn("take care")
        warn("take care")
    assert len(caught) == 2


def test_a_script_that_is_run_as_main_is_the_users(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from pavics_affinity.warn import warn\n\nwarn('take care')\n")
    with pytest.warns(AffinityWarning) as caught:
        runpy.run_path(str(script), run_name="__main__")
    assert [(w.filename, w.lineno) for w in caught] == [(str(script), 3)]


def test_a_warning_can_be_made_an_error():
    code = """
    import warnings
    from pavics_affinity.warn import warn
    warnings.simplefilter("error")
    try:
        warn("take care")
    except UserWarning as error:
        print(type(error).__name__, error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout == f"AffinityWarning take care\n{see_manual(AffinityWarning)}\n"


def test_every_warning_of_the_package_goes_this_way():
    root = Path(pavics_affinity.__file__).parent
    found = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "warnings.warn" in path.read_text()
    ]
    assert found == ["warn.py"]
