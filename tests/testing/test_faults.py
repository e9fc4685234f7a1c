"""Nodes and the proxy fail, come back and change while requests are under way."""

import time
import urllib.parse
import uuid

import pytest
import requests

from pavics_affinity import Topology
from pavics_affinity.errors import UnknownNode, UnknownService
from pavics_affinity.testing import ClusterError, LocalCluster, Upstream
from support.by_hand import errors, execute, get, node_of, poll, reference


def capabilities(url, **options):
    query = {"service": "WPS", "request": "GetCapabilities"}
    return requests.get(url, params=query, timeout=options.pop("timeout", 30), **options)


def id_on(cluster, node, service="malleefowl"):
    """Find a machineid that nginx sends to the node."""
    candidates = (uuid.uuid4().hex for _ in range(1000))
    return next(i for i in candidates if node_of(cluster.url(service), i) == node)


def test_a_killed_node_refuses_connections_and_keeps_its_disk(cluster_no_proxy):
    cluster = cluster_no_proxy
    before = len(cluster.executions("node1", identifier="sleep"))
    url = cluster.node_url("node1", "flyingpigeon")
    output = urllib.parse.urlsplit(reference(execute(url, "produce", [("megabytes", "0.1")])))
    there = url.replace("/wps", output.path)
    job = execute(url, "sleep", [("delay", "30")], output=[("sleep_output", False)], mode="async")
    while len(cluster.executions("node1", identifier="sleep")) == before:
        assert not job.isComplete()
        time.sleep(0.02)

    cluster.kill("node1")
    for service in cluster.services:
        with pytest.raises(requests.ConnectionError, match="refused"):
            capabilities(cluster.node_url("node1", service))
    assert capabilities(cluster.node_url("node2", "flyingpigeon")).ok

    cluster.start("node1")
    assert get(there).status_code == 200
    # The job died with its node; only its status document does not know.
    status = get(url.replace("/wps", urllib.parse.urlsplit(job.statusLocation).path))
    assert "ProcessStarted" in status.text or "ProcessAccepted" in status.text
    runs = cluster.executions("node1", identifier="sleep")[before:]
    assert [run.ended for run in runs] == [None]


def test_one_service_of_a_node_can_be_killed(cluster_no_proxy):
    cluster = cluster_no_proxy
    cluster.kill("node1", "malleefowl")
    with pytest.raises(requests.ConnectionError):
        capabilities(cluster.node_url("node1", "malleefowl"))
    assert capabilities(cluster.node_url("node1", "flyingpigeon")).ok
    cluster.start("node1")
    assert capabilities(cluster.node_url("node1", "malleefowl")).ok


def test_a_paused_node_accepts_and_does_not_answer_until_it_is_resumed(cluster_no_proxy):
    cluster = cluster_no_proxy
    url = cluster.node_url("node1", "malleefowl")
    cluster.pause("node1")
    with pytest.raises(requests.ReadTimeout):
        capabilities(url, timeout=0.5)
    cluster.resume("node1")
    assert capabilities(url).ok
    cluster.pause("node1")
    cluster.kill("node1")
    with pytest.raises(requests.ConnectionError, match="refused"):
        capabilities(url)


def test_behind_the_manuals_proxy_a_dead_nodes_ids_move(whole_cluster):
    cluster = whole_cluster
    machineid = id_on(cluster, "node2")
    cluster.kill("node2")
    assert node_of(cluster.url("malleefowl"), machineid) in {"node1", "node3"}
    [*_, last] = cluster.proxy_requests(machineid=machineid)
    assert last.upstreams[0].startswith(cluster.topology.node("node2").host)
    assert last.upstream_status == ("502", "200")


def test_a_steady_proxy_says_502_for_a_dead_node(cluster_with_evidence):
    cluster, off = cluster_with_evidence, "proxy_next_upstream off;"
    cluster.reload(upstreams={"malleefowl": Upstream(parameters="max_fails=0", location=off)})
    machineid = id_on(cluster, "node2")
    cluster.kill("node2")
    for _ in range(3):
        answer = get(cluster.url("malleefowl"), machineid)
        assert (answer.status_code, answer.headers["X-Pavics-Node"]) == (502, "node2")


