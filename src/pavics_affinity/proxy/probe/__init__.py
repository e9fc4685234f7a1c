"""Ask a live proxy, as a client would, whether it keeps a machineid on one node."""

from .asking import Plan, ask
from .findings import ProbeFinding
from .seen import Seen
from .verdict import Verdict, judge

__all__ = ["Plan", "ProbeFinding", "Seen", "Verdict", "ask", "judge"]
