"""A workflow's journal: what is needed to find its jobs again after a crash.

JSON lines, each written whole and synced to the disk before the program
continues; never rewritten. Before an Execute is sent there is a line ``sending``; its
outcome follows: ``accepted`` with the status location, ``ended``, ``refused``,
``not sent`` or ``unknown``. A ``sending`` that no line follows may have run, or not.

The file contains no credentials and no inputs; URLs are stored without user
information and without anything that looks like a token. The result of a synchronous
execution is in its answer only, so a small answer is stored, unless it repeats the
inputs. Only the owner can read the file.
"""

from .lines import Lines, check_format, checked, is_moment, is_text, read_lines
from .workflow import Contents, Journal, read

__all__ = [
    "Contents",
    "Journal",
    "Lines",
    "check_format",
    "checked",
    "is_moment",
    "is_text",
    "read",
    "read_lines",
]
