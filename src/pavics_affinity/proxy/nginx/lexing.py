"""Split an nginx file into words; a block of Lua, or a mark of a template, is one word."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, NamedTuple

Kind = Literal["word", "quoted", "mark", "{", "}", ";"]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
# Byte order marks count as blank where a directive may begin.
_BLANK_BEFORE = re.compile(r"(?:[ \t\r\n\ufeff]+|#[^\n]*)*")
# The marks of a template can contain quotes.
_QUOTED = re.compile(
    r""""(?:\{\{[^\n{}]*\}\}|\\.|[^"\\])*+"|'(?:\{\{[^\n{}]*\}\}|\\.|[^'\\])*+'""", re.DOTALL
)
# A backslash keeps what follows it, and ${NAME} is one piece.
_PLAIN = re.compile(r"(?:\\.|\$\{[^}\s]*\}?|[^ \t\r\n;{}\\])+", re.DOTALL)
_LUA_BLOCK = re.compile(r"\w+_by_lua_block")
_LUA = re.compile(
    r"""(?:--)?\[(?P<level>=*)\[|--[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[{}]""", re.DOTALL
)
# Jinja and its like, Go, ERB.
_MARKS = {"{{": "}}", "{%": "%}", "{#": "#}", "<%": "%>"}
# These may share a line with other words; a value such as {{ name }} may be a directive's name.
_CONTROL = re.compile(
    r"\{[%#]|<%|\{\{-?\s*(?:/\*|\$\w+\s*:?=|(?:if|else|end|range|with|define|template|block)\b)"
)
_VARIABLE = re.compile(r"\$(?:\{\w[^}\s]*\}|\w+)")
_ENDS_THE_LINE = re.compile(r"[ \t]*(?:(?:\$\{?\w+\}?|\{\{[^{}\n]*\}\})[ \t]*)*(?=[\r\n#}]|\Z)")


class Word(NamedTuple):
    """One word of a file, without quotes, and the line on which it begins, from 1.

    A ``"mark"`` is a placeholder of a template for whole directives.
    """

    text: str
    line: int
    kind: Kind


class Problem(Exception):
    """Why nginx refuses a file, and the line; None if the file ends too soon."""

    def __init__(self, reason: str, line: int | None) -> None:
        super().__init__(reason)
        self.line = line


def has_marks(text: str) -> bool:
    """Return whether a text is a template of Jinja, Go or the like."""
    with suppress(Problem):
        return any(
            (word.kind == "mark" and word.text.startswith(tuple(_MARKS)))
            or (word.kind == "word" and any(mark in word.text for mark in ("{{", "{%", "<%")))
            for word in words_in(text)
        )
    return False


def words_in(text: str) -> Iterator[Word]:
    """Yield the words of a text, without comments and byte order marks.

    Raises `Problem` if a quote, or a block of Lua, does not end.
    """
    return _Lexer(text).words()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.ends = [found.start() for found in re.finditer("\n", text)]
        self.begins = True  # a directive, that is
        self.lua = False
        self.last: dict[str, int] = {}

    def words(self) -> Iterator[Word]:
        while self._skip():
            line = bisect_left(self.ends, self.at) + 1
            character = self.text[self.at]
            if self.begins and (mark := self._whole_mark()):
                self.at += len(mark)
                yield Word(mark, line, "mark")
            elif character in "{};" and not self._mark_at(self.at):
                yield from self._special(character, line)
            else:
                is_quoted = character in "\"'"
                text = self._quoted() if is_quoted else self._plain()
                self.lua |= self.begins and _LUA_BLOCK.fullmatch(text) is not None
                self.begins = False
                yield Word(text, line, "quoted" if is_quoted else "word")

    def _skip(self) -> bool:
        """Skip space and comments; return whether anything is left."""
        found = (_BLANK_BEFORE if self.begins else _BLANK).match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.at < len(self.text)

    def _special(self, character: str, line: int) -> Iterator[Word]:
        self.at += 1
        if character == "{" and self.lua:
            yield Word(self._lua_body(line), line, "quoted")
            character = ";"
        self.begins, self.lua = True, False
        yield Word(character, line, character)  # type: ignore[arg-type] # one of the three

    def _quoted(self) -> str:
        found = _QUOTED.match(self.text, self.at)
        if found is None:
            raise Problem("the file ends in the middle of a directive", None)
        self.at = found.end()
        quote = found[0][0]
        return found[0][1:-1].replace("\\" + quote, quote)

    def _plain(self) -> str:
        start = self.at
        while self.at < len(self.text):
            found = _PLAIN.match(self.text, self.at)
            if found is not None:
                # The marks of ERB begin with an ordinary character.
                erb = self.text.find("<%", self.at, found.end())
                self.at = found.end() if erb < 0 or not self._mark_at(erb) else erb
            mark = self._mark_at(self.at)
            self.at += len(mark)
            if found is None and not mark:
                break
        if self.at == start:
            self.at += 1  # a backslash at the very end
        return self.text[start : self.at]

    def _mark_at(self, at: int) -> str:
        """Return the template's mark that begins here."""
        opening = self.text[at : at + 2]
        if opening not in _MARKS or (opening == "{#" and not self.begins):
            return ""
        end = self._find(_MARKS[opening], at + 2)
        return "" if end < 0 else self.text[at : end + 2]

    def _whole_mark(self) -> str:
        """Return the mark here if it stands for whole directives, or steers the template."""
        mark = self._mark_at(self.at)
        if mark and _CONTROL.match(mark):
            return mark
        if not mark:
            found = _VARIABLE.match(self.text, self.at)
            mark = found[0] if found else ""
        return mark if mark and _ENDS_THE_LINE.match(self.text, self.at + len(mark)) else ""

    def _lua_body(self, line: int) -> str:
        start = at = self.at
        depth = 1
        while found := _LUA.search(self.text, at):
            at = found.end()
            if found["level"] is not None:  # a long string, or a comment
                end = self._find(f"]{found['level']}]", at)
                at = at if end < 0 else end + len(found["level"]) + 2
            depth += {"{": 1, "}": -1}.get(found[0], 0)
            if depth == 0:
                self.at = at
                return self.text[start : found.start()]
        raise Problem("the file ends in the middle of a block of Lua", line)

    def _find(self, text: str, at: int) -> int:
        """Find a text after a position; search only once for a text that does not occur."""
        if text not in self.last:
            self.last[text] = self.text.rfind(text)
        return self.text.find(text, at) if at <= self.last[text] else -1
