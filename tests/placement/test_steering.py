from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pavics_affinity.errors import (
    InvalidMachineId,
    PlacementUndetermined,
    SteeringImpossible,
)
from pavics_affinity.placement import (
    NginxConsistentHash,
    NginxHash,
    Rendezvous,
    key_for,
    name_key,
    split_key,
    steer,
)

THREE = ["127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80"]
machineids = st.text("ABCxyz019-._", min_size=1, max_size=40)
parameters = st.sampled_from(["", "weight=2", "weight=7", "down", "down weight=3"])
METHODS = [NginxHash, NginxConsistentHash]


@settings(deadline=None)
@pytest.mark.parametrize("method", METHODS)
@given(machineid=machineids, lines=st.lists(parameters, min_size=1, max_size=12), data=st.data())
def test_steering_always_lands_and_takes_the_least_key(method, machineid, lines, data):
    servers = [f"127.0.0.{i + 2}:80 {line}" for i, line in enumerate(lines)]
    placement = method(servers)
    target = data.draw(st.sampled_from(placement.addresses))
    index = placement.addresses.index(target)
    if "down" in lines[index]:
        with pytest.raises(SteeringImpossible, match="marked down"):
            steer(placement, machineid, target)
        return
    key = steer(placement, machineid, target)
    assert placement.place(key) == target
    bare, suffix = split_key(key)
    assert bare == machineid
    for k in range(int(suffix or 0)):
        lesser = machineid if k == 0 else f"{machineid}~{k}"
        with contextlib.suppress(PlacementUndetermined):
            assert placement.place(lesser) != target


@given(machineid=machineids, target=st.sampled_from(["node1", "node2", "node3"]))
def test_steering_lands_on_rendezvous_nodes_too(machineid, target):
    placement = Rendezvous({"node1": 1, "node2": 2, "node3": 0.3})
    key = steer(placement, machineid, target)
    assert placement.place(key) == target


@pytest.mark.parametrize("method", METHODS)
def test_every_one_of_a_hundred_servers_can_be_reached(method):
    placement = method([f"127.0.1.{i}:80" for i in range(1, 101)])
    for address in placement.addresses:
        assert placement.place(steer(placement, "a1b2", address)) == address


@pytest.mark.parametrize("method", METHODS)
class TestWhatCannotBeSteered:
    def test_a_server_that_is_not_there(self, method):
        with pytest.raises(SteeringImpossible, match=r"not among the servers: 127\.0\.0\.2:80"):
            steer(method(THREE), "a1b2", "127.0.0.9:80")

    def test_a_server_that_is_down(self, method):
        with pytest.raises(SteeringImpossible, match="marked down") as error:
            steer(method([*THREE, "127.0.0.5:80 down"]), "a1b2", "127.0.0.5:80")
        assert error.value.machineid == "a1b2"
        assert error.value.node == "127.0.0.5:80"

    def test_a_backup(self, method):
        with pytest.raises(SteeringImpossible, match="backup"):
            steer(method([*THREE, "127.0.0.5:80 backup"]), "a1b2", "127.0.0.5:80")

    def test_a_name_that_does_not_resolve(self, method):
        with pytest.raises(SteeringImpossible, match="not among the servers"):
            steer(method(["node1.example.test:80"]), "a1b2", "127.0.0.2:80")

    def test_a_key_with_the_uri(self, method):
        with pytest.raises(SteeringImpossible, match=r"\$request_uri"):
            steer(method(THREE), "a", THREE[0], directive="hash $http_machineid$request_uri;")

    @pytest.mark.parametrize("key", ["fixed", "$http_machineid$http_machineid"])
    def test_a_key_that_does_not_hold_the_id_once(self, method, key):
        with pytest.raises(SteeringImpossible, match="once"):
            steer(method(THREE), "a", THREE[0], directive=f"hash {key};")

    def test_a_key_with_an_unknown_variable(self, method):
        with pytest.raises(PlacementUndetermined, match=r"\$remote_addr"):
            steer(method(THREE), "a", THREE[0], directive="hash $remote_addr$http_machineid;")


@pytest.mark.parametrize("method", METHODS)
def test_a_backup_is_reached_where_all_others_are_down(method):
    placement = method(["127.0.0.2:80 down", "127.0.0.3:80 down", "127.0.0.4:80 backup"])
    assert steer(placement, "a1b2", "127.0.0.4:80") == "a1b2"


def test_one_address_of_a_name_with_several_cannot_be_reached_under_consistent():
    placement = NginxConsistentHash(
        ["n.example.test:80", "127.0.0.9:80"], lambda _: ["127.0.0.2", "127.0.0.3"]
    )
    with pytest.raises(SteeringImpossible, match="cannot be predicted"):
        steer(placement, "a1b2", "127.0.0.3:80")
    assert placement.place(steer(placement, "a1b2", "127.0.0.9:80")) == "127.0.0.9:80"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "directive", ["hash $host$http_machineid;", 'hash "$http_machineid/$http_host" consistent;']
)
@pytest.mark.parametrize("target", THREE)
def test_keys_with_the_host_can_be_steered(method, directive, target):
    placement = method(THREE)
    key = steer(placement, "a1b2", target, directive=directive, host="proxy.example:80")
    assert placement.place(key_for(directive, key, host="proxy.example:80")) == target


@pytest.mark.parametrize("machineid", ["", "a~1"])
def test_only_a_bare_machineid_is_steered(machineid):
    with pytest.raises(InvalidMachineId, match="suffix"):
        steer(NginxHash(THREE), machineid, THREE[0])
    with pytest.raises(InvalidMachineId, match="suffix"):
        name_key(machineid, "node1")
