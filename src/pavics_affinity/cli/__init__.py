"""The command line: `pavics-affinity COMMAND`. Each command is loaded when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without the extra ``cli``, say how to get it."""
    try:
        from .group import group
    except ModuleNotFoundError as missing:
        if missing.name not in {"click", "rich", "tqdm"}:
            raise
        sys.stderr.write(
            "pavics-affinity: the command line needs packages that are not installed; "
            "run: pip install 'pavics-affinity[cli]'\n"
        )
        raise SystemExit(2) from None
    group()
