"""Peer: what a worker asks of every stack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["MODEL", "PARAMS", "PROMPT", "Peer"]

MODEL = "gpt-4o-mini"  # a known name, so that look-ups of prices and the like take their usual way
PROMPT = "Why is the sky blue? Answer in one sentence, for a child of six."
PARAMS: dict[str, Any] = {"temperature": 0.2, "top_p": 0.9, "max_tokens": 100, "presence_penalty": 0.1}


class Peer:
    """One stack, ready to be called by any number of threads unless it says otherwise.

    Attributes:
        model: what is asked for.
        threads: how many threads may call it, 0 for any number.
        falls_back: whether it can be given a second provider.
    """

    model = MODEL
    threads = 0
    falls_back = False

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        """Builds the stack.

        Args:
            primary: the provider's URL, without a version in its path.
            backup: that of the second one; "" for none.
            timeout: seconds that one attempt may take.
        """
        self.primary, self.backup, self.timeout = primary, backup, timeout

    def ask(self) -> str:
        """One complete call; gives the text of the answer."""
        raise NotImplementedError

    def stream(self) -> Iterator[str]:
        """One streaming call; gives the pieces of the text as they arrive."""
        raise NotImplementedError

    def ask_streaming(self) -> str:
        """One streaming call; gives the text that came of it."""
        return "".join(self.stream())
