"""The standard order of layers, with the reason for each place."""

from __future__ import annotations

from ..pipeline import Layer
from .breaker import CircuitBreaker
from .deadline import Deadline
from .retry import Retry
from .trace import Trace, TraceCall
from .validate import Validate

__all__ = ["standard"]


def standard(*, deadline: float = 600.0) -> list[Layer]:
    """The layers that most applications want, outside in.

    Args:
        deadline: how long a call may take in all, in seconds, more than 0.

    Returns:
        A new list, to be changed at will and given to a Stack with a router behind it.
    """
    return [
        TraceCall(),  # sees everything, so outermost
        Deadline(deadline),  # bounds everything, sleeps too
        Validate(),  # before anything is spent
        Retry(),  # a new admission for each try, so outside the breaker
        CircuitBreaker(),  # refuses before anything leaves
        Trace(),  # one span per attempt that really left, so inside the breaker
    ]
