"""The change of a running site, as docs/operators/live-changes.md has it, under real chains."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pavics_affinity import Workflow
from pavics_affinity.discovery.finder import FINDER
from pavics_affinity.errors import AffinityError, BackendUnavailable, UnknownNode
from support.live_site import ask
from support.rendered_cluster import rendered_cluster

CHAINS = 24
TIMES = 5
THREE = ["node1", "node2", "node3"]
FOUR = [*THREE, "node4"]
SERVICES = ("malleefowl", "flyingpigeon")
BOX = [("lon0", "-100"), ("lon1", "-80"), ("lat0", "35"), ("lat1", "50")]


class Chain:
    """A workflow that continues as long as it is asked to; its steps can be counted by node."""

    def __init__(self, cluster, **options):
        self.workflow = Workflow(**options)
        malleefowl, self.flyingpigeon = (
            self.workflow.wps(cluster.url(name), skip_caps=True) for name in SERVICES
        )
        resource = [("resource", cluster.sample_url)]
        download = malleefowl.execute("download", resource, mode="sync")
        [self.path] = download.output("output").json()
        self.nodes = {self.workflow.node}

    def echo(self):
        echo = self.flyingpigeon.execute("echo", [("text", "x")], mode="sync")
        self.nodes.update(echo.output("node").data)
        return self.nodes

    def end(self):
        """Cut the box out of what the first step downloaded: it is on that node only."""
        inputs = [("resource", self.path), *BOX]
        subset = self.flyingpigeon.execute("subset_bbox", inputs, mode="sync")
        assert subset.output("output").read_bytes()[1:4] == b"HDF"
        self.nodes.add(self.workflow.node)
        self.workflow.close()
        return self.nodes


@pytest.fixture(scope="module")
def operated(tmp_path_factory):
    with rendered_cluster(tmp_path_factory.mktemp("live"), services=SERVICES) as made:
        made[0].add_node(reload=False)
        yield made


@pytest.fixture
def site(operated):
    cluster, operator = operated
    operator.change(cluster, THREE)
    FINDER.forget()
    return cluster, operator


def bare(cluster, ids):
    """Ask where ids go that name no node."""
    url = f"{cluster.url('flyingpigeon')}?service=WPS&request=GetCapabilities"
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda key: ask(url, key), ids))
    return [answer.headers["X-Pavics-Node"] for answer in answers]


@pytest.mark.timeout(400)
def test_adding_and_removing_a_server_again_and_again_moves_no_chain(site, capsys):
    cluster, operator = site
    done = threading.Event()
    echoes = []

    def work(chains):
        for number, chain in enumerate(itertools.cycle(chains)):
            if done.is_set() and number >= len(chains):
                break
            echoes.append(chain.echo())
        return [chain.end() for chain in chains]

    with ThreadPoolExecutor(6) as pool:
        chains = list(pool.map(lambda _: Chain(cluster), range(CHAINS)))
        begun = [chain.nodes.copy() for chain in chains]
        ids = [f"id{number}" for number in range(60)]
        here = bare(cluster, ids)
        running = [pool.submit(work, chains[start::6]) for start in range(6)]
        try:
            for number in range(TIMES):
                operator.change(cluster, FOUR)
                if number == 0:
                    moved = sum(a != b for a, b in zip(here, bare(cluster, ids), strict=True))
                operator.change(cluster, THREE)
        finally:
            done.set()
        ended = [nodes for each in running for nodes in each.result()]
    assert ended == [begun[i] for start in range(6) for i in range(start, CHAINS, 6)]
    assert {len(nodes) for nodes in ended} == {1}
    assert moved > len(ids) // 2
    with capsys.disabled():
        print(
            f"\n{2 * TIMES} reloads under {CHAINS} chains ({2 * CHAINS + len(echoes)} Executes): "
            f"0 chains moved; of {len(ids)} bare ids {moved} did"
        )


def test_a_node_is_drained_and_removed_and_only_its_own_workflows_are_waited_for(site):
    cluster, operator = site
    operator.change(cluster, FOUR)
    old = [Chain(cluster, node=node) for node in FOUR]
    ids = [f"id{number}" for number in range(12)]
    here = bare(cluster, ids)

    operator.change(cluster, FOUR, drain=["node4"])
    assert bare(cluster, ids) == here
    FINDER.forget()  # a client may take a document for current that is a minute old
    fresh = [Chain(cluster) for _ in range(9)]
    assert set.union(*(chain.nodes for chain in fresh)) == set(THREE)
    assert [chain.echo() for chain in old] == [{node} for node in FOUR]
    assert old.pop().end() == {"node4"}

    # The log tells when the node was last asked, and for whom.
    log = (cluster.directory / "nginx" / "logs" / "access.log").read_text().splitlines()
    last = [json.loads(line) for line in log if '"node":"node4"' in line][-1]
    assert last["machineid"].endswith("~node4")

    operator.change(cluster, THREE)
    cluster.kill("node4")
    assert [chain.end() for chain in old + fresh] == [c.nodes for c in old + fresh]
    cluster.start("node4")


def test_a_workflow_whose_node_was_removed_gets_an_error_and_no_result(site):
    cluster, operator = site
    operator.change(cluster, FOUR)
    chain = Chain(cluster, node="node4")
    operator.change(cluster, THREE)
    with pytest.raises(BackendUnavailable, match=r"'node4'.* does not know the node"):
        chain.echo()
    FINDER.forget()
    with Workflow(node="node4") as late, pytest.raises(UnknownNode, match="node1, node2, node3"):
        late.wps(cluster.url("flyingpigeon"))
    operator.change(cluster, FOUR)
    assert chain.end() == {"node4"}


def test_from_plain_to_strict_no_id_moves_and_new_workflows_name_their_node(site):
    cluster, operator = site
    operator.style = "plain"
    operator.change(cluster, THREE)
    steered = [f"{number}~{suffix}" for number in range(4) for suffix in (1, 2, 3)]
    ids = [f"id{number}" for number in range(12)] + steered
    here = bare(cluster, ids)
    chains = [Chain(cluster) for _ in range(4)]
    assert {chain.workflow.node_known for chain in chains} == {"unknown"}

    operator.style = "strict"
    operator.change(cluster, THREE)
    assert bare(cluster, ids) == here
    # The file is on the node where the chain began: its subset succeeds there alone.
    assert all(len(chain.end() - {None}) <= 1 for chain in chains)
    FINDER.forget()  # asked again after a while, or by another process
    fresh = Chain(cluster)
    assert fresh.workflow.node_known == "proved"
    assert fresh.end() == fresh.nodes


def test_a_process_that_runs_ends_behind_a_reload_that_removes_its_node(site):
    cluster, operator = site
    operator.change(cluster, FOUR)
    with Workflow(node="node4") as wf, ThreadPoolExecutor(1) as pool:
        wps = wf.wps(cluster.url("flyingpigeon"))
        running = pool.submit(wps.execute, "sleep", [("delay", "2")], mode="sync")
        while not cluster.executions("node4", identifier="sleep"):
            time.sleep(0.05)
        operator.change(cluster, THREE)
        assert running.result().output("sleep_output").data == ["slept on node4"]
    assert len(cluster.executions(identifier="sleep")) == 1


def test_files_that_nginx_refuses_change_nothing(site):
    cluster, _ = site
    chain = Chain(cluster)
    before = cluster.topology
    with pytest.raises(AffinityError, match="refuses"):
        cluster.reload(proxy_config={"conf.d/broken.conf": "upstream {"})
    assert cluster.topology == before
    assert chain.end() == chain.nodes
