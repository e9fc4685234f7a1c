"""The cluster serves what the deployment's manual says, as the manual says it."""

import re
import uuid

import pytest
import requests
import urllib3
import xarray

from support.by_hand import errors, execute, get, headers, node_of, reference


def test_nginx_reads_the_configuration_of_the_manual(cluster):
    text = (cluster.directory / "nginx" / "conf.d" / "flyingpigeon.conf").read_text()
    for address, name in [
        (cluster.node_url(node, "flyingpigeon"), f"HOST{number}:8093")
        for number, node in enumerate(cluster.nodes, 1)
    ]:
        text = text.replace(address.split("/")[2], name)
    text = re.sub(r"listen [\d.]+:58093", "listen 8093", text)
    assert text == (
        "upstream flyingpigeon {\n"
        "  hash $http_machineid;\n"
        "  server HOST1:8093;\n"
        "  server HOST2:8093;\n"
        "  server HOST3:8093;\n"
        "}\n"
        "server {\n"
        "  listen 8093;\n"
        "  location / { proxy_pass http://flyingpigeon; }\n"
        "}\n"
    )


def test_ids_stick_to_nodes_and_spread_over_all_of_them(cluster):
    ids = [uuid.uuid4().hex for _ in range(24)]
    url = cluster.url("malleefowl")
    first = {machineid: node_of(url, machineid) for machineid in ids}
    assert set(first.values()) == set(cluster.nodes)
    assert {machineid: node_of(url, machineid) for machineid in ids} == first


def test_the_services_keep_an_id_on_one_node(cluster):
    for _ in range(6):
        machineid = uuid.uuid4().hex
        assert len({node_of(cluster.url(name), machineid) for name in cluster.services}) == 1


def test_without_an_id_requests_go_round(cluster):
    assert {node_of(cluster.url("malleefowl"), None) for _ in range(6)} == set(cluster.nodes)


def test_a_chain_by_hand_works_with_one_id_and_fails_with_two(cluster, tmp_path):
    machineid = uuid.uuid4().hex
    download = execute(
        cluster.url("malleefowl"),
        "download",
        [("resource", cluster.sample_url)],
        machineid=machineid,
    )
    [file] = get(reference(download), machineid).json()
    box = [("lon0", "-80"), ("lon1", "-60"), ("lat0", "30"), ("lat1", "50")]
    url = cluster.url("flyingpigeon")
    subset = execute(url, "subset_bbox", [("resource", file), *box], machineid=machineid)
    (tmp_path / "subset.nc").write_bytes(get(reference(subset), machineid).content)
    with xarray.open_dataset(tmp_path / "subset.nc", decode_times=False) as found:
        assert found.sizes["longitude"] == 11
        assert found.sizes["latitude"] == 17
        assert found.air_temperature.mean() > 200

    here = node_of(url, machineid)
    other = next(i for i in map(str, range(1000)) if node_of(url, i) != here)
    astray = execute(url, "subset_bbox", [("resource", file), *box], machineid=other)
    assert "file not in the cache" in errors(astray)


def test_an_output_is_on_the_node_that_wrote_it_and_on_no_other(cluster):
    machineid = uuid.uuid4().hex
    url = cluster.url("flyingpigeon")
    made = reference(execute(url, "produce", [("megabytes", "0.01")], machineid=machineid))
    here = node_of(url, machineid)
    path = made.removeprefix(cluster.outputs_url("flyingpigeon"))
    answers = {
        node: get(cluster.node_url(node, "flyingpigeon").replace("/wps", "/outputs") + path)
        for node in cluster.nodes
    }
    assert {node for node, answer in answers.items() if answer.status_code == 200} == {here}
    assert {answers[node].status_code for node in cluster.nodes if node != here} == {404}


def test_every_header_line_is_seen_as_it_was_sent(cluster):
    one, two = uuid.uuid4().hex, uuid.uuid4().hex
    urllib3.PoolManager().request(
        "GET",
        cluster.url("malleefowl") + "?service=WPS&request=GetCapabilities",
        headers=urllib3.HTTPHeaderDict([("machineid", one), ("machineid", two)]),
    )
    [seen] = cluster.requests(machineid=one)
    assert seen.values("MachineId") == [one, two]
    assert seen.operation == "GetCapabilities"


def test_proxy_and_node_log_the_same_request(cluster):
    machineid = uuid.uuid4().hex
    execute(cluster.url("malleefowl"), "echo", [("text", "x")], machineid=machineid)
    [at_proxy] = cluster.proxy_requests(machineid=machineid)
    [at_node] = cluster.requests(machineid=machineid)
    assert (at_proxy.node, at_proxy.service) == (at_node.node, at_node.service)
    assert (at_proxy.status, at_proxy.method, at_proxy.uri) == (200, "POST", "/wps")
    assert (at_node.operation, at_node.identifier) == ("Execute", "echo")


def test_the_data_server_is_another_host_and_remembers_headers(cluster):
    url = cluster.sample_url
    assert url.split("/")[2].split(":")[0] not in cluster.topology_toml()
    token = uuid.uuid4().hex
    requests.head(url, headers={"X-Token": token} | headers("id"), timeout=30)
    [seen] = [request for request in cluster.data_requests() if request.values("x-token")]
    assert (seen.method, seen.values("machineid")) == ("HEAD", ["id"])


@pytest.mark.parametrize("service", ["malleefowl", "flyingpigeon"])
def test_capabilities_name_the_public_url(cluster, service):
    text = get(cluster.url(service) + "?service=WPS&request=GetCapabilities").text
    assert cluster.url(service) in text
    assert cluster.node_url("node1", service) not in text


def test_services_can_share_a_port_and_differ_by_path(make_cluster):
    cluster = make_cluster(2, proxy="nginx", layout="paths", evidence="X-Node")
    url, machineid = cluster.url("flyingpigeon"), uuid.uuid4().hex
    assert url.endswith("/twitcher/ows/proxy/flyingpigeon/wps")
    made = reference(execute(url, "produce", [("megabytes", "0.1")], machineid=machineid))
    assert made.startswith(cluster.outputs_url("flyingpigeon") + "/")
    answer = get(made, machineid)
    assert answer.status_code == 200
    topology = cluster.topology
    assert answer.headers["X-Node"] == next(
        topology.order(topology.service("malleefowl"), machineid)
    )
    directly = topology.to_node(made, answer.headers["X-Node"])
    assert requests.get(directly, timeout=30).content == answer.content
    assert {r.service for r in cluster.proxy_requests(machineid=machineid)} == {"flyingpigeon"}
