"""The command ``pavics-affinity``."""

from __future__ import annotations

import io
import sys

from .. import __version__


def main() -> None:
    """Run the command line."""
    try:
        import click  # noqa: F401 - only to see whether it is installed
    except ImportError:
        if sys.argv[1:] == ["--version"]:  # what a report of a bug begins with
            sys.stdout.write(f"pavics-affinity, version {__version__}\n")
            return
        # The larger extra at once, where the command would ask for it next.
        extra = "demo" if sys.argv[1:2] in (["demo"], ["cluster"]) else "cli"
        sys.stderr.write(
            "pavics-affinity: the command line needs packages that are not installed; "
            f"run: pip install 'pavics-affinity[{extra}]'\n"
        )
        sys.exit(2)
    from .group import group

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows a question mark.
            stream.reconfigure(errors="replace")
    group(prog_name="pavics-affinity")
