"""What users import from the package, and nothing else."""

import inspect
import subprocess
import sys
import types

import pytest

import pavics_affinity

PUBLIC = [
    "Backend",
    "NginxConsistentHash",
    "NginxHash",
    "Node",
    "Rendezvous",
    "Service",
    "Topology",
    "WebProcessingService",
    "Workflow",
    "current_workflow",
    "derive_machineid",
    "discover",
    "map_workflows",
    "mint_machineid",
    "pin_session",
    "read_nginx",
]

RETURNED = ["Box", "Download", "Execution", "GdalEnv", "Job", "Output", "Processes", "Results"]
"""What calls of a workflow return, for annotations; not in ``__all__``."""


def test_all_is_what_was_promised():
    assert sorted(pavics_affinity.__all__) == PUBLIC


def test_all_is_sorted():
    assert list(pavics_affinity.__all__) == sorted(pavics_affinity.__all__)


@pytest.mark.parametrize("name", [*PUBLIC, *RETURNED])
def test_each_name_is_there_and_documented(name):
    thing = getattr(pavics_affinity, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    assert inspect.getdoc(thing)


def test_dir_shows_each_name():
    assert {*PUBLIC, "WPSClient"} <= set(dir(pavics_affinity))


def test_the_drop_in_for_birdys_client_is_there():
    birdy = pytest.importorskip("birdy")
    assert issubclass(pavics_affinity.WPSClient, birdy.WPSClient)
    assert inspect.getdoc(pavics_affinity.WPSClient)


def test_without_birdy_only_the_use_of_its_drop_in_fails():
    code = """
import sys
sys.modules["birdy"] = None
import pavics_affinity
from pavics_affinity import *
assert "WPSClient" not in dir(pavics_affinity)
try:
    from pavics_affinity import WPSClient
except pavics_affinity.errors.MissingExtra as error:
    assert "pip install 'pavics-affinity[birdy]'" in str(error), error
else:
    raise AssertionError("it is there")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_star_import_brings_exactly_these():
    namespace: dict[str, object] = {}
    exec("from pavics_affinity import *", namespace)
    namespace.pop("__builtins__")
    assert sorted(namespace) == PUBLIC


def test_no_other_name_looks_public():
    others = {
        name
        for name, value in vars(pavics_affinity).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert others - {*PUBLIC, *RETURNED, "WPSClient"} - {"annotations"} == set()


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="WorkFlow"):
        pavics_affinity.WorkFlow  # noqa: B018  # the access is the test
