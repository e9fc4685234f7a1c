"""An output of one step as the input of the next: fetched from the right node, or not sent."""

from __future__ import annotations

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import requests
from owslib.wps import ASYNC, SYNC, ComplexDataInput

from pavics_affinity import Node, WebProcessingService, Workflow
from pavics_affinity.errors import (
    AffinityWarning,
    InvalidRequest,
    OutOfScope,
    ReferenceRefused,
)

BOX = [("lon0", "-100"), ("lon1", "-60"), ("lat0", "30"), ("lat1", "60")]
CHAINS = 12


@pytest.fixture
def strict(strict_cluster):
    return strict_cluster


@pytest.fixture
def produced(cluster):
    """An output behind an unknown plain proxy; nothing is embedded."""
    with Workflow(embed_limit=0) as wf:
        yield wf, wf.wps(cluster.url("malleefowl")).execute("produce", [("megabytes", "0.01")])


def without_addresses(topology):
    """What a proxy publishes: its clients learn the nodes' names only."""
    nodes = [Node(n.name, weight=n.weight, drain=n.drain) for n in topology.nodes]
    services = [
        replace(
            s, port=None, listen=None, backends=tuple(replace(b, address=None) for b in s.backends)
        )
        for s in topology.services
    ]
    return replace(topology, nodes=tuple(nodes), services=tuple(services))


def chains_that_succeed(cluster, chains=CHAINS, **options):
    """Run steps on two services; the second one fetches the output of the first."""

    def chain(number):
        # Ids that the hash spreads over all nodes.
        with Workflow(f"chain-{number}", **options) as wf:
            malleefowl = wf.wps(cluster.url("malleefowl"), skip_caps=True)
            flyingpigeon = wf.wps(cluster.url("flyingpigeon"), skip_caps=True)
            links = malleefowl.execute("multiple_outputs", [("count", "1")]).wait()
            [text] = links.output("output").files()
            words = flyingpigeon.execute("wordcounter", [("text", text)]).wait()
            # "text 0 of node2": a 404 page has other words, and PyWPS counts those as gladly.
            return words.output("output").text() == "4"

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(chain, range(chains)))


def test_twelve_chains_of_twelve_through_a_rendered_strict_proxy(strict):
    topology = without_addresses(strict.topology)
    assert topology.backend_url(topology.service("malleefowl"), "node1") is None
    assert chains_that_succeed(strict, topology=topology) == CHAINS
    nodes = [r for r in strict.proxy_requests() if r.uri.startswith("/.affinity/")]
    assert len(nodes) >= CHAINS
    assert {r.node for r in nodes} == set(strict.nodes)


def test_twelve_chains_of_twelve_direct(cluster_no_proxy):
    topology = cluster_no_proxy.topology
    assert chains_that_succeed(cluster_no_proxy, topology=topology, route="direct") == CHAINS


def test_behind_a_plain_proxy_the_nodes_own_url_is_passed_on(cluster):
    assert chains_that_succeed(cluster, 10, topology=cluster.topology) == 10


def test_behind_an_unknown_plain_proxy_nothing_is_sent(cluster, produced):
    wf, execution = produced
    output = execution.wait().output("output")
    wps = wf.wps(cluster.url("flyingpigeon"))
    before = len(cluster.executions())
    for value in (
        output,
        execution,
        output.reference,
        f" {output.reference}\n",
        ComplexDataInput(output.reference),
        output.reference + "?x=1",
    ):
        with pytest.raises(ReferenceRefused, match="A service that fetches it sends no machineid"):
            wps.execute("wordcounter", [("text", value)])
    assert len(cluster.executions()) == before


def test_what_is_refused_would_have_been_counted_as_data(cluster, produced):
    """PyWPS takes another node's 404 page for the text: so the refusal is needed."""
    wf, execution = produced
    reference = execution.wait().output("output").reference
    wps = wf.wps(cluster.url("flyingpigeon"))
    request = f"""<wps:Execute service="WPS" version="1.0.0"
      xmlns:wps="http://www.opengis.net/wps/1.0.0" xmlns:ows="http://www.opengis.net/ows/1.1"
      xmlns:xlink="http://www.w3.org/1999/xlink"><ows:Identifier>wordcounter</ows:Identifier>
      <wps:DataInputs><wps:Input><ows:Identifier>text</ows:Identifier>
      <wps:Reference xlink:href="{reference}"/></wps:Input></wps:DataInputs></wps:Execute>"""
    counts = [wps.execute("wordcounter", [], request=request) for _ in range(6)]
    words = {c.processOutputs[0].data[0] for c in counts if c.processOutputs}
    page = requests.get(f"{cluster.node_url('node1', 'malleefowl')[:-4]}/outputs/none", timeout=60)
    assert page.status_code == 404
    assert str(len(page.text.split())) in words


