"""The core is light: an extra is loaded by who uses it, not by who imports the package."""

import json
import subprocess
import sys

import pytest

EXTRAS = {
    # extra: the top-level modules that it brings
    "cli": {"click", "rich", "tqdm"},
    "nginx": {"crossplane"},
    "testing": {"gunicorn", "pywps", "werkzeug", "xarray", "netCDF4", "iris_sample_data", "pytest"},
    "birdy": {"birdy", "metalink"},
    "notebook": {"IPython", "ipywidgets"},
    "plot": {"matplotlib"},
    "dask": {"dask", "distributed"},
}
HEAVY = {"numpy", "pandas"}  # of no extra by themselves, but of several in the end


IN_USE = "from pavics_affinity import WebProcessingService, Workflow"
LATER = {
    # module: what it is for
    "pavics_affinity.clients.gdal": "rasterio, fiona and geopandas",
    "pavics_affinity.clients.links": "other programs",
    "pavics_affinity.clients.ogcapi": "OGC API - Processes",
    "pavics_affinity.clients.outputs.datasets": "xarray",
    "pavics_affinity.discovery.document": "a proxy that publishes a topology",
    "pavics_affinity.display": "people who look",
    "pavics_affinity.journal": "a workflow with a journal",
    "pavics_affinity.markup.cards": "people who look",
    "pavics_affinity.placement": "a site that is known",
    "pavics_affinity.resuming": "a workflow with a journal",
    "pavics_affinity.topology.model": "a site that is known",
    "pavics_affinity.topology.parts": "a site that is known",
    "concurrent.futures": "several downloads at once",
    "difflib": "a misspelt name",
    "html": "an error of a security proxy",
    "netrc": "a login in the user's file",
    "tomllib": "a topology file",
    "xml.sax": "content with elements in it",
    "yaml": "OGC API - Processes",
}


def modules_loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and name the modules that it loaded."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    return set(json.loads(finished.stdout))


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and name the top-level modules that it loaded."""
    return {name.partition(".")[0] for name in modules_loaded_by(statement)}


def extras_among(modules: set[str]) -> set[str]:
    return modules & (HEAVY | set().union(*EXTRAS.values()))


@pytest.fixture(scope="module")
def names() -> list[str]:
    import pavics_affinity

    return list(pavics_affinity.__all__)


def test_import_of_the_package_loads_nothing_else_yet():
    """Everyone's pytest and each command of the command line pay for it."""
    loaded = loaded_by("import pavics_affinity\ndir(pavics_affinity)")
    assert loaded & {"owslib", "requests", "mmh3", "lxml"} == set()


def test_a_room_is_reached_without_its_own_import():
    """As in ``except pavics_affinity.errors.AffinityLost``."""
    assert "owslib" in loaded_by("import pavics_affinity\npavics_affinity.errors.AffinityLost")


def test_import_of_the_package_loads_no_extra():
    assert extras_among(loaded_by("import pavics_affinity")) == set()


def test_import_of_every_public_name_loads_no_extra(names):
    statement = "from pavics_affinity import " + ", ".join(names)
    assert extras_among(loaded_by(statement)) == set()


def test_making_a_workflow_loads_no_extra():
    statement = "from pavics_affinity import Workflow\nwith Workflow() as wf: wf.session"
    assert extras_among(loaded_by(statement)) == set()


def test_import_for_a_first_chain_loads_nothing_that_only_some_chains_need():
    assert modules_loaded_by(IN_USE) & set(LATER) == set()


def test_import_for_a_first_chain_compiles_no_regular_expression():
    """Python compiles it when it is first used, and keeps it."""
    before = "import dataclasses, owslib.wps, re\nbefore = set(re._cache)\n"
    after = "assert set(re._cache) == before, set(re._cache) - before"
    modules_loaded_by(f"{before}{IN_USE}\n{after}")


@pytest.mark.parametrize("module", LATER)
def test_modules_listed_for_later_are_real(module):
    """Guard of the test above: a misspelt module would never be found loaded."""
    from importlib.util import find_spec

    assert find_spec(module) is not None


def test_the_core_loads_what_it_depends_on():
    """Guard of the tests above: the probe does see what is loaded."""
    loaded = loaded_by("from pavics_affinity import WebProcessingService, derive_machineid")
    assert {"requests", "owslib", "mmh3", "pavics_affinity"} <= loaded


@pytest.mark.parametrize("extra", EXTRAS)
def test_modules_listed_for_an_extra_are_real(extra):
    """Guard of the tests above: a misspelt module would never be found loaded."""
    from importlib.util import find_spec

    assert {name for name in EXTRAS[extra] if find_spec(name) is None} == set()
