"""What conftest holds for every test, it holds."""

from __future__ import annotations

import socket

import pytest
import requests

from support import by_hand, live_site
from support.loopback import Server
from support.needs import CLUSTER, PROGRAM, uses
from support.network import NetworkUsed, is_loopback


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "::ffff:192.0.2.1"])
def test_a_connection_elsewhere_is_refused_and_noted(network, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as sock, pytest.raises(NetworkUsed, match="Only loopback"):
        sock.connect((address, 80))
    assert len(network.refused) == 1
    network.refused.clear()


def test_a_client_that_handles_errors_of_connections_does_not_hide_it(network):
    with pytest.raises(NetworkUsed, match="test_a_client_that_handles"):
        requests.get("http://192.0.2.1/", timeout=1)
    network.refused.clear()


def test_a_name_is_not_looked_up():
    with pytest.raises(requests.ConnectionError, match="not known"):
        requests.get("http://proxy.example/", timeout=1)


def test_loopback_is_reached():
    with Server("127.0.0.2") as server:
        assert requests.get(server.url(), timeout=10).text == "ok"


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "127.1", "::1", "::ffff:127.0.0.1"])
def test_the_forms_of_loopback_are_known(host):
    assert is_loopback(host)


@pytest.mark.filterwarnings("default")
def test_a_warning_is_an_error(pytestconfig):
    assert pytestconfig.getini("filterwarnings")[0] == "error"


def test_what_a_test_calls_is_followed_to_what_it_starts():
    def directly():
        from pavics_affinity.testing import LocalCluster

        return LocalCluster

    def through_a_helper():
        return live_site.running

    def through_a_class():
        return live_site.RealNginx

    def through_an_import_inside():
        from support.live_site import running

        return running

    def neither():
        return by_hand

    assert uses(directly, CLUSTER)
    assert uses(through_a_helper, CLUSTER)
    assert uses(through_a_class, CLUSTER)
    assert uses(through_an_import_inside, CLUSTER)
    assert uses(lambda: "with LocalCluster(2): pass", CLUSTER)
    assert uses(live_site.RealNginx.test, PROGRAM)
    assert not uses(neither, CLUSTER)


@pytest.mark.parametrize("named", ["whole_cluster"])
def test_a_parameter_that_names_a_fixture_is_followed_as_well(request, named):
    assert request.node.get_closest_marker("cluster")
