"""What a workflow did: each request, and each step of its chain, in bounded memory."""

from .requests import LOGGER, NodeKnown, Record, Request, current_operation, operation
from .steps import Step, Steps, StepState
from .totals import Total

__all__ = [
    "LOGGER",
    "NodeKnown",
    "Record",
    "Request",
    "Step",
    "StepState",
    "Steps",
    "Total",
    "current_operation",
    "operation",
]
