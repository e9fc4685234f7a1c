"""Variables of templates: read from shell files such as ``env.local``, without running a shell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# A value is made of pieces: in single quotes, in double quotes, bare.
_PIECES = r"""'([^']*)'|"((?:\\.|[^"\\])*)"|([^\s'";#]+)"""
_ASSIGNMENT = re.compile(
    rf"^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=((?:{_PIECES})*)", re.MULTILINE
)
_OPEN = re.compile(r"\$\{([A-Z_][A-Z0-9_]*)\}", re.ASCII)
_REFERENCE = re.compile(
    r"\\\$|\$\{(?P<braced>[A-Za-z_]\w*)\}|\$(?P<bare>[A-Z_][A-Z0-9_]*)", re.ASCII
)
_WORD = r"""(?:"[^"]*"|'[^']*'|[^\s"'|()&]+)+"""
# $([ x"$HTTP_ONLY" = x"True" ] && echo http || echo https)
_TEST = re.compile(
    rf"""\$\(\s*\[\s+(?P<one>{_WORD})\s+(?P<operator>!?=)\s+(?P<other>{_WORD})\s+\]
    (?:\s*&&\s*echo\b\s*(?P<yes>{_WORD})?)?(?:\s*\|\|\s*echo\b\s*(?P<no>{_WORD})?)?\s*\)""",
    re.VERBOSE,
)
_DEEPEST = 20
_LONGEST = 100_000


class Environment:
    """Values of variables; the last assignment counts."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    def read(self, text: str) -> None:
        """Add the assignments of a file. Those in conditions and functions do not count."""
        for found in _ASSIGNMENT.finditer(text):
            self._assign(found[1], _value(found[2]))

    def _assign(self, name: str, value: str) -> None:
        # NAME="$NAME more" uses the value from before.
        before = self._values.get(name, "")
        text = re.sub(rf"\$(?:\{{{name}\}}|{name}\b)", lambda _: before, value)
        if len(text) <= _LONGEST:
            self._values[name] = text

    def words(self, suffix: str) -> list[str]:
        """Return the words of all variables whose name ends in a suffix, each once."""
        found = [
            self._expanded(text) for name, text in self._values.items() if name.endswith(suffix)
        ]
        return list(dict.fromkeys(word for text in found for word in (text or "").split()))

    def fill(self, text: str) -> str:
        """Replace each ``${NAME}`` whose value is known; the lines keep their numbers."""
        return _OPEN.sub(lambda found: self._in_one_line(found[1]) or found[0], text)

    def _in_one_line(self, name: str) -> str | None:
        if name not in self._values:
            return None
        text = self._expanded(self._values[name])
        if text is None:
            return None
        lines = (line.partition("#")[0] for line in text.splitlines())
        # A blank marks an empty value, which is different from a missing one.
        return " ".join(" ".join(lines).split()) or " "

    def _expanded(self, text: str, depth: int = 0) -> str | None:
        """Return a value with its references filled in; None if it takes a program."""
        if depth > _DEEPEST:
            return None
        text = _TEST.sub(lambda found: self._decided(found.groupdict(), depth), text)
        if "$(" in text or "`" in text:
            return None
        pieces: list[str] = []
        at = 0
        for found in _REFERENCE.finditer(text):
            name = found["braced"] or found["bare"]
            inner = "$" if name is None else self._referred(name, depth)
            if inner is None:
                return None
            pieces += [text[at : found.start()], inner]
            at = found.end()
        whole = "".join([*pieces, text[at:]])
        return whole if len(whole) <= _LONGEST else None

    def _referred(self, name: str, depth: int) -> str | None:
        value = self._values.get(name)
        return "${" + name + "}" if value is None else self._expanded(value, depth + 1)

    def _decided(self, test: Mapping[str, str | None], depth: int) -> str:
        sides = (_unquoted(test[side] or "") for side in ("one", "other"))
        one, other = (self._expanded(side, depth + 1) for side in sides)
        if one is None or other is None:
            return "$(unknown)"
        equal = (one == other) == (test["operator"] == "=")
        return _unquoted(test["yes" if equal else "no"] or "")


def open_names(text: str) -> Iterable[str]:
    """Return the variables in a template that have no value, each once."""
    return dict.fromkeys("${" + name + "}" for name in _OPEN.findall(text))


def _value(text: str) -> str:
    """Return the value that is written in pieces."""
    return "".join(
        single or re.sub(r'\\(["\\`\n])', r"\1", double) or bare
        for single, double, bare in re.findall(_PIECES, text)
    )


def _unquoted(word: str) -> str:
    return re.sub(r"[\"']", "", word)
