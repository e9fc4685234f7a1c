"""What a workflow did: each request, and each step of its chain, in bounded memory."""

from .call import Call, calling, current_call, following, operation
from .requests import LOGGER, NodeKnown, Record, Request, Total
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
    "following",
    "operation",
]
