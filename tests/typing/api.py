"""What users write, read by mypy --strict and never run: the types of the public names."""

from datetime import timedelta
from pathlib import Path
from typing import assert_type

from matplotlib.axes import Axes

from pavics_affinity import (
    Backend,
    NginxConsistentHash,
    NginxHash,
    Node,
    Rendezvous,
    Service,
    Topology,
    WebProcessingService,
    Workflow,
    WPSClient,
    current_workflow,
    derive_machineid,
    discover,
    map_workflows,
    mint_machineid,
    read_nginx,
)
from pavics_affinity.batch import WorkflowResult, WorkflowResults
from pavics_affinity.display import plot_chains, plot_spread, plot_steps
from pavics_affinity.errors import AffinityLost, BackendUnavailable, ExecutionFailed

URL = "http://proxy.example:58093/wps"

# ---- machineids and placement ----
assert_type(mint_machineid(), str)
assert_type(derive_machineid("alice", b"heat waves", 2024, Path("runs")), str)
assert_type(NginxHash(["10.0.0.1:8093", "10.0.0.2:8093 weight=2"]).place("a1b2"), str)
assert_type(list(NginxConsistentHash(["10.0.0.1:8093"]).order(b"a1b2")), list[str])
assert_type(Rendezvous({"node1": 1, "node2": 2.5}).place("a1b2", unreachable=("node1",)), str)

# ---- topology ----
topology = Topology(
    nodes=(Node("node1", host="10.0.0.1"), Node("node2", "10.0.0.2", weight=2, drain=True)),
    services=(
        Service("flyingpigeon", url=URL, port=8093, aliases=("http://proxy.internal:8093",)),
        Service("malleefowl", port=8091, backends=(Backend("node1", "10.0.0.1:9091"),)),
    ),
    evidence="X-Pavics-Node",
)
topology.dump("site.toml")
assert_type(Topology.load(Path("site.toml")), Topology)
assert_type(read_nginx("conf.d/*.conf", urls={"flyingpigeon": URL}), Topology)
assert_type(discover(URL), Topology)
assert_type(mint_machineid(node="node2", topology=topology, service="flyingpigeon"), str)

# ---- a chain ----
with Workflow(topology=topology, node="node1", timeout=timedelta(seconds=30)) as wf:
    assert_type(wf, Workflow)
    assert_type(wf.machineid, str)
    assert_type(wf.node, str | None)
    wps = wf.wps(URL, timeout=60)
    assert_type(wps, WebProcessingService)
    try:
        execution = wps.execute("subset_bbox", [("resource", "file:///x.nc"), ("lon0", "-80")])
        output = execution.wait(timeout=timedelta(minutes=5), progress=False).output("output")
        assert_type(output.download("subset.nc").path, Path)
        assert_type(output.text(), str)
    except BackendUnavailable as gone:
        assert_type(gone.node, str | None)
    except AffinityLost as lost:
        assert_type(lost.answered_by, str | None)
    except ExecutionFailed as failed:
        assert_type(failed.code, str | None)
    wps.attach("http://proxy.example:58093/outputs/status.xml").wait()
    assert_type(wf.headers(URL), dict[str, str])
    assert_type(wf.plot(), Axes)
    assert_type(wf.link("http://proxy.example:58093/outputs/subset.nc"), str)
    rows = wf.record.rows()
    print(rows[0]["node"], [request.status for request in wf.record])

assert_type(current_workflow(), Workflow)

# ---- what people look at ----
assert_type(plot_spread(topology, topology, service="flyingpigeon"), Axes)
assert_type(plot_steps(step for step in wf.steps), Axes)
batch = map_workflows(lambda workflow, year: year, [2000, 2001], topology=topology)
assert_type(plot_chains(batch), Axes)
assert_type(plot_chains(list(batch)), Axes)
assert_type(batch.plot(), Axes)
assert_type(wf.record.totals()[0].seconds, float)

# ---- the drop-in ----
dropin = WebProcessingService(URL, headers={"machineid": "a1b2"}, verify=False)
dropin.getcapabilities()

dropin_of_birdy = WPSClient(URL, processes="subset_bbox", progress=True)
assert_type(wf.birdy(URL, progress=True), WPSClient)


class Pinned(WPSClient):
    pass


assert_type(wf.birdy(URL, cls=Pinned, timeout=60), Pinned)

# ---- many ----
batch = map_workflows(lambda wf, item: wf.machineid, range(3), topology=topology, per_node=2)
assert_type(batch, WorkflowResults)
for one in batch:
    assert_type(one, WorkflowResult)
    assert_type(one.error, BaseException | None)
    assert_type(one.node, str | None)
