"""Outputs that name their node: as inputs of the next step, as evidence, for other tools."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import requests
from owslib.wps import ASYNC, SYNC, ComplexDataInput

from pavics_affinity import Node, Workflow
from pavics_affinity.errors import AffinityLost, ReferenceRefused, UnknownNode
from pavics_affinity.testing import LocalCluster
from support.batch_site import STRICT
from support.live_site import nginx
from support.output_urls import CLIENTS, GIVEN

CHAINS = 6  # each form of an input twice
# Three chains at a time: a synchronous Execute holds a worker while it fetches from another one.
WORKERS = 4


@pytest.fixture(scope="module")
def plain():
    nginx()
    with LocalCluster(proxy="nginx", outputs="by-node", workers=WORKERS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def strict():
    nginx()
    with LocalCluster(**STRICT, outputs="by-node", workers=WORKERS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def direct():
    with LocalCluster(proxy="none", outputs="by-node", workers=WORKERS) as cluster:
        yield cluster


def without_addresses(topology):
    """The topology that a user is given: names only, so that no URL of a node is known."""
    nodes = [Node(node.name) for node in topology.nodes]
    services = [replace(s, port=None, listen=None) for s in topology.services]
    return replace(topology, nodes=tuple(nodes), services=tuple(services))


def words_in(content):
    return len(content.decode(errors="replace").split())


def six_chains(cluster, client, form, **options):
    """Run chains by output URL; check the content, the nodes, and that nothing ran twice."""
    run, make = CLIENTS[client]

    def chain(number):
        # Ids that the hash spreads over all nodes.
        with Workflow(f"chain-{number}", embed_limit=0, **options) as wf:
            give = list(GIVEN.values())[number % 3]
            output = run(cluster, wf, make(wf), give)
            assert f"/{wf.node}/" in output.reference
            with output.open_dataset() as dataset:
                latitudes = dataset["latitude"].values
                sizes = dataset.sizes["longitude"], len(latitudes)
            assert np.all((latitudes >= 40) & (latitudes <= 50))
            assert wf.steps[-1].inputs == {"resource": form}
            assert wf.node_known == "proved"
            return wf.machineid, sizes

    before, asked = len(cluster.executions()), len(cluster.requests())
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(chain, range(CHAINS)))
    assert len({sizes for _, sizes in found}) == 1
    ran = cluster.executions()[before:]
    assert len(ran) == 3 * CHAINS
    assert {run.error for run in ran} == {None}
    nodes = {machineid: set() for machineid, _ in found}
    for request in cluster.requests()[asked:]:
        if request.machineid is not None:
            nodes[request.machineid.partition("~")[0]].add(request.node)
    assert {len(each) for each in nodes.values()} == {1}
    assert len(set.union(*nodes.values())) > 1


@pytest.mark.parametrize("client", CLIENTS)
def test_six_chains_of_six_through_a_plain_proxy(plain, client):
    """The client has the operator's file, which need not say where the nodes are."""
    six_chains(plain, client, "URL", topology=without_addresses(plain.topology))


@pytest.mark.parametrize("client", CLIENTS)
def test_six_chains_of_six_through_a_strict_proxy_with_nothing_configured(strict, client):
    six_chains(strict, client, "URL")


@pytest.mark.parametrize("client", CLIENTS)
def test_six_chains_of_six_without_a_proxy(direct, client):
    six_chains(direct, client, "node's URL", topology=direct.topology, route="direct")


@pytest.mark.parametrize("proxied", [True, False])
def test_six_chains_of_six_over_an_ogc_api(tmp_path, proxied):
    pytest.importorskip("pygeoapi")
    from support.oapi import OGCSite

    site = OGCSite(tmp_path, by_node=True)
    options = {} if proxied else {"route": "direct"}
    topology = without_addresses(site.topology) if proxied else site.topology
    try:
        for number in range(CHAINS):
            with Workflow(topology=topology, embed_limit=0, **options) as wf:
                oapi = wf.processes(site.url)
                job = oapi.execute("raw", {}, response="raw", async_=True)
                name = job.wait().location.rpartition("/")[2]
                linked = oapi.execute("link", {"job": name}, response="raw").wait()
                output = linked.output("file")
                assert output.reference.startswith(f"{site.url}/of/{wf.node}/jobs/")
                given = [output, {"href": output.reference}, linked][number % 3]
                words = oapi.execute("words", {"text": given}, response="raw")
                sent = words["given"]["href"]
                at_node = output.reference.replace(
                    f"{site.url}/of/{wf.node}", site.node_url(wf.node)
                )
                assert sent == (output.reference if proxied else at_node)
                assert words["count"] == words_in(output.read_bytes())
                assert wf.node_known == "proved"
    finally:
        site.close()


# ---- what such a URL proves ----


def test_outputs_prove_the_node_where_the_proxy_shows_nothing(plain):
    assert plain.topology.evidence is None
    for mode in (SYNC, ASYNC):
        with Workflow(topology=plain.topology) as wf:
            wps = wf.wps(plain.url("malleefowl"))
            assert wf.node_known != "proved"
            made = wps.execute("produce", [("megabytes", "0.01")], mode=mode).wait()
            assert f"/outputs/{wf.node}/" in made.output("output").reference
            assert wf.node_known == "proved"
            assert plain.executions()[-1].node == wf.node


