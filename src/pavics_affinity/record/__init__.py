"""What a workflow did: each request, and each step of its chain, in bounded memory."""

from .requests import LOGGER, NodeKnown, Record, Request, current_operation, operation
from .steps import Step, Steps, StepState

__all__ = [
    "LOGGER",
    "NodeKnown",
    "Record",
    "Request",
    "Step",
    "StepState",
    "Steps",
    "current_operation",
    "operation",
]
