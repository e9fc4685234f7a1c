"""Run a script with one line changed, and print its answer: play.py SCRIPT OLD NEW."""

import json
import sys
from pathlib import Path

path, old, new = sys.argv[1:]
source = Path(path).read_text()
assert source.count(f"{old}\n") == 1, f"{path} has not the line {old!r}"
names = {"__name__": "__main__"}
try:
    exec(compile(source.replace(old, new), path, "exec"), names)
except Exception as error:  # noqa: BLE001 - a script may raise anything
    found = {"error": f"{type(error).__name__}: {error}"}
else:
    found = {"answer": names["answer"]}
print(json.dumps(found))
