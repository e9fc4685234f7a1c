"""The table of all rows, as Markdown that is never edited by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .rows import Row, verdict

_HEAD = """<!-- Written by `make bench`; not edited by hand. -->

Each figure is the median over interleaved pairs or repeated runs; in brackets the quartiles.
Without a unit it is a ratio: of times or memory, ours by the other's; of throughput, ours by
the other's, too. *times* is how many times faster ours is.
"""


def table(found: dict[str, Any]) -> str:
    """Return everything that was measured, group by group."""
    lines = [_HEAD, summary(found), "", "| of this run | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in found["machine"].items()]
    lines += [f"| minutes | {found['minutes']}{' (quick)' if found['quick'] else ''} |", ""]
    lines += ["| what | against | target | figure | verdict |", "|---|---|---|---|---|"]
    for group in found["groups"]:
        lines.append(f"| **{group['title']}** | | | | |")
        lines += map(_line, group["rows"])
    notes = [entry for group in found["groups"] for entry in group["rows"] if entry.get("note")]
    if notes:
        lines += ["", *(f"- {entry['what']}: {entry['note']}" for entry in notes)]
    return "\n".join(lines) + "\n"


def summary(found: dict[str, Any]) -> str:
    """Say in a sentence how many targets were met, and name the others."""
    rows = [entry for group in found["groups"] for entry in group["rows"]]
    counts = Counter(entry.get("met") for entry in rows)
    missed = [f"{e['what']} ({e['against']})" for e in rows if e.get("met") is False]
    words = f"{counts[True]} of {counts[True] + counts[False]} targets met."
    return f"{words} Missed: {'; '.join(missed)}." if missed else words


def _line(entry: Row) -> str:
    low, high = entry["spread"]
    unit = f" {entry['unit']}" if entry.get("unit") else ""
    shown = f"{entry['figure']:g}{unit} ({low:g} to {high:g})"
    against = "" if entry["against"] == "-" else entry["against"]
    target = entry["target"].replace("<=", "≤").replace(">=", "≥")
    return f"| {entry['what']} | {against} | {target} | {shown} | {verdict(entry)} |"
