"""The list of planted faults fits the source and the tests as they are."""

from __future__ import annotations

import ast

import pytest

from faults.planted import ROOT, SOURCE
from faults.plants import PLANTS

ROOMS = {path.stem for path in (ROOT / SOURCE).iterdir() if path.name[0] not in "_."}
#: Rooms without a planted fault: texts and pictures for people, and parts that tests use.
NOT_PLANTED = {"cli", "display", "errors", "machineid", "py", "testing", "warn"}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_fault_can_be_planted_and_has_tests_that_look_for_it(plant):
    text = (ROOT / SOURCE / plant.file).read_text()
    assert text.count(plant.old) == 1
    ast.parse(text.replace(plant.old, plant.new))
    assert plant.tests
    for test in plant.tests:
        file, _, name = test.partition("[")[0].partition("::")
        tests = ast.parse((ROOT / "tests" / file).read_text()).body
        named = [each.name for each in tests if isinstance(each, ast.FunctionDef)]
        assert name in named if name else any(each.startswith("test_") for each in named)


def test_each_room_has_a_planted_fault_and_no_fault_has_the_name_of_another():
    assert {plant.file.partition("/")[0].removesuffix(".py") for plant in PLANTS} == (
        ROOMS - NOT_PLANTED
    )
    assert len({plant.name for plant in PLANTS}) == len(PLANTS)
