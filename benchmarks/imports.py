"""What loading costs, each time in a fresh interpreter whose modules are compiled."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .measure import in_turns, ratios
from .processes import bytecode, cost_of
from .rows import Row, main, row

OURS, THEIRS = "import pavics_affinity", "import owslib.wps"
IN_USE = "from pavics_affinity import WebProcessingService, Workflow"
HELP = "pavics-affinity --help"
COMMANDS = {statement: ["-c", statement] for statement in (OURS, THEIRS, IN_USE)} | {
    HELP: ["-m", "pavics_affinity.cli", "--help"]
}


def rows(quick: bool) -> list[Row]:
    """Measure imports, and the help of the command line, beside OWSLib's import."""
    rounds = 7 if quick else 25
    walls: dict[str, list[float]] = {what: [] for what in COMMANDS}
    with bytecode() as environment:

        def loading(what: str) -> Callable[[], float]:
            def load() -> float:
                wall, used = cost_of([sys.executable, *COMMANDS[what]], environment)
                walls[what].append(wall)
                return used

            return load

        cpus = in_turns(
            {what: loading(what) for what in COMMANDS},
            rounds,
            clock=lambda load: load(),
        )
    wall = {what: took[1:] for what, took in walls.items()}  # the first compiles
    # CPU counts: what another program takes of the machine would fall on one side of a pair.
    return [
        row(f"{OURS}, CPU", THEIRS, ratios(cpus[OURS], cpus[THEIRS]), "<=", 1.10),
        row(f"{OURS}, wall clock", THEIRS, ratios(wall[OURS], wall[THEIRS])),
        row(f"{IN_USE}, CPU", THEIRS, ratios(cpus[IN_USE], cpus[THEIRS]), "<=", 1.20),
        row(f"{IN_USE}, wall clock", THEIRS, ratios(wall[IN_USE], wall[THEIRS])),
        row(f"{HELP}, CPU", THEIRS, ratios(cpus[HELP], cpus[THEIRS]), "<=", 0.5),
    ]


if __name__ == "__main__":
    main(rows, __doc__)
