"""Chains through a real Twitcher: in front of the proxy, and behind it, one on each node."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import xarray

from pavics_affinity import Workflow
from pavics_affinity.errors import (
    BackendUnavailable,
    EvidenceStrippedWarning,
    ExecuteOutcomeUnknown,
    ReferenceRefused,
)
from pavics_affinity.proxy.probe import Plan, Verdict, ask, judge
from pavics_affinity.testing import LocalCluster, Upstream
from support.batch_site import STRICT

STEADY = Upstream(
    parameters="max_fails=0", location="proxy_next_upstream off; client_max_body_size 1m;"
)
"""The proxy says 502 for a dead node, instead of asking another one, and 413 above its default."""

CHAINS = 8


@pytest.fixture(scope="module", params=["twitcher", "twitcher-per-node"])
def site(request) -> Iterator[LocalCluster]:
    with LocalCluster(
        front=request.param,
        evidence="X-Pavics-Node",
        upstreams={"malleefowl": STEADY, "flyingpigeon": STEADY},
    ) as cluster:
        yield cluster


@pytest.fixture
def is_inner(site) -> bool:
    """Whether Twitcher is in front of the proxy, so that its evidence is lost."""
    return "X-Pavics-Node" not in capabilities(site).headers


def capabilities(site: LocalCluster, **options) -> requests.Response:
    query = {"service": "WPS", "request": "GetCapabilities"}
    return requests.get(site.url("flyingpigeon"), params=query, timeout=60, **options)


def chain(wf: Workflow, site: LocalCluster, south: int, folder: Path) -> Path:
    """Download on a node, cut a box out of the file there, and fetch the box."""
    downloaded = wf.wps(site.url("malleefowl")).execute("download", [("resource", site.sample_url)])
    [path] = downloaded.wait().output("output").json()
    assert path.startswith("file://")
    box = {"lon0": "-100", "lon1": "-80", "lat0": str(south), "lat1": str(south + 5)}
    inputs = [("resource", path), *box.items()]
    subset = wf.wps(site.url("flyingpigeon")).execute("subset_bbox", inputs)
    return subset.wait().output("output").download(folder / f"{wf.machineid}.nc")


def nodes_of(wf: Workflow, site: LocalCluster) -> set[str]:
    return {r.node for r in site.requests(machineid=wf.machineid) if r.operation == "Execute"}


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.EvidenceStrippedWarning")
@pytest.mark.parametrize("knows", ["the URL only", "the topology"])
def test_chains_end_on_the_node_that_they_began_on(site, tmp_path, knows):
    topology = site.topology if knows == "the topology" else None
    before = len(site.executions())

    def run(number: int) -> tuple[int, Path, set[str]]:
        # Ids that the hash spreads over all nodes.
        with Workflow(f"chain-{number}", topology=topology) as wf:
            output = chain(wf, site, 30 + number, tmp_path)
            assert wf.node_known == ("unknown" if topology is None else "proved")
            return 30 + number, output, nodes_of(wf, site) | ({wf.node} - {None})

    with ThreadPoolExecutor(4) as pool:
        chains = list(pool.map(run, range(CHAINS)))
    assert {len(nodes) for _, _, nodes in chains} == {1}
    assert set.union(*(nodes for _, _, nodes in chains)) == set(site.nodes)
    assert len(site.executions()) - before == 2 * CHAINS
    # After the threads: HDF5 bears one at a time.
    for south, output, _ in chains:
        with xarray.open_dataset(output, engine="netcdf4") as box:
            latitudes = box["latitude"].values
            assert south <= latitudes.min() <= latitudes.max() <= south + 5
            assert float(box["air_temperature"].isel(time=0).mean()) > 200


def test_an_output_is_the_next_input_by_its_url_up_to_what_the_proxy_takes(site, tmp_path):
    with Workflow() as wf:
        malleefowl, flyingpigeon = (wf.wps(site.url(s)) for s in ("malleefowl", "flyingpigeon"))
        got = malleefowl.execute("download", [("resource", site.sample_url)]).wait()
        [path] = got.output("output").json()
        small = {"lon0": "-100", "lon1": "-90", "lat0": "40", "lat1": "50"}
        for box in (small, {"lon0": "0", "lon1": "360", "lat0": "0", "lat1": "90"}):
            inputs = [("resource", path), *box.items()]
            subset = flyingpigeon.execute("subset_bbox", inputs).wait().output("output")
            inputs = [("resource", subset.reference), *small.items()]
            if box is small:
                again = flyingpigeon.execute("subset_bbox_complex", inputs).wait()
                assert again.output("output").read_bytes().startswith((b"CDF", b"\x89HDF"))
            else:
                with pytest.raises(ReferenceRefused, match=r"413.*Nothing was executed"):
                    flyingpigeon.execute("subset_bbox_complex", inputs)
        assert len(nodes_of(wf, site)) == 1
        assert len(site.executions(identifier="subset_bbox_complex")) == 1


def test_a_warning_says_once_that_twitcher_strips_evidence(site, is_inner, tmp_path):
    with Workflow(topology=site.topology) as wf, warned(is_inner):
        wps = wf.wps(site.url("malleefowl"))
        assert wf.node_known == ("predicted" if is_inner else "proved")
        for number in range(3):
            wps.execute("echo", [("text", str(number))], mode="sync")
        assert wf.node_known == ("predicted" if is_inner else "proved")
        chain(wf, site, 40, tmp_path)
        # The outputs do not pass Twitcher.
        assert wf.node_known == "proved"
        assert nodes_of(wf, site) == {wf.node}


@contextmanager
def warned(stripped: bool) -> Iterator[None]:
    """Expect one warning if the evidence is stripped, and else none."""
    if not stripped:
        yield
        return
    with pytest.warns(EvidenceStrippedWarning) as caught:
        yield
    assert [str(warning.filename) for warning in caught] == [__file__]


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.EvidenceStrippedWarning")
@pytest.mark.parametrize("knows", ["the URL only", "the topology"])
def test_a_dead_node_is_not_taken_for_the_services_answer(site, knows):
    topology = site.topology if knows == "the topology" else None
    with Workflow(topology=topology, deadline=0.5, route="proxy") as wf:
        wps = wf.wps(site.url("malleefowl"))
        wps.execute("echo", [("text", "x")], mode="sync")
        [node] = nodes_of(wf, site)
        before = len(site.executions())
        site.kill(node, "malleefowl")
        try:
            with pytest.raises(BackendUnavailable, match="answered 400: 'Re") as dead:
                wps.getcapabilities()
            with pytest.raises(ExecuteOutcomeUnknown, match="was not sent again") as lost:
                wps.execute("echo", [("text", "y")], mode="sync")
        finally:
            site.start(node)
        assert (dead.value.node, lost.value.node) == (wf.node, wf.node)
        assert len(site.executions()) == before
        answer = wps.execute("echo", [("text", "z")], mode="sync")
        assert answer.output("node").data == [node]


@pytest.mark.filterwarnings("ignore::pavics_affinity.errors.EvidenceStrippedWarning")
def test_a_free_workflow_passes_over_a_dead_node(site):
    topology = site.topology
    machineid = next(
        name
        for name in (f"id-{number}" for number in range(1000))
        if topology.first_node("malleefowl", name) == "node2"
    )
    site.kill("node2")
    try:
        with Workflow(machineid, topology=topology, deadline=0.5, route="proxy") as wf:
            wps = wf.wps(site.url("malleefowl"))
            answer = wps.execute("echo", [("text", "x")], mode="sync")
            assert answer.output("node").data == [wf.node] != ["node2"]
    finally:
        site.start("node2")


# ---- in front of a rendered proxy ----


@pytest.fixture(scope="module")
def strict_site() -> Iterator[LocalCluster]:
    with LocalCluster(front="twitcher", **STRICT) as cluster:
        yield cluster


def test_by_the_url_alone_a_rendered_proxy_behind_twitcher_leads_to_the_node(strict_site, tmp_path):
    with Workflow() as wf:
        with pytest.warns(EvidenceStrippedWarning) as caught:
            chain(wf, strict_site, 40, tmp_path)
        assert len(caught) == 1
        assert (nodes_of(wf, strict_site), wf.node_known) == ({wf.node}, "proved")
        wps = wf.wps(strict_site.url("flyingpigeon"))
        output = wps.execute("produce", [("megabytes", "0.1")]).wait().output("output")
        assert requests.get(wf.link(output.reference), timeout=30).content == output.read_bytes()


def probed(site: LocalCluster) -> Verdict:
    return judge(ask(Plan(tuple(map(site.url, site.services)))))


def test_probe_tells_stripped_evidence_from_a_node_that_twitcher_hides(strict_site):
    verdict = probed(strict_site)
    assert (verdict.kind, verdict.works) == ("stripped", None)
    strict_site.kill("node2", "malleefowl")
    try:
        verdict = probed(strict_site)
    finally:
        strict_site.start("node2")
    assert (verdict.kind, verdict.works) == ("hidden-down", False)
    assert "does not answer (node2)" in verdict.words


def test_probe_names_a_node_whose_twitcher_answers_for_it(site, is_inner):
    before = probed(site)
    assert before.kind == ("cannot-tell" if is_inner else "plain")
    for service in site.services:
        site.kill("node2", service)
    try:
        verdict = probed(site)
    finally:
        site.start("node2")
    assert (verdict.kind, verdict.works) == ("hidden-down", False)
    assert ("(node2)" in verdict.words) is not is_inner
