"""The API reference has what can be imported, by the path from which it is imported."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

import pavics_affinity
from support.manual import DOCS

PAGES = sorted((DOCS / "api").glob("*.md"))
DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto(?:class|function|exception))::\s+(\S+)", re.M)


def documented():
    """Yield the full path of each name that a page of the reference documents."""
    for page in PAGES:
        module = ""
        for kind, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if kind == "currentmodule":
                module = name
            else:
                yield name if name.startswith("pavics_affinity.") else f"{module}.{name}"


@pytest.mark.parametrize("package", ["pavics_affinity", "pavics_affinity.testing"])
def test_each_public_name_is_in_the_reference_once(package):
    paths = list(documented())
    for name in import_module(package).__all__:
        assert paths.count(f"{package}.{name}") == 1, name


def test_each_path_can_be_imported():
    for path in documented():
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name).__doc__, path


def test_no_path_leads_into_the_rooms_behind_the_public_ones():
    internal = re.compile(r"pavics_affinity\.(clients|workflow|discovery|proxy|pin|machineid)\b")
    assert [path for path in documented() if internal.match(path)] == []


def test_what_calls_return_is_in_the_reference():
    returned = {"Execution", "Output", "Download", "Box", "Job", "Results", "Processes", "GdalEnv"}
    assert {f"pavics_affinity.{name}" for name in returned} <= set(documented())
    assert all(getattr(pavics_affinity, name) for name in returned)


def test_each_fixture_of_the_plugin_is_described():
    plugin = import_module("pavics_affinity.testing.pytest_plugin")
    fixtures = [name for name in vars(plugin) if "affinity_cluster" in name]
    assert len(fixtures) == 3
    assert all(f"``{name}``" in plugin.__doc__ for name in fixtures)
