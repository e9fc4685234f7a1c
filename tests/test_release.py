"""The files that describe a release agree."""

from __future__ import annotations

import json
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import pavics_affinity

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASES = [
    re.fullmatch(r"Unreleased|(\S+) \((\d{4}-\d\d-\d\d)\)", heading)
    for heading in re.findall(r"^## (.+)$", CHANGELOG, re.M)
]
"""The headings of the changelog; None for one of another form."""


def loaded(path):
    """Return a YAML file of the project as data."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def targets(command):
    """Return the targets of make that a command, or a script, calls."""
    return set(re.findall(r"^ *make ([\w-]+)", command, re.M))


# ---- the changelog ----


def test_each_release_of_the_changelog_is_named_and_dated():
    assert RELEASES
    assert None not in RELEASES, "write '## Unreleased' or '## 1.2.3 (2026-01-31)'"
    for found in RELEASES:
        if found[1]:
            date.fromisoformat(found[2])


def test_releases_stand_from_the_newest_to_the_oldest():
    assert "Unreleased" not in [found[0] for found in RELEASES[1:]]
    versions = [Version(found[1]) for found in RELEASES if found[1]]
    assert versions == sorted(set(versions), reverse=True)


def test_changes_stand_below_the_words_of_keep_a_changelog():
    kinds = re.findall(r"^### (.+)$", CHANGELOG, re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for section in re.split(r"^## .+$", CHANGELOG, flags=re.M)[1:]:
        within = re.findall(r"^### (.+)$", section, re.M)
        assert len(within) == len(set(within)), "a kind of change stands twice in one release"


def test_a_dated_release_on_top_is_this_version():
    """After the release, the next version begins under Unreleased."""
    [latest] = RELEASES[:1]
    if latest[1]:
        assert latest[1] == pavics_affinity.__version__
        assert loaded("CITATION.cff")["date-released"] == date.fromisoformat(latest[2])
    else:
        assert "date-released" not in loaded("CITATION.cff")


# ---- the version and the address of the manual ----


def test_the_copies_of_the_version_are_equal():
    assert PROJECT["dynamic"].count("version") == 1
    assert loaded("CITATION.cff")["version"] == pavics_affinity.__version__
    assert loaded("recipe/recipe.yaml")["context"]["version"] == pavics_affinity.__version__


@pytest.mark.parametrize(
    "path",
    ["CITATION.cff", "recipe/recipe.yaml", "pyproject.toml", "src/pavics_affinity/errors.py"],
)
def test_every_file_leads_to_the_same_manual(path):
    found = re.findall(r"https://[\w-]+\.readthedocs\.io/en/\w+/", (ROOT / path).read_text("utf-8"))
    assert set(found) == {PROJECT["urls"]["Documentation"]}


# ---- the conda recipe ----


def test_the_recipe_has_the_dependencies_of_the_package():
    requirements = loaded("recipe/recipe.yaml")["requirements"]
    needed = {str(Requirement(line)) for line in requirements["run"][1:]}
    assert needed == {str(Requirement(line)) for line in PROJECT["dependencies"]}
    built_by = {str(Requirement(line)) for line in requirements["host"][2:]}
    assert built_by == {str(Requirement(line)) for line in PYPROJECT["build-system"]["requires"]}


def test_the_recipe_has_the_python_and_the_command_of_the_package():
    recipe = loaded("recipe/recipe.yaml")
    assert PROJECT["requires-python"] == f">={recipe['context']['python_min']}"
    [[name, function]] = PROJECT["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [f"{name} = {function}"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]


# ---- the forge ----


def test_the_workflow_runs_what_ci_runs():
    jobs = loaded(".github/workflows/ci.yml")["jobs"]
    runs = "\n".join([*jobs["make"]["strategy"]["matrix"]["run"], jobs["test"]["steps"][-1]["run"]])
    here = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert targets(here) >= {"lint", "docs", "test", "dist"}
    assert targets(here) <= targets(runs)


def test_every_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, re.M)
    paths = [".ci/run", *(ROOT / ".github" / "workflows").glob("*.yml")]
    named = set().union(*(re.findall(r"make ([\w-]+)", (ROOT / p).read_text()) for p in paths))
    assert len(named) > 5
    assert named <= set(phony.split())


def test_the_tests_run_on_each_python_that_is_supported():
    prefix = "Programming Language :: Python :: 3."
    supported = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if c.startswith(prefix)]
    workflow = loaded(".github/workflows/ci.yml")
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == supported
    assert f"PYTHONS = {json.dumps(supported)}" in (ROOT / "noxfile.py").read_text("utf-8")


def test_the_manuals_host_installs_extras_that_exist():
    [install] = loaded(".readthedocs.yaml")["python"]["install"]
    assert set(install["extra_requirements"]) <= set(PROJECT["optional-dependencies"])


def test_each_extra_has_a_script_that_uses_it():
    """`make extras` runs them; dev, docs and all are for those who work on the library."""
    scripts = {path.stem for path in (ROOT / ".ci" / "extras").glob("*.py")}
    assert scripts == set(PROJECT["optional-dependencies"]) - {"all", "dev", "docs"}
