"""Real nodes behind what was rendered: chains, clients that know only a URL, a dead node."""

import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from pavics_affinity import Workflow
from pavics_affinity.discovery import WELL_KNOWN
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import BackendUnavailable
from support.live_site import ask
from support.rendered_cluster import rendered_cluster

IDS = [f"chain-{number}" for number in range(12)]
"""Which the hash, and the rendezvous, spread over all nodes."""

BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with rendered_cluster(tmp_path_factory.mktemp("strict")) as (cluster, _):
        yield cluster


def chain(cluster, workflow):
    """Download, subset and fetch, over three services; return the subset and its bytes."""
    wps = {name: workflow.wps(cluster.url(name), skip_caps=True) for name in cluster.services}
    resource = [("resource", cluster.sample_url)]
    download = wps["malleefowl"].execute("download", resource, mode="sync")
    [path] = download.output("output").json()
    subset = wps["flyingpigeon"].execute("subset_bbox", [("resource", path), *BOX]).wait()
    wps["hummingbird"].execute("echo", [("text", "x")], mode="sync")
    output = subset.output("output")
    return output, output.read_bytes()


def nodes_by_machineid(cluster):
    """Tell by the nodes' own logs who answered each machineid."""
    found = defaultdict(set)
    for request in cluster.requests():
        if request.machineid is not None:
            found[request.machineid.partition("~")[0]].add(request.node)
    return found


def curl(url):
    """Fetch as a tool that knows nothing; return the node that the proxy names, and the body."""
    command = ["curl", "-sS", "--fail", "--max-time", "60", "-D", "/dev/stderr", url]
    done = subprocess.run(command, capture_output=True, check=True)
    heads = dict(line.split(": ", 1) for line in done.stderr.decode().split("\r\n") if ": " in line)
    return heads["X-Pavics-Node"], done.stdout


def fresh_echo(cluster):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"), skip_caps=True)
        return wps.execute("echo", [("text", "x")], mode="sync").output("node").data[0]


def in_parallel(work):
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(work, IDS))


@pytest.mark.timeout(400)
def test_twelve_chains_succeed_through_the_strict_style_and_curl_finds_their_outputs(strict):
    def run(machineid):
        with Workflow(machineid) as wf:  # knows nothing but the services' URLs
            output, content = chain(strict, wf)
            assert (wf.node_known, content[1:4]) == ("proved", b"HDF")
            node, fetched = curl(wf.link(output.reference))
            assert fetched == content
            return machineid, wf.node, node

    done = in_parallel(run)
    seen = nodes_by_machineid(strict)
    assert [seen[machineid] for machineid, node, _ in done] == [{node} for _, node, _ in done]
    assert [by_link for *_, by_link in done] == [node for _, node, _ in done]
    assert {node for _, node, _ in done} == set(strict.nodes)


@pytest.mark.timeout(400)
def test_twelve_chains_succeed_through_the_plain_style(tmp_path):
    with rendered_cluster(tmp_path, "plain") as (cluster, operator):

        def run(machineid):
            with Workflow(machineid) as wf:
                content = chain(cluster, wf)[1]
                assert (wf.node_known, content[1:4]) == ("unknown", b"HDF")
                return machineid

        done = in_parallel(run)
        seen = nodes_by_machineid(cluster)
        assert {len(seen[machineid]) for machineid in done} == {1}
        assert set.union(*(seen[machineid] for machineid in done)) == set(cluster.nodes)
        # Who reads the operator's file knows the node beforehand.
        with Workflow(topology=operator.site) as wf:
            chain(cluster, wf)
            assert nodes_by_machineid(cluster)[wf.machineid] == {wf.node}


def test_the_document_is_asked_for_once_per_site_and_without_the_machineid(strict):
    FINDER.forget()
    before = len(strict.proxy_requests())
    for _ in range(4):
        with Workflow() as wf:
            for service in strict.services:
                wf.wps(strict.url(service)).execute("echo", [("text", "x")], mode="sync")
            assert (wf.node in strict.nodes, wf.node_known) == (True, "proved")
    asked = [r for r in strict.proxy_requests()[before:] if r.uri == WELL_KNOWN]
    # The first port's document speaks of the services on the others, too.
    assert [request.machineid for request in asked] == [None]


def test_the_query_form_of_a_link_leads_there_too(strict):
    with Workflow() as wf:
        produced = wf.wps(strict.url("flyingpigeon")).execute("produce", [("megabytes", "0.1")])
        output = produced.wait().output("output")
        for form in ("path", "query"):
            assert curl(wf.link(output.reference, form=form)) == (wf.node, output.read_bytes())


def test_a_dead_node_is_a_502_with_its_name_and_its_ids_never_move(strict):
    url = f"{strict.url('flyingpigeon')}?service=WPS&request=GetCapabilities"
    ids = [f"id{number}" for number in range(20)]

    def placed():
        answers = {key: ask(url, key) for key in ids}
        return {k: (a.headers["X-Pavics-Node"], a.status_code) for k, a in answers.items()}

    before = placed()
    assert {node for node, _ in before.values()} == set(strict.nodes)
    with Workflow(node="node2", deadline=1) as wf:
        wps = wf.wps(strict.url("flyingpigeon"))
        wps.execute("echo", [("text", "x")], mode="sync")
        strict.kill("node2")
        try:
            expected = {k: (n, 502 if n == "node2" else 200) for k, (n, _) in before.items()}
            assert placed() == placed() == expected
            with pytest.raises(BackendUnavailable, match="node2"):
                wps.execute("echo", [("text", "x")], mode="sync")
            assert {fresh_echo(strict) for _ in range(8)} == {"node1", "node3"}
        finally:
            strict.start("node2")
        assert placed() == before
        assert wps.execute("echo", [("text", "x")], mode="sync").output("node").data == ["node2"]