@pytest.mark.parametrize("mode", [SYNC, ASYNC])
@pytest.mark.parametrize("client", ["wps", "drop-in", "birdy"])
def test_files_of_a_metalink_are_refused_whichever_way_the_process_ran(cluster, client, mode):
    """PyWPS puts each of them into a separate folder, and no status document names that."""
    if client == "birdy":
        pytest.importorskip("birdy")
    with Workflow(embed_limit=0) as wf:
        if client == "birdy":
            malleefowl = wf.birdy(cluster.url("malleefowl"), progress=mode == ASYNC)
            links = malleefowl.multiple_outputs(count=2)
        else:
            make = wf.wps if client == "wps" else WebProcessingService
            malleefowl = make(cluster.url("malleefowl"))
            links = malleefowl.execute("multiple_outputs", [("count", "2")], mode=mode).wait()
        output = links.output("output")
        before = len(cluster.executions())
        wps = wf.wps(cluster.url("flyingpigeon"))
        for value in (output, output.text(), *output.files(), output.files()[1].reference):
            for name, process in (("text", "wordcounter"), ("text", "echo")):
                with pytest.raises(ReferenceRefused, match="Nothing was executed"):
                    wps.execute(process, [(name, value)], mode=SYNC)
        assert len(cluster.executions()) == before


def test_each_remedy_that_the_refusal_names_works(cluster):
    with Workflow(embed_limit=0) as wf:
        malleefowl, flyingpigeon = (wf.wps(cluster.url(s)) for s in ("malleefowl", "flyingpigeon"))
        links = malleefowl.execute("multiple_outputs", [("count", "1")], mode=SYNC).wait()
        [text] = links.output("output").files()
        with pytest.raises(ReferenceRefused) as refused:
            flyingpigeon.execute("wordcounter", [("text", text)])
        assert "make the workflow without embed_limit=0" in str(refused.value)
        with Workflow(wf.machineid) as embedding:
            wps = embedding.wps(cluster.url("flyingpigeon"))
            words = wps.execute("wordcounter", [("text", text)], mode=SYNC).wait()
            assert words.output("output").text() == "4"

        assert "Pass the file:// path, if the process gives one" in str(refused.value)
        got = malleefowl.execute("download", [("resource", cluster.sample_url)], mode=SYNC).wait()
        [path] = got.output("output").json()
        subset = flyingpigeon.execute("subset_bbox", [("resource", path), *BOX], mode=SYNC).wait()

        file = subset.output("output")
        with Workflow(wf.machineid) as embedding:
            wps = embedding.wps(cluster.url("flyingpigeon"))
            again = wps.execute("subset_bbox_complex", [("resource", file), *BOX], mode=SYNC)
            with again.wait().output("output").open_dataset() as dataset:
                assert dataset.sizes["latitude"] > 1

        assert "give the workflow a topology that has the nodes' addresses" in str(refused.value)
        with Workflow(wf.machineid, topology=cluster.topology) as known:
            wps = known.wps(cluster.url("flyingpigeon"))
            sent = ComplexDataInput(text.reference)
            counted = wps.execute("wordcounter", [("text", sent)], mode=SYNC).wait()
            assert counted.output("output").text() == "4"

        assert "states where the services' outputs are" in str(refused.value)
        common = cluster.url("malleefowl").replace("/wps", "/data/common.nc")
        with pytest.raises(ReferenceRefused):
            flyingpigeon.execute("echo", [("text", common)])
        topology = without_addresses(cluster.topology)
        with Workflow(topology=topology) as known:
            wps = known.wps(cluster.url("flyingpigeon"))
            said = wps.execute("echo", [("text", common)], mode=SYNC).wait()
            assert said.output("text").text() == common


def test_with_strict_false_it_is_a_warning(cluster):
    with Workflow(strict=False) as wf:
        output = wf.wps(cluster.url("malleefowl")).execute("produce", [("megabytes", "0.01")])
        wps = wf.wps(cluster.url("flyingpigeon"))
        with pytest.warns(AffinityWarning, match="sends no machineid"):
            wps.execute("echo", [("text", output.wait().output("output").reference)])


