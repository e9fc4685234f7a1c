"""A workflow's journal: a file from which its jobs can be found again after a crash.

It consists of JSON lines. Each is written whole and synced to the disk before the program
continues, and never rewritten. Before an Execute is sent, the line ``sending`` is
written; its outcome follows: ``accepted`` with the status location, ``ended``,
``refused``, ``not sent`` or ``unknown``. If no outcome follows, the Execute may or may
not have run.

The file contains no credentials and no inputs. URLs are stored without user information
and without anything that looks like a token. The result of a synchronous execution exists
only in its answer, so a small answer is stored, unless it repeats the inputs. Only the
owner can read the file.
"""

from .lines import Lines, read_lines
from .workflow import Contents, Journal, read

__all__ = ["Contents", "Journal", "Lines", "read", "read_lines"]
