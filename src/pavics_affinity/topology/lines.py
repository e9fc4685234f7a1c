"""Lines of a TOML text: ``tomllib`` does not say where a key stands."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*\[{1,2}\s*(?P<key>[^\]]+?)\s*\]")
_WORD = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_ASSIGNMENT = re.compile(rf"\s*(?P<key>{_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^."'\s]+))\s*\.?""")


class Lines:
    """Finds the line of a key, well enough for a message.

    Tables and keys are followed line by line; what looks like one inside a
    string of several lines is taken for one.

    Parameters
    ----------
    text : str
        Valid TOML.
    """

    def __init__(self, text: str) -> None:
        # Not splitlines: TOML's lines end in a line feed only.
        self._lines = text.split("\n")

    def of(self, path: tuple[str, ...], item: str | None = None) -> int | None:
        """Return the line, from 1, of a key or of the table nearest above it.

        Parameters
        ----------
        path : tuple of str
            The key's path.
        item : str, optional
            A string in the key's value, which may fill several lines; then its line.
        """
        header: tuple[str, ...] = ()
        depth, found = 0, None
        for number, line in enumerate(self._lines, 1):
            if table := _HEADER.match(line):
                here = header = _split(table["key"])
            elif assignment := _ASSIGNMENT.match(line):
                here = header + _split(assignment["key"])
            else:
                continue
            if len(here) > depth and here == path[: len(here)]:
                depth, found = len(here), number
        if found is not None and item is not None:
            return self._line_with(item, found)
        return found

    def _line_with(self, item: str, first: int) -> int:
        for number in range(first, len(self._lines) + 1):
            line = self._lines[number - 1]
            if f'"{item}"' in line or f"'{item}'" in line:
                return number
            if number > first and _HEADER.match(line):
                break
        return first


def _split(key: str) -> tuple[str, ...]:
    return tuple(match[1] or match[2] or match[3] or "" for match in _PART.finditer(key))