def test_the_urls_of_a_workflow_are_known_to_a_pickled_one(cluster, produced):
    import pickle

    wf, execution = produced
    reference = execution.wait().output("output").reference
    copy = pickle.loads(pickle.dumps(wf))
    with pytest.raises(ReferenceRefused):
        copy.wps(cluster.url("flyingpigeon")).execute("echo", [("text", reference)])


def test_data_of_others_is_passed_on_unchanged(cluster):
    with Workflow(topology=cluster.topology) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        for url in (cluster.sample_url, "http://proxy.invalid/wps/outputs/x.nc", "not a URL"):
            assert wps.execute("echo", [("text", url)]).wait().output("text").text() == url


def test_data_at_the_services_host_is_passed_on_unchanged(cluster):
    url = cluster.url("malleefowl").replace("/wps", "/thredds/dodsC/x.nc")
    with Workflow(topology=cluster.topology) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        assert wps.execute("echo", [("text", url)]).wait().output("text").text() == url


def test_a_url_that_names_a_node_is_passed_on_unchanged(cluster):
    with Workflow(topology=cluster.topology) as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        for node in cluster.nodes:
            url = cluster.node_url(node, "malleefowl")[:-4] + "/outputs/x.nc"
            assert wps.execute("echo", [("text", url)]).wait().output("text").text() == url


def test_a_link_is_passed_on_unchanged(strict):
    with Workflow(topology=strict.topology) as wf:
        wps = wf.wps(strict.url("flyingpigeon"))
        link = wf.link(strict.outputs_url("malleefowl") + "/x/y.nc")
        assert "/.affinity/" in link
        assert wps.execute("echo", [("text", link)]).wait().output("text").text() == link


def test_outputs_of_earlier_sessions_are_known_by_the_topology(strict):
    url = strict.outputs_url("malleefowl") + "/b5a0/y.nc"
    with Workflow(topology=strict.topology) as wf:
        wps = wf.wps(strict.url("flyingpigeon"))
        sent = wps.execute("echo", [("text", url)]).wait().output("text").text()
        assert sent == strict.node_url(wf.node, "malleefowl")[:-4] + "/outputs/b5a0/y.nc"


def test_the_proxy_is_kept_to_where_the_user_asked_for_it(strict):
    url = strict.outputs_url("malleefowl") + "/b5a0/y.nc"
    with Workflow("a1b2", topology=strict.topology, route="proxy") as wf:
        wps = wf.wps(strict.url("flyingpigeon"))
        sent = wps.execute("echo", [("text", url)]).wait().output("text").text()
        assert sent == url.replace("/outputs/", f"/.affinity/a1b2~{wf.node}/outputs/")


def test_an_output_of_another_workflow_is_fetched_from_that_ones_node(strict):
    topology = without_addresses(strict.topology)
    with (
        Workflow(node="node1", topology=topology) as one,
        Workflow(node="node2", topology=topology) as other,
    ):
        made = one.wps(strict.url("malleefowl")).execute("multiple_outputs", [("count", "1")])
        [text] = made.wait().output("output").files()
        wps = other.wps(strict.url("flyingpigeon"))
        assert wps.execute("wordcounter", [("text", text)]).wait().output("output").text() == "4"
        assert strict.executions()[-1].node == "node2"


def test_a_real_file_travels_from_service_to_service(strict):
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        malleefowl, flyingpigeon = (wf.wps(strict.url(s)) for s in ("malleefowl", "flyingpigeon"))
        [path] = (
            malleefowl.execute("download", [("resource", strict.sample_url)])
            .wait()
            .output("output")
            .json()
        )
        first = flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()
        small = [("lon0", "-90"), ("lon1", "-70"), ("lat0", "40"), ("lat1", "50")]
        for process in ("subset_bbox", "subset_bbox_complex"):
            resource = ("resource", first.output("output"))
            again = flyingpigeon.execute(process, [resource, *small]).wait()
            with again.output("output").open_dataset() as dataset:
                assert dataset.sizes["latitude"] == 9


