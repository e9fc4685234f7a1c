"""What loading costs, each time in a fresh interpreter whose modules are compiled."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .measure import in_turns, ratios
from .processes import bytecode, cost_of
from .rows import Row, main, row

OURS, THEIRS = "import pavics_affinity", "import owslib.wps"
IN_USE = "from pavics_affinity import WebProcessingService, Workflow"
HELP = [sys.executable, "-m", "pavics_affinity.cli", "--help"]


def rows(quick: bool) -> list[Row]:
    """Measure imports beside OWSLib's, and the help of the command line."""
    rounds = 7 if quick else 25
    with bytecode() as environment:

        def loading(statement: str) -> Callable[[], float]:
            return lambda: cost_of([sys.executable, "-c", statement], environment)[0]

        took = in_turns(
            {statement: loading(statement) for statement in (OURS, THEIRS, IN_USE)},
            rounds,
            clock=lambda load: load(),
        )
        cost_of(HELP, environment)
        cpu = [cost_of(HELP, environment)[1] for _ in range(rounds)]
    return [
        row(OURS, THEIRS, ratios(took[OURS], took[THEIRS]), "<=", 1.10),
        row(IN_USE, THEIRS, ratios(took[IN_USE], took[THEIRS])),
        row("pavics-affinity --help, CPU", "-", cpu, "<=", 0.35, unit="s"),
    ]


if __name__ == "__main__":
    main(rows, __doc__)
