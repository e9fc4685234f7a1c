"""The extras: every one that a page or an error names exists, and each set has what it needs."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def packages(extra):
    """Return the packages of an extra, and of those that it includes."""
    found = set()
    for line in EXTRAS[extra]:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", line).groups()
        if name == "pavics-affinity":
            found |= set().union(*(packages(each) for each in inner.split(",")))
        else:
            found.add(name)
    return found


def test_every_extra_that_is_named_exists():
    texts = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.py"), ROOT / "README.md"]
    named = set()
    for path in texts:
        if "_build" not in path.parts:
            text = path.read_text(encoding="utf-8")
            named |= set(re.findall(r"pavics-affinity\[([\w,]+)\]", text))
            named |= set(re.findall(r'MissingExtra\.of\("(\w+)"', text))
    single = {each for group in named for each in group.split(",")} - {"extra"}
    assert len(single) > 5
    assert single <= set(EXTRAS)


def test_each_set_has_what_it_needs_and_the_demo_no_more():
    assert {"matplotlib", "ipywidgets", "xarray"} <= packages("notebook")
    assert packages("operator") == packages("cli") | packages("nginx")
    assert packages("testing") == packages("demo") | packages("nginx") | {"pytest"}
    assert {"pytest", "matplotlib", "crossplane"}.isdisjoint(packages("demo"))


def test_the_sdist_has_what_its_targets_need():
    patterns = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    included = [(pattern, {*ROOT.glob(pattern.removeprefix("/"))}) for pattern in patterns]
    assert [pattern for pattern, found in included if not found] == []
    names = {path.name for _, found in included for path in found}
    assert {"Makefile", "CONTRIBUTING.md", "docs", "tests", ".ci", "recipe"} <= names