def test_results_of_birdy_go_through_a_strict_proxy_too(strict):
    pytest.importorskip("birdy")
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        malleefowl, flyingpigeon = (wf.birdy(strict.url(s)) for s in ("malleefowl", "flyingpigeon"))
        made = malleefowl.produce(megabytes=0.01)
        counts = [
            wps.wordcounter(text=value).get().output
            for value in (made, made.output("output"))
            for wps in (malleefowl, flyingpigeon)
        ]
        assert len(set(counts)) == 1
        assert counts[0] > 100  # the page of a 404 has some 30 words
        assert "/.affinity/" in flyingpigeon.echo(text=made.get().output).get().text


def test_urls_inside_a_text_are_each_passed_on(cluster, produced):
    wf, execution = produced
    url = execution.wait().output("output").reference
    elsewhere = "http://data.invalid/x.nc"
    texts = [f'["{url}", "{elsewhere}"]', f"{elsewhere},{url}", f"<url>{url}</url>", f"{url} {url}"]
    wps = wf.wps(cluster.url("flyingpigeon"))
    before = len(cluster.executions())
    for text in texts:
        for value in (text, ComplexDataInput(text)):
            with pytest.raises(ReferenceRefused, match=f"is {url}: the file is on"):
                wps.execute("wordcounter", [("text", value)])
    assert len(cluster.executions()) == before
    with Workflow(wf.machineid, topology=cluster.topology) as known:
        wps = known.wps(cluster.url("flyingpigeon"))
        node = cluster.node_url(known.node, "malleefowl")[:-4]
        own = url.replace(cluster.url("malleefowl")[:-4], node)
        for text in texts:
            said = wps.execute("echo", [("text", text)]).wait().output("text").text()
            assert said == text.replace(url, own)


def test_a_metalink_is_sent_along_with_urls_that_lead_to_its_files(strict):
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        malleefowl, flyingpigeon = (wf.wps(strict.url(s)) for s in ("malleefowl", "flyingpigeon"))
        links = malleefowl.execute("multiple_outputs", [("count", "2")]).wait().output("output")
        assert links.reference is not None
        execution = flyingpigeon.execute("wordcounter", [("text", links)])
        assert execution.request.count(f"/.affinity/{wf.machineid}~{wf.node}/".encode()) >= 2
        assert links.reference.encode() not in execution.request
        execution.wait()
        with pytest.raises(ReferenceRefused, match=r"a metalink, .* Pass its files .* Nothing"):
            flyingpigeon.execute("echo", [("text", links)])


def test_an_embedded_output_is_sent_along(cluster, produced):
    wf, _ = produced
    wps = wf.wps(cluster.url("flyingpigeon"))
    node = wps.execute("echo", [("text", "three little: words")]).wait().output("text")
    assert node.reference is None
    assert wps.execute("echo", [("text", node)]).wait().output("text").text() == node.text()
    # "three little: words" would look like a URL to OWSLib
    assert wps.execute("wordcounter", [("text", node)]).wait().output("output").text() == "3"


def test_an_execution_of_several_outputs_is_not_an_input(cluster, produced):
    wf, _ = produced
    wps = wf.wps(cluster.url("flyingpigeon"))
    echo = wps.execute("echo", [("text", "x")]).wait()
    with pytest.raises(InvalidRequest, match=r"2 outputs \(text, node\)"):
        wps.execute("echo", [("text", echo)])


def test_an_execution_that_still_runs_is_not_an_input(cluster, produced):
    wf, _ = produced
    wps = wf.wps(cluster.url("flyingpigeon"))
    running = wps.execute("sleep", [("delay", "1")])
    with pytest.raises(InvalidRequest, match=r"call \.wait\(\) first"):
        wps.execute("echo", [("text", running)])
    running.wait()


def test_the_users_own_input_object_stays_as_it_was(strict):
    url = strict.outputs_url("malleefowl") + "/b5a0/y.nc"
    given = ComplexDataInput(url, mimeType="text/plain")
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        wps = wf.wps(strict.url("flyingpigeon"))
        execution = wps.execute("wordcounter", [("text", given)])
        assert b"/.affinity/" in execution.request
    assert given.value == url


# ---- links and headers, for other programs ----


def test_a_link_and_headers_bring_the_file_to_other_programs(strict):
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        made = wf.wps(strict.url("malleefowl")).execute("produce", [("megabytes", "0.01")])
        output = made.wait().output("output")
        content = output.read_bytes()
        url = output.reference
        plain = [requests.get(url, timeout=60).status_code for _ in range(3)]
        assert 404 in plain
        for form in ("path", "query"):
            link = wf.link(url, form=form)
            assert wf.machineid in link
            for _ in range(6):
                assert requests.get(link, timeout=60).content == content
        for _ in range(6):
            assert requests.get(url, headers=wf.headers(url), timeout=60).content == content


