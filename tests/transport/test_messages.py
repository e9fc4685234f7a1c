"""What the errors of requests say."""

from __future__ import annotations

import pytest

from pavics_affinity import Node, Service, Topology
from pavics_affinity.pin import Pin
from pavics_affinity.pin.policy import Fault
from pavics_affinity.topology.sources import FixedSource
from pavics_affinity.transport.messages import Attempts, error_for

URL = "http://127.0.0.1:8090/wps"


def lost_answer(proxy: str, route: str = "proxy") -> str:
    topology = Topology(
        nodes=(Node("node1", host="127.0.0.1"),),
        services=(Service("finch", url=URL, port=8093),),
        proxy=proxy,
    )
    pin = Pin("a1b2", sources=[FixedSource(topology)], route=route)
    target = pin.route(URL, execute=True)
    attempts = Attempts("a1b2", URL, target, True, 1, 0.5, 60.0, ran=True)
    fault = Fault(not_sent=False, words="the connection broke")
    return str(error_for("outcome unknown", fault, attempts))


@pytest.mark.parametrize(
    ("proxy", "route", "admitted"),
    [("plain", "proxy", True), ("strict", "proxy", False), ("plain", "direct", False)],
)
def test_an_answer_that_is_lost_behind_a_plain_proxy_proves_no_node(proxy, route, admitted):
    said = lost_answer(proxy, route)
    assert "It may have run, or not" in said
    assert ("on another node" in said) == admitted