def test_evidence_names_the_node_that_answered(cluster_with_evidence):
    cluster = cluster_with_evidence
    assert cluster.topology.evidence == "X-Pavics-Node"
    url = cluster.url("flyingpigeon")
    for _ in range(6):
        machineid = uuid.uuid4().hex
        answer = get(url + "?service=WPS&request=GetCapabilities", machineid)
        assert answer.headers["X-Pavics-Node"] == node_of(url, machineid)


def test_the_proxy_stops_and_starts_at_its_address(whole_cluster):
    cluster = whole_cluster
    url = cluster.url("malleefowl")
    machineid = id_on(cluster, "node1")
    for _ in range(2):
        cluster.stop_proxy()
        with pytest.raises(requests.ConnectionError, match="refused"):
            capabilities(url)
        assert capabilities(cluster.node_url("node1", "malleefowl")).ok
        cluster.start_proxy()
        assert node_of(url, machineid) == "node1"
    with pytest.raises(ClusterError, match="running already"):
        cluster.start_proxy()


def test_a_reload_is_in_force_when_it_returns(whole_cluster):
    cluster = whole_cluster
    url = cluster.url("malleefowl")
    for turn in range(6):
        only = f"node{turn % 3 + 1}"
        cluster.reload(servers=[only])
        assert {node_of(url, uuid.uuid4().hex) for _ in range(4)} == {only}
    cluster.reload(servers={"malleefowl": ["node1", "node2 weight=9", "node3 down"]})
    assert {node_of(url, uuid.uuid4().hex) for _ in range(12)} <= {"node1", "node2"}


def test_a_request_in_flight_survives_a_reload(whole_cluster):
    cluster = whole_cluster
    url = cluster.url("malleefowl")
    job = execute(
        url,
        "sleep",
        [("delay", "1")],
        machineid="a",
        output=[("sleep_output", False)],
        mode="async",
    )
    cluster.reload(parameters="max_fails=0")
    assert poll(job, "a").isSucceded()


def test_a_configuration_that_nginx_refuses_changes_nothing(whole_cluster):
    cluster = whole_cluster
    before = cluster.topology
    with pytest.raises(ClusterError, match='unknown directive "hsah"'):
        cluster.reload(directive="hsah $http_machineid;")
    with pytest.raises(UnknownNode, match="node9"):
        cluster.reload(servers=["node1", "node9"])
    assert cluster.topology == before
    cluster.reload()
    assert capabilities(cluster.url("malleefowl")).ok


def test_a_node_joins(make_cluster):
    cluster = make_cluster(1, proxy="nginx")
    assert cluster.add_node() == "node2"
    url = cluster.url("flyingpigeon")
    assert {node_of(url, uuid.uuid4().hex) for _ in range(12)} == {"node1", "node2"}
    assert cluster.add_node(reload=False) == "node3"
    assert [node.name for node in cluster.topology.nodes] == ["node1", "node2"]
    assert node_of(cluster.node_url("node3", "flyingpigeon"), None) == "node3"
    cluster.reload(servers=["node3", "node1"])
    assert {node_of(url, uuid.uuid4().hex) for _ in range(12)} == {"node1", "node3"}


def test_the_topology_describes_what_nginx_does(make_cluster):
    cluster = make_cluster(
        3,
        proxy="nginx",
        weights={"node3": 4},
        upstreams={
            "flyingpigeon": Upstream(
                "hash $http_machineid consistent;", ("node2", "node1", "node3")
            )
        },
    )
    topology = cluster.topology
    for service in cluster.services:
        for _ in range(8):
            machineid = uuid.uuid4().hex
            predicted = next(topology.order(topology.service(service), machineid))
            assert node_of(cluster.url(service), machineid) == predicted


