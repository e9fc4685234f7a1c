"""Parse an nginx file into directives, as far as possible."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .lexing import Problem, Word, words_in

_DEEPEST = 100
TEMPLATES = (
    ".template", ".tmpl", ".tpl", ".tftpl", ".j2", ".jinja", ".jinja2", ".erb", ".mustache",
)  # fmt: skip
_MARKS = ("$", "{{", "{%", "<%")
_TABLES = ("map", "geo", "split_clients", "types", "charset_map")
_BOM = "there is a byte order mark (BOM) here, which nginx reads as part of the directive"
_BOM_AT_A_LINE = re.compile("^\ufeff", re.MULTILINE)


@dataclass
class Raw:
    """A directive; with `is_mark`, a template's placeholder for whole directives."""

    name: str
    line: int
    args: list[str] = field(default_factory=list)
    block: list[Raw] = field(default_factory=list)
    is_mark: bool = False


def decoded(content: bytes) -> tuple[str, list[Problem]]:
    """Return a file's text, and why nginx, which reads bytes, would refuse it."""
    encoding = _utf_16(content)
    if encoding:
        problem = Problem("it is encoded in UTF-16, which nginx does not read", 1)
        return content.decode(encoding, errors="replace"), [problem]
    text = content.decode(errors="replace")
    marks = [1 + text.count("\n", 0, found.start()) for found in _BOM_AT_A_LINE.finditer(text)]
    return text, [Problem(_BOM, line) for line in marks]


def _utf_16(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return {b"\0": "utf-16-be"}.get(content[:1]) or ("utf-16-le" if content[1:2] == b"\0" else "")


def parse(text: str, problems: list[Problem], *, is_template: bool) -> list[Raw]:
    """Return the directives that nginx could accept; none if the braces do not match.

    Add what nginx would refuse to `problems`. In a template, variables in arguments stand for
    other words.
    """
    parser = _Parser(problems, is_template)
    try:
        parser.parse(words_in(text))
    except Problem as bad:
        problems.append(bad)
        return []
    return parser.top


class _Parser:
    def __init__(self, problems: list[Problem], is_template: bool) -> None:
        self.problems = problems
        self.is_template = is_template
        self.top: list[Raw] = []
        self.open: list[Raw] = []
        self.words: list[Word] = []

    def parse(self, words: Iterable[Word]) -> None:
        line = 1
        for word in words:
            line = word.line
            if word.kind == "mark":
                self._inside().append(Raw(word.text, word.line, is_mark=True))
            elif word.kind in ("word", "quoted"):
                self.words.append(word)
            elif word.kind == "}":
                self._close(word)
            else:
                self._end(word)
        if self.words:
            raise Problem("the file ends in the middle of a directive", None)
        if self.open:
            raise Problem('unexpected end of file, expecting "}"', line)

    def _inside(self) -> list[Raw]:
        return self.open[-1].block if self.open else self.top

    def _end(self, word: Word) -> None:
        if not self.words:
            raise Problem(f'unexpected "{word.text}"', word.line)
        raw = Raw(self.words[0].text, self.words[0].line, [each.text for each in self.words[1:]])
        self.words = []
        if raw.name == "if":
            raw.args = list(_condition(raw.args))
        is_entry = bool(self.open) and self.open[-1].name in _TABLES
        raw.is_mark = raw.name.startswith(_MARKS) and not is_entry
        problem = self._refused(raw, word.text)
        if problem:
            self.problems.append(Problem(problem, raw.line))
        else:
            self._inside().append(raw)
        if word.kind == "{":
            self.open.append(raw)
            if len(self.open) > _DEEPEST:
                raise Problem(f"more than {_DEEPEST} blocks inside each other", word.line)

    def _close(self, word: Word) -> None:
        if self.words:
            raise Problem('a directive is not terminated by ";"', self.words[-1].line)
        if not self.open:
            raise Problem('unexpected "}"', word.line)
        self.open.pop()

    def _refused(self, raw: Raw, end: str) -> str:
        """Return why nginx refuses a directive, from crossplane's tables of their arguments."""
        from crossplane.analyzer import analyze
        from crossplane.errors import NgxParserBaseException

        if self.is_template and any("$" in word or "{" in word or "<" in word for word in raw.args):
            return ""
        statement = {"directive": raw.name, "line": raw.line, "args": raw.args}
        try:
            # A snippet is outside its context.
            analyze("", statement, end, self._context(), check_ctx=False)
        except NgxParserBaseException as bad:
            return str(bad.strerror)
        return ""

    def _context(self) -> tuple[str, ...]:
        names = tuple(raw.name for raw in self.open)
        return ("http", "location") if names[:1] == ("http",) and "location" in names else names


def _condition(words: list[str]) -> Iterator[str]:
    """Yield the words of an ``if`` without its parentheses."""
    if words and words[0].startswith("(") and words[-1].endswith(")"):
        words = [*words[:-1], words[-1][:-1]]
        words[0] = words[0][1:]
    return (word for word in words if word)
