"""Fail if a process still belongs to a run: its directory is in its command, folder or environment.

usage: leftovers.py DIRECTORY
"""

import os
import sys
import time

import psutil

PATIENCE = 10.0  # seconds; a program that is stopping may take a moment


def left_over(directory: str) -> list[str]:
    """Describe the processes, this one excepted, that belong to the directory."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            traces = [*command, process.cwd(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(directory in trace for trace in traces):
            found.append(f"{process.pid} {' '.join(command)}")
    return found


def main() -> None:
    """Wait a little for the last ones, then name those that stay."""
    deadline = time.monotonic() + PATIENCE
    while (found := left_over(sys.argv[1])) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in found:
        print(f"left running: {process}", file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