def test_the_topology_survives_a_file(cluster, tmp_path):
    path = cluster.dump_topology(tmp_path / "topology.toml")
    assert Topology.load(path) == cluster.topology
    assert path.read_text() == cluster.topology_toml()


def test_nodes_can_announce_themselves(make_cluster):
    cluster = make_cluster(1, proxy="none", announce="node")
    url = cluster.node_url("node1", "flyingpigeon")
    output = reference(execute(url, "produce", [("megabytes", "0.1")]))
    assert output.startswith(url.removesuffix("wps") + "outputs/")
    assert get(output).ok


def test_files_written_elsewhere_can_configure_nginx(make_cluster, tmp_path):
    def write(topology):
        service = topology.service("malleefowl")
        conf = tmp_path / "config" / "proxy" / "conf.d"
        conf.mkdir(parents=True, exist_ok=True)
        servers = "".join(f"server {b.address};" for b in topology.backends(service))
        (conf / "malleefowl.conf").write_text(
            "upstream m { hash $http_machineid; " + servers + " }\n"
            "server { listen " + str(service.listen) + ";"
            " location / { proxy_pass http://m; add_header X-Whose theirs; } }\n"
        )
        (conf.parent / "nginx.conf").write_text(
            "user nginx;\nworker_processes 2;\npid /var/run/nginx.pid;\n"
            "error_log /var/log/nginx/error.log warn;\n"
            "events { worker_connections 512; }\n"
            "http {\n  include /etc/nginx/mime.types;\n  access_log /var/log/nginx/access.log;\n"
            "  include /etc/nginx/conf.d/*.conf;\n}\n"
        )
        return tmp_path

    cluster = make_cluster(2, proxy="nginx", services=["malleefowl"], proxy_config=write)
    answer = capabilities(cluster.url("malleefowl"), headers={"machineid": "a"})
    assert answer.headers["X-Whose"] == "theirs"
    [seen] = cluster.proxy_requests(machineid="a")
    assert seen.node == cluster.requests(machineid="a")[0].node
    cluster.reload(proxy_config=None)
    cluster.add_node()
    machineids = [uuid.uuid4().hex for _ in range(16)]
    assert "node3" in {node_of(cluster.url("malleefowl"), i) for i in machineids}


def test_a_busy_backend_queues_and_then_refuses(make_cluster):
    cluster = make_cluster(
        1, proxy="none", services=["malleefowl"], parallelprocesses=1, maxprocesses=1
    )
    url = cluster.node_url("node1", "malleefowl")
    wanted = {"output": [("sleep_output", False)], "mode": "async"}
    for _ in range(2):
        assert not errors(execute(url, "sleep", [("delay", "20")], **wanted))
        time.sleep(0.3)
    assert "Maximum number of processes in queue" in errors(
        execute(url, "sleep", [("delay", "20")], **wanted)
    )


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"nodes": 0}, ClusterError, "expected 1 to"),
        ({"proxy": "apache"}, ClusterError, "expected 'auto', 'nginx' or 'none'"),
        ({"upstreams": {"finch": Upstream()}}, UnknownService, "finch"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(wrong, error, message):
    with pytest.raises(error, match=message):
        LocalCluster(**wrong)


def test_unknown_names_are_refused(cluster_no_proxy):
    cluster = cluster_no_proxy
    for wrong in (cluster.kill, cluster.pause, cluster.requests, cluster.cache):
        with pytest.raises(UnknownNode, match="node9"):
            wrong("node9")
    with pytest.raises(UnknownService, match="finch"):
        cluster.url("finch")
    with pytest.raises(ClusterError, match="running already"):
        cluster.start("node1")
    with pytest.raises(ClusterError, match="no proxy"):
        cluster.stop_proxy()


def test_without_a_proxy_nothing_answers_at_the_public_url(cluster_no_proxy):
    with pytest.raises(requests.ConnectionError, match="refused"):
        capabilities(cluster_no_proxy.url("malleefowl"))


def test_before_the_start_a_cluster_says_so():
    with pytest.raises(ClusterError, match="not running"):
        LocalCluster().url("malleefowl")
