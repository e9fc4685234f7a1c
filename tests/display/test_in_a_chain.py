"""What is shown of a real chain: its links lead where they say."""

from __future__ import annotations

import io
import re
from html import unescape

import pytest
import requests

from pavics_affinity import Workflow
from pavics_affinity.errors import ExecutionFailed
from pavics_affinity.proxy.render import render_proxy

BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]


def chain(wf: Workflow, cluster):
    malleefowl = wf.wps(cluster.url("malleefowl"))
    flyingpigeon = wf.wps(cluster.url("flyingpigeon"))
    download = malleefowl.execute("download", [("resource", cluster.sample_url)]).wait()
    [path] = download.output("output").json()
    return flyingpigeon.execute("subset_bbox", [("resource", path), *BOX]).wait()


def links(page: str) -> list[str]:
    return [unescape(url) for url in re.findall(r'href="([^"]*)"', page)]


def outputs_among(urls: list[str]) -> list[str]:
    return [url for url in urls if "/outputs/" in url]


def test_each_output_of_a_known_site_is_a_link_that_works(cluster):
    with Workflow(topology=cluster.topology) as wf:
        chain(wf, cluster)
        found = outputs_among(links(wf._repr_html_()))
    assert len(found) == 3
    assert [requests.get(url, timeout=10).status_code for url in found] == [200] * 3


def test_each_output_behind_a_strict_proxy_is_a_link_that_works(make_cluster):
    cluster = make_cluster(
        2,
        proxy="nginx",
        proxy_style="strict",
        evidence="X-Pavics-Node",
        proxy_config=render_proxy,
    )
    with Workflow() as wf:
        chain(wf, cluster)
        found = outputs_among(links(wf._repr_html_()))
    assert len(found) == 3
    assert all(f"/.affinity/{wf.machineid}~{wf.node}/" in url for url in found)
    assert [requests.get(url, timeout=10).status_code for url in found] == [200] * 3


def test_behind_a_plain_proxy_nothing_is_a_link_that_works_one_time_in_three(cluster):
    with Workflow() as wf:
        execution = chain(wf, cluster)
        pages = [x._repr_html_() for x in (wf, execution, execution.output("output"))]
    assert [outputs_among(links(page)) for page in pages] == [[], [], []]
    assert all("only a request header leads" in page for page in pages)
    assert execution.output("output").reference in pages[2]


def test_an_execution_shows_its_outputs_and_what_it_is_about(cluster):
    with Workflow(topology=cluster.topology) as wf:
        execution = chain(wf, cluster)
        page = execution._repr_html_()
    assert "<strong>subset_bbox</strong>" in page
    assert "ProcessSucceeded" in page
    assert re.search(rf"<th[^>]*>node</th><td[^>]*>{wf.node}</td>", page)
    assert len(outputs_among(links(page))) == 2


def test_a_failed_execution_shows_the_servers_words(cluster):
    with Workflow() as wf:
        execution = wf.wps(cluster.url("flyingpigeon")).execute(
            "fail", [("message", "no point in the box")]
        )
        with pytest.raises(ExecutionFailed):
            execution.wait()
        for page in (execution._repr_html_(), wf._repr_html_()):
            assert "no point in the box" in page
            assert "paf-bad" in page.partition("</style>")[2]


def test_an_output_that_the_response_holds_shows_its_value(cluster):
    with Workflow() as wf:
        wps = wf.wps(cluster.url("flyingpigeon"))
        output = wps.execute("echo", [("text", "x < y")]).wait().output("text")
        assert "<code>x &lt; y</code>" in output._repr_html_()


def test_a_terminal_shows_the_same(cluster):
    console = pytest.importorskip("rich.console")
    with Workflow(topology=cluster.topology) as wf:
        execution = chain(wf, cluster)
        file = io.StringIO()
        for thing in (wf, execution, execution.output("output"), wf.record, cluster.topology):
            console.Console(file=file, width=200).print(thing)
    shown = file.getvalue()
    for words in (
        f"Workflow {wf.machineid}",
        "Execution of subset_bbox",
        "Output output",
        "requests",
        "Topology",
    ):
        assert words in shown
    assert "✓ succeeded" in shown
    assert execution.output("output").reference in shown


def test_a_topology_shows_its_nodes_and_services(cluster):
    page = cluster.topology._repr_html_()
    for name in (*cluster.nodes, *cluster.services):
        assert name in page
    assert cluster.url("flyingpigeon") in page
    assert links(page) == []  # a WPS answers its bare URL with an error
