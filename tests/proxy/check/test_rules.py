"""Every rule has its section in the manual, whose examples do what they say."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pavics_affinity.proxy.check import RULES, SEVERITIES, check

PAGE = Path(__file__).parents[3] / "docs" / "operators" / "check.md"
SECTION = re.compile(r"^### (?P<rule>\S+)\n(?P<text>.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```(\w+)\n# ([a-z ]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = {"nodes.example.org": ["10.0.0.1", "10.0.0.2"]}
UPSTREAM = """\
upstream finch {
  hash $http_machineid;
  server 10.0.0.1:8093;
  server 10.0.0.2:8093;
}
"""
SERVER = "server {{ listen {port}; location / {{ proxy_pass http://{name}; }} }}\n"
WITHOUT_FIXED = {"edited"}


@dataclass(frozen=True)
class Example:
    rule: str
    kind: str
    which: str
    text: str


def examples():
    return [
        Example(section["rule"], kind, which, text)
        for section in SECTION.finditer(PAGE.read_text())
        for kind, which, text in FENCE.findall(section["text"])
    ]


def the_files():
    return next(text for _, which, text in FENCE.findall(PAGE.read_text()) if which == "the files")


def whole(snippet, rule):
    """Put what an example leaves out around it."""
    if rule == "no-upstream":
        return snippet
    if not re.search(r"(?m)^upstream ", snippet):
        snippet = UPSTREAM + snippet
    if "server {" not in snippet:
        for number, name in enumerate(re.findall(r"(?m)^upstream (\w+)", snippet)):
            snippet += SERVER.format(port=8093 + number, name=name)
    return snippet


def rules_found(directory, example):
    nginx, more, options = directory / "finch.conf", [], {}
    if example.kind in ("nginx", "text"):
        nginx.write_text(whole(example.text, example.rule))
    elif example.kind == "yaml":
        nginx.write_text(whole("", example.rule))
        more = [directory / "docker-compose.yml"]
        more[0].write_text(example.text)
    else:
        nginx.write_text(the_files())
        options["topology"] = directory / "site.toml"
        options["topology"].write_text(example.text)
    found = check(nginx, *more, resolve=lambda name: NAMES.get(name, []), **options)
    return {each.rule for each in found}


def test_each_rule_has_its_section_below_the_heading_that_it_names():
    heading, found = "", []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("### "):
            found.append((line.removeprefix("### "), heading))
    assert found == [(rule.id, rule.section) for rule in RULES.values()]


def test_the_list_of_all_rules_is_the_table_of_the_code():
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| [")]
    assert rows == [
        f"| [{rule.id}](#{rule.id}) | {', '.join(rule.severities)} | {rule.summary} |"
        for rule in RULES.values()
    ]


@pytest.mark.parametrize(
    "section", list(SECTION.finditer(PAGE.read_text())), ids=lambda section: section["rule"]
)
def test_a_section_begins_with_the_severities_of_its_rule(section):
    said = re.match(r"\n\*(.+?)\*", section["text"], re.DOTALL)[1].lower()
    rule = RULES[section["rule"]]
    assert said.startswith(rule.severity)
    named = {severity for severity in SEVERITIES if re.search(rf"\b{severity}\b", said)}
    assert named == set(rule.severities)


@pytest.mark.parametrize("rule", list(RULES))
def test_a_rule_has_an_example_that_breaks_it_and_one_that_does_not(rule):
    shown = [example.which for example in examples() if example.rule == rule]
    assert shown == ["breaks"] if rule in WITHOUT_FIXED else ["breaks", "fixed"]


@pytest.mark.parametrize("example", examples(), ids=lambda each: f"{each.rule}-{each.which}")
def test_an_example_does_what_it_says(tmp_path, example):
    found = rules_found(tmp_path, example)
    assert (example.rule in found) == (example.which == "breaks"), found
