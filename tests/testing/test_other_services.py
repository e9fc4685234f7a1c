"""Services that others have made, on the nodes of a cluster."""

import pytest

from pavics_affinity import Workflow
from pavics_affinity.testing import ClusterError, LocalCluster


def test_an_application_of_others_runs_on_every_node_with_its_own_disk(make_cluster):
    cluster = make_cluster(2, services={"mine": "support.own_service:create_app"})
    with Workflow(topology=cluster.topology, node="node2") as wf:
        mine = wf.wps(cluster.url("mine"))
        shouted = mine.execute("shout", [("text", "hi")], output=[("output", True)]).wait()
        assert shouted.output("output").text() == "HI"
    [execute] = [r for r in cluster.requests() if r.operation == "Execute"]
    assert (execute.node, execute.service, execute.identifier) == ("node2", "mine", "shout")
    written = {path.parts[-5] for path in cluster.directory.glob("node*/mine/outputs/*/*")}
    assert written == {"node2"}


@pytest.mark.parametrize("factory", ["emu.wsgi", ":create_app", "emu.wsgi:", "emu.wsgi:a b"])
def test_what_names_no_function_is_refused(factory):
    with pytest.raises(ClusterError, match="is not 'module:function'"):
        LocalCluster(services={"emu": factory})


def test_a_package_that_is_not_installed_is_named():
    cluster = LocalCluster(1, services={"emu": "no_such_package.wsgi:create_app"})
    with pytest.raises(ClusterError, match=r"No module named 'no_such_package'"):
        cluster.start()


def test_what_an_application_raises_is_shown():
    cluster = LocalCluster(1, services={"mine": "support.own_service:create_nothing"})
    with pytest.raises(ClusterError, match=r"did not start: [\s\S]*no licence in "):
        cluster.start()