@pytest.fixture
def handed_out(strict):
    """A workflow, the URL of an output on its node, and the output's bytes."""
    with Workflow(topology=without_addresses(strict.topology)) as wf:
        made = wf.wps(strict.url("malleefowl")).execute("produce", [("megabytes", "0.01")])
        output = made.wait().output("output")
        yield wf, output.reference, output.read_bytes()


def test_httpx_takes_the_headers(handed_out):
    httpx = pytest.importorskip("httpx")
    wf, url, content = handed_out
    with httpx.Client(headers=wf.headers(url)) as client:
        assert all(client.get(url).content == content for _ in range(6))


def test_aiohttp_takes_the_headers(handed_out):
    aiohttp = pytest.importorskip("aiohttp")
    wf, url, content = handed_out

    async def fetch():
        async with aiohttp.ClientSession(headers=wf.headers(url)) as client:
            for _ in range(6):
                async with client.get(url) as answer:
                    yield await answer.read()

    async def collect():
        return [body async for body in fetch()]

    assert asyncio.run(collect()) == [content] * 6


def test_fsspec_takes_headers_as_a_storage_option_and_links(handed_out):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    wf, url, content = handed_out
    for _ in range(3):
        options = {"skip_instance_cache": True}
        with fsspec.open(url, headers=wf.headers(url), **options) as file:
            file.seek(-100, 2)  # asks for the length, and for a part
            assert file.read() == content[-100:]
        with fsspec.open(wf.link(url), **options) as file:
            assert file.read() == content


def test_a_link_is_all_that_a_command_line_needs(handed_out):
    wf, url, content = handed_out
    fetched = subprocess.run(
        ["curl", "-sf", wf.link(url), wf.link(url, form="query")], capture_output=True, check=True
    )
    assert fetched.stdout == content * 2


def test_the_query_of_a_link_is_kept_and_an_older_key_replaced(strict):
    with Workflow("a1b2", node="node2", topology=strict.topology) as wf:
        url = strict.outputs_url("malleefowl") + "/x.nc?var=tas&machineid=old&y=%2F"
        assert wf.link(url, form="query").endswith("?var=tas&y=%2F&machineid=a1b2~node2")
        assert wf.link(url).endswith(
            "/.affinity/a1b2~node2/outputs/x.nc?var=tas&machineid=old&y=%2F"
        )


def test_where_nodes_have_addresses_a_link_is_the_nodes_own_url(cluster, cluster_no_proxy):
    for site, route in ((cluster, "auto"), (cluster_no_proxy, "direct")):
        with Workflow(topology=site.topology, route=route) as wf:
            link = wf.link(site.url("malleefowl"))
            assert link == site.node_url(wf.node, "malleefowl")


def test_behind_a_plain_proxy_there_is_no_link(cluster):
    with Workflow() as wf, pytest.raises(LookupError, match=r"Use \.headers\(url\)"):
        wf.link(cluster.url("malleefowl"))


def test_behind_a_plain_proxy_the_headers_are_the_machineid(cluster):
    with Workflow("a1b2") as wf:
        assert wf.headers(cluster.url("malleefowl")) == {"machineid": "a1b2"}


def test_headers_are_refused_for_a_url_that_is_not_the_one_to_fetch(cluster_no_proxy):
    topology = cluster_no_proxy.topology
    with Workflow(topology=topology, route="direct") as wf:
        url = cluster_no_proxy.url("malleefowl")
        with pytest.raises(InvalidRequest, match="itself: fetch 'http"):
            wf.headers(url)
        assert wf.headers(wf.link(url)) == {"machineid": wf.machineid}


def test_a_link_handed_out_settles_the_node(strict):
    with Workflow(topology=strict.topology) as wf:
        assert not wf.session.pin.pinned
        wf.link(strict.url("malleefowl"))
        assert wf.session.pin.pinned


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "http://", "x", "", None])
def test_links_and_headers_are_for_http_urls(url):
    with Workflow() as wf:
        for ask in (wf.link, wf.headers):
            with pytest.raises(OutOfScope):
                ask(url)


def test_an_unknown_form_is_refused(cluster):
    with Workflow() as wf, pytest.raises(InvalidRequest, match="expected 'path' or 'query'"):
        wf.link(cluster.url("malleefowl"), form="fragment")
