"""Asks a live proxy, as a client would, whether it keeps a machineid on one node."""

from .asking import ask
from .findings import Finding
from .plan import Plan
from .seen import Seen
from .verdict import Verdict, judge

__all__ = ["Finding", "Plan", "Seen", "Verdict", "ask", "judge"]
