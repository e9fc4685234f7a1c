"""Suggest names for a misspelt one."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Collection, Iterable

#: Most names of a server's list that are searched.
MOST_NAMES = 100_000
#: Names that difflib compares in full, and characters of each.
_COMPARED = 200
_LONGEST_NAME = 200
_LISTED = 20


def suggest(name: str, names: Iterable[str], what: str) -> str:
    """Return a sentence with similar names, or with all names if none is similar."""
    known = sorted(set(names))
    if not known:
        return f"there are no {what}s."
    import difflib

    given = str(name).casefold()[:_LONGEST_NAME]
    folded = {n.casefold(): n for n in known[:MOST_NAMES] if len(n) <= _LONGEST_NAME}
    alike = _alike(given, folded)
    # Beside a name that is a letter away, names that are half alike only distract.
    matches = difflib.get_close_matches(given, alike, n=5, cutoff=0.85)
    matches = matches or difflib.get_close_matches(given, alike, n=5, cutoff=0.5)
    if matches:
        return f"did you mean {' or '.join(repr(folded[m]) for m in matches)}?"
    listed = ", ".join(n[:_LONGEST_NAME] for n in known[:_LISTED])
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"there {'is' if len(known) == 1 else 'are'} {listed}{more}."


def _alike(name: str, names: Collection[str]) -> Collection[str]:
    """Return the names that share most pairs of letters with one, because difflib is slow."""
    if len(names) <= _COMPARED:
        return names
    pairs = set(map("".join, itertools.pairwise(name)))
    return heapq.nlargest(
        _COMPARED,
        names,
        key=lambda n: len(pairs.intersection(map("".join, itertools.pairwise(n)))) / (len(n) + 1),
    )
