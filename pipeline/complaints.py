"""Complaints: what goes wrong beside a call, in an observer or at the end of a reply, is logged and breaks nothing.

`logging` is not loaded for that. As long as nobody has loaded it, nobody has asked to see what is logged.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import Logger

__all__ = ["complain", "logger", "remark"]


def logger() -> Logger:
    """The logger "mainstay", for those who have loaded `logging` anyway."""
    import logging

    found = logging.getLogger("mainstay")
    if not found.handlers:  # else Python itself would print warnings of an application that has configured no logging
        found.addHandler(logging.NullHandler())
    return found


def complain(words: str, *args: object) -> None:
    """Logs the exception that is being handled, as an error.

    Args:
        words: with a place for each of `args`, as for `logging`.
        args: no prompt, no answer, no key.
    """
    if "logging" in sys.modules:
        logger().exception(words, *args, stacklevel=2)


def remark(words: str) -> None:
    """Logs the exception that is being handled, for who looks for the details."""
    if "logging" in sys.modules:
        logger().debug(words, exc_info=True, stacklevel=2)
