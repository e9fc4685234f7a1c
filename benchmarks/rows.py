"""What a benchmark gives: rows, each a figure with its spread against a target."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any

Row = dict[str, Any]
"""``what``, ``against``, ``target`` (text), ``figure``, ``spread`` (quartiles), ``unit``, and
``met``: True, False, or None where there is no target; ``note``, if there is something to say."""

SIGNS: dict[str, Callable[[float, float], bool]] = {
    "<=": lambda figure, limit: figure <= limit,
    ">=": lambda figure, limit: figure >= limit,
}


def row(
    what: str,
    against: str,
    samples: Sequence[float],
    sign: str | None = None,
    limit: float | None = None,
    *,
    unit: str = "",
    note: str = "",
) -> Row:
    """Make a row of several measurements: its figure is their median.

    Parameters
    ----------
    what, against : str
        What was measured, and beside what; ``"-"`` for nothing.
    samples : sequence of float
        One for each pair or run.
    sign : {"<=", ">="}, optional
        How the figure is held against the limit; None shows it only.
    limit : float, optional
        The target.
    unit : str
        Of figure and limit; empty for a ratio.
    note : str
        What the reader must know.
    """
    figure = median(samples)
    low, _, high = quantiles(samples, n=4) if len(samples) > 1 else (figure,) * 3
    met = None if sign is None or limit is None else SIGNS[sign](figure, limit)
    shown = f"{sign} {limit:g} {unit}".rstrip() if met is not None else "shown"
    return {
        "what": what,
        "against": against,
        "target": shown,
        "figure": rounded(figure),
        "spread": [rounded(low), rounded(high)],
        "unit": unit,
        "met": met,
        "note": note,
    }


def rounded(value: float) -> float:
    """Keep three significant digits, and never fewer than the whole number has."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")


def verdict(entry: Row) -> str:
    """Say in a word what a row's figure comes to."""
    return {True: "met", False: "**missed**", None: "shown"}[entry.get("met")]


def main(rows: Callable[[bool], list[Row]], doc: str | None) -> None:
    """Run one group by itself and print its rows."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: some seconds")
    parser.add_argument("--json", action="store_true", help="print JSON and not a table")
    options = parser.parse_args()
    measured = rows(options.quick)
    if options.json:
        print(json.dumps(measured, indent=2))
        return
    for entry in measured:
        low, high = entry["spread"]
        figure = f"{entry['figure']:g} {entry.get('unit', '')}".rstrip()
        print(
            f"{entry['what']:64} {entry['against']:34} {entry['target']:10} "
            f"{figure:>10} ({low:g} to {high:g})  {verdict(entry).strip('*')}"
        )
