"""What holds for every test: only loopback, markers by what a test starts, shared clusters."""

import gc
import signal
from pathlib import Path

import pytest
import trustme
from hypothesis import HealthCheck, settings

from pavics_affinity.errors import MANUAL, AffinityError
from support.clock import Clock
from support.loopback import Server
from support.needs import CLUSTER, PROGRAM, needs
from support.network import LoopbackOnly
from support.scriptedwps import ScriptedWPS

# Examples are never too slow: the machine may be busy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

TESTS = Path(__file__).parent
SLOW = (  # large documents, thousands of inputs, or faults that are waited for
    "clients/ogcapi/test_definitions.py",
    "clients/test_limits.py",
    "clients/test_own_urls.py",
    "faults/",
    "fuzz/",
    "proxy/test_hostile_files.py",
    "test_hostile_servers.py",
    "test_mutated_documents.py",
)


def pytest_collection_modifyitems(items):
    """Mark the tests that start nodes or an nginx, and those that take seconds."""
    for item in items:
        starts_cluster, starts_program = needs(item, CLUSTER, PROGRAM)
        if starts_cluster:
            item.add_marker(pytest.mark.cluster)
        if starts_program or is_slow(item):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish():
    """Keep the collected tests out of the garbage collector's rounds: they stay to the end."""
    gc.freeze()


def is_slow(item):
    """Whether a test is listed, or a property tried with more examples than usual."""
    examples = getattr(getattr(item, "function", None), "_hypothesis_internal_use_settings", None)
    many = examples is not None and examples.max_examples > settings.default.max_examples
    return many or item.path.relative_to(TESTS).as_posix().startswith(SLOW)


@pytest.fixture(scope="session")
def network():
    with pytest.MonkeyPatch.context() as patch:
        yield LoopbackOnly(patch)


@pytest.fixture(autouse=True)
def only_loopback_is_reached(network):
    """Fail where something tried to leave, even if the error was handled."""
    network.refused.clear()
    yield
    assert network.refused == [], "connections to other hosts"


@pytest.fixture(scope="session", autouse=True)
def no_message_contains_that_of_another_error_with_its_url():
    """Fail where the manual's URL is in the middle of a message: `.message` is without it."""
    make = AffinityError.__init__

    def make_and_look(self, message, **known):
        assert MANUAL not in message, message
        make(self, message, **known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AffinityError, "__init__", make_and_look)
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """Hear Ctrl-C, which tests press: a shell's background job begins with a deaf ear to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def no_waiting(monkeypatch):
    """Let pauses between attempts and questions pass at once, by a clock that they move."""
    clock = Clock()
    clock.times_waits(monkeypatch)
    return clock


@pytest.fixture
def service():
    """A WPS whose documents, and faults, a test decides."""
    with ScriptedWPS() as server:
        yield server


@pytest.fixture
def elsewhere():
    """A server at another host than that of the services."""
    with Server("127.0.0.2") as server:
        yield server


@pytest.fixture(scope="session")
def authority():
    """An authority that signs certificates."""
    return trustme.CA()


@pytest.fixture(scope="session")
def cluster(affinity_cluster):
    """Three nodes behind nginx. Others use it, too: leave it as it was."""
    return affinity_cluster


@pytest.fixture(scope="session")
def ogc_site(tmp_path_factory):
    """Three pygeoapi nodes behind nginx. Others use it, too: leave it as it was."""
    pytest.importorskip("pygeoapi")
    from support.live_site import nginx
    from support.oapi import OGCSite

    nginx()
    with OGCSite(tmp_path_factory.mktemp("oapi")) as site:
        yield site


@pytest.fixture(scope="session")
def broken_clusters():
    """Clusters as the last tests left them; take one of those below instead."""
    from support.repair import Broken

    with Broken() as clusters:
        yield clusters


# Kill, stop and reload these: the next test gets them repaired.


@pytest.fixture
def whole_cluster(broken_clusters):
    """Three nodes behind nginx."""
    return broken_clusters.repaired("plain")


@pytest.fixture
def cluster_with_evidence(broken_clusters):
    """Three nodes behind nginx, which names the node that answered."""
    return broken_clusters.repaired("evidence")


@pytest.fixture
def strict_cluster(broken_clusters):
    """Three nodes behind a rendered proxy."""
    return broken_clusters.repaired("strict")


@pytest.fixture
def cluster_no_proxy(broken_clusters):
    """Three nodes without a proxy."""
    return broken_clusters.repaired("direct")


@pytest.fixture
def make_cluster(make_affinity_cluster):
    """Start a cluster of the test's own."""
    return make_affinity_cluster
