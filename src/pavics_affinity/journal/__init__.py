"""A workflow's journal: what is needed to find its jobs again after a crash.

JSON lines, each written whole and synced to the disk before the program goes
on; never rewritten. Before an Execute leaves there is a line ``sending``; what
became of it follows: ``accepted`` with the status location, ``ended``,
``refused``, ``not sent`` or ``unknown``. A ``sending`` that nothing follows may
have run, or not.

There are no credentials in it, no inputs, and of a URL neither user information
nor what looks like a token. The result of a synchronous execution is in its
answer only, so a small one is kept, without the inputs that it may repeat. The
file is readable by its owner alone.
"""

from .lines import Lines, checked, is_moment, is_text, read_lines
from .workflow import Contents, Journal, read

__all__ = [
    "Contents",
    "Journal",
    "Lines",
    "checked",
    "is_moment",
    "is_text",
    "read",
    "read_lines",
]