def test_an_output_of_another_node_than_the_workflows_is_affinity_lost(plain):
    topology = plain.topology
    with Workflow(topology=topology) as wf:
        wps = wf.wps(plain.url("malleefowl"))
        wps.execute("produce", [("megabytes", "0.01")], mode=SYNC).wait()
        plain.reload(servers=["node2", "node3", "node1"])  # the hash leads elsewhere now
        try:
            with pytest.raises(AffinityLost, match="which is on node") as lost:
                wps.execute("produce", [("megabytes", "0.01")], mode=SYNC)
        finally:
            plain.reload(servers=["node1", "node2", "node3"])
        assert lost.value.node == wf.node != lost.value.answered_by
        assert plain.executions()[-1].node == lost.value.answered_by


def test_a_node_that_the_topology_lacks_is_named_and_never_a_result(plain):
    services = [replace(service, backends=()) for service in plain.topology.services]
    alone = replace(plain.topology, nodes=plain.topology.nodes[:1], services=services)
    for machineid in ("id0", "id1", "id2", "id3"):
        if plain.topology.first_node("malleefowl", machineid) != "node1":
            break
    with Workflow(machineid, topology=alone) as wf:
        wps = wf.wps(plain.url("malleefowl"))
        with pytest.raises(AffinityLost, match=r"no node of the site is called 'node[23]'"):
            wps.execute("produce", [("megabytes", "0.01")], mode=SYNC).wait()
        url = plain.outputs_url("malleefowl", "node2") + "/u/a.nc"
        with pytest.raises(
            UnknownNode, match="names a node 'node2', and the nodes here are: node1"
        ):
            wf.session.get(url)
        with pytest.raises(UnknownNode, match="names a node 'node2'"):
            wf.link(url)
        with pytest.raises(UnknownNode, match="names a node 'node2'"):
            wps.execute("echo", [("text", url)], mode=SYNC)
        assert not [r for r in plain.proxy_requests() if r.uri.endswith("/u/a.nc")]
        assert plain.executions()[-1].identifier == "produce"


# ---- who reaches it ----


def test_the_file_of_another_node_is_an_input_by_its_url(plain):
    with (
        Workflow(node="node1", topology=plain.topology) as one,
        Workflow(node="node2", topology=plain.topology) as other,
    ):
        made = one.wps(plain.url("malleefowl")).execute("multiple_outputs", [("count", "1")])
        [text] = made.wait().output("output").files()
        wps = other.wps(plain.url("flyingpigeon"))
        for given in (text, text.reference, ComplexDataInput(text.reference)):
            words = wps.execute("wordcounter", [("text", given)]).wait()
            assert words.output("output").text() == "4"
            assert plain.executions()[-1].node == "node2"
            assert other.steps[-1].inputs == {"text": "URL"}
        with pytest.raises(AffinityLost, match="To use that node, make another workflow"):
            other.session.get(text.reference)


def test_a_metalink_names_files_that_every_service_reaches(plain):
    with Workflow(topology=without_addresses(plain.topology)) as wf:
        malleefowl, flyingpigeon = (wf.wps(plain.url(s)) for s in ("malleefowl", "flyingpigeon"))
        links = malleefowl.execute("multiple_outputs", [("count", "2")]).wait().output("output")
        execution = flyingpigeon.execute("wordcounter", [("text", links)])
        assert links.reference.encode() in execution.request
        assert [file.text() for file in links.files()] == [
            f"text {n} of {wf.node}\n" for n in (0, 1)
        ]


@pytest.mark.parametrize("site", ["plain", "strict", "direct"])
def test_tools_that_send_no_header_read_it(site, request):
    cluster = request.getfixturevalue(site)
    options = {"route": "direct"} if site == "direct" else {}
    with Workflow(topology=cluster.topology, **options) as wf:
        made = wf.wps(cluster.url("malleefowl")).execute("produce", [("megabytes", "0.1")])
        output = made.wait().output("output")
        link = wf.link(output.reference)
        assert (link == output.reference) == (site != "direct")
        for _ in range(4):
            done = subprocess.run(["curl", "-sSf", link], capture_output=True, check=True)
            assert done.stdout == output.read_bytes()


def test_a_path_that_names_no_node_reaches_no_service(strict):
    url = strict.outputs_url("malleefowl", "node1").replace("node1", "node9") + "/u/a.nc"
    before = len(strict.requests())
    assert requests.get(url, timeout=60).status_code == 421
    assert len(strict.requests()) == before


def test_a_key_and_a_path_that_name_two_nodes_reach_no_service(strict):
    url = strict.outputs_url("malleefowl", "node1") + "/u/a.nc"
    before = len(strict.requests())
    answer = requests.get(url, headers={"machineid": "a1~node2"}, timeout=60)
    assert answer.status_code == 421
    assert "another node than the path" in answer.text
    assert len(strict.requests()) == before
    for key in ("a1~node1", "a1", ""):
        answer = requests.get(url, headers={"machineid": key} if key else {}, timeout=60)
        assert (answer.status_code, answer.headers["X-Pavics-Node"]) == (404, "node1")


def test_without_a_topology_a_plain_proxy_is_trusted_no_more_than_before(plain):
    """Nothing tells the client what the path means, so nothing leaves that may go astray."""
    with Workflow(embed_limit=0) as wf:
        made = wf.wps(plain.url("malleefowl")).execute("multiple_outputs", [("count", "1")])
        [text] = made.wait().output("output").files()
        with pytest.raises(ReferenceRefused):
            wf.wps(plain.url("flyingpigeon")).execute("wordcounter", [("text", text)])
