"""Find phrases that need a second reading; codespell and words.txt hold single words.

usage: phrases.py [FILE ...]

Without files, the whole repository is searched. A phrase is found even if a line ends inside it.
Prints a line for each phrase, with what to write instead, and then exits with 1.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yaml", ".yml", ""}

SKIPPED = {Path(__file__).name, "LICENSE"}

# A phrase, as a regular expression in which a blank is also the end of a line, and the remedy.
PHRASES = {
    r"(?<!there )(?:is|are|was|were) no (?!longer|more|less|fewer)\w+": "is not a ...",
    r"as (?:the )?[\w`.]+ ha(?:s|ve|d) it": "as X defines it, see X",
    r"in place of": "instead of",
    r"for want of": "without",
    r"once more(?! often)": "again",
    r"the look of it": "it looks like",
    r"that (?:is|are) (?-i:none)": "that is not a ...",
    r"(?:goes|go|going|gone|went) on(?! (?:to|the|a)\b)": "continue",
    r"(?:take|takes|taken|taking|took) up": "resume",
    r"(?:hand|hands|handed|handing) on": "pass on",
    r"(?:is|are|was|were|be) told(?! apart)": "receive, see",
    r"(?<!cannot )tell whether": "return whether, show whether",
    r"of which": "split the sentence",
    r"of (?:its|their|our|one's) own": "its own ...",
    r"(?:came|come|comes|became|become|becomes) of": "the result of",
    r"not concerned": "not affected",
    r"there is something in": "... already exists",
    r"what (?:is|was) the case": "a noun",
    r"(?:stand|stands|stood|standing) (?:in|at|on|there|here|beside|where)(?! for\b)": "is in",
    r"is said": "say who says it",
}

# The end of a line, also inside a comment, a text of several strings, or a notebook's cell.
BLANK = re.compile(r"""[ \t]*(?:\\n)?["']?,?\s*\n\s*(?:\#:?|[fr]{0,2}["'])?\s*|[ \t]+""")


def flat(text: str) -> tuple[str, list[int]]:
    """Return a text with single blanks, and the line of each of its characters."""
    pieces, lines, line, end = [], [], 1, 0
    for blank in BLANK.finditer(text):
        piece = text[end : blank.start()] + " "
        pieces.append(piece)
        lines += [line] * len(piece)
        line += blank.group().count("\n")
        end = blank.end()
    rest = text[end:] + " "
    return "".join([*pieces, rest]), lines + [line] * len(rest)


def findings(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line of each phrase, the phrase, and what to write instead."""
    names = re.compile(r"\bdef test_\w+")
    flattened, lines = flat(names.sub(lambda name: name.group().replace("_", " "), text))
    for phrase, instead in PHRASES.items():
        for found in re.finditer(rf"\b(?:{phrase})\b", flattened, re.IGNORECASE):
            yield lines[found.start()], found.group(), instead


def main(names: list[str]) -> int:
    """Search the files, and return the exit code."""
    if not names:
        listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)  # noqa: S607
        names = listed.stdout.splitlines()
    count = 0
    for path in map(Path, names):
        if path.suffix not in SUFFIXES or path.name in SKIPPED or "corpus" in path.parts:
            continue
        for line, phrase, instead in sorted(findings(path.read_text(encoding="utf-8"))):
            print(f"{path}:{line}: {phrase!r}: write {instead!r}")
            count += 1
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
