"""What a workflow did: each request, and each step of its chain, in bounded memory."""

from .requests import (
    LOGGER,
    Call,
    NodeKnown,
    Record,
    Request,
    Total,
    calling,
    current_call,
    operation,
)
from .steps import Step, Steps, StepState

__all__ = [
    "LOGGER",
    "Call",
    "NodeKnown",
    "Record",
    "Request",
    "Step",
    "StepState",
    "Steps",
    "Total",
    "calling",
    "current_call",
    "operation",
]
