"""The four clocks of an attempt."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an attempt may take, in seconds, each more than 0.

    Comments, pings and empty deltas reset none of these clocks.

    Args:
        connect: to have a connection; 5 s, as the official OpenAI and Anthropic clients.
        first_event: from sending to the first meaningful event of a stream (text, tool call, end); 60 s.
        gap: between two meaningful events of a stream; 60 s.
        total: for the whole attempt; 600 s, as the official clients. A complete reply has only this one.

    Raises:
        ValueError: if one is not a positive number, or a part is longer than the whole.
    """

    connect: float = 5.0
    first_event: float = 60.0
    gap: float = 60.0
    total: float = 600.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise ValueError(f"Timeouts({item.name}=...) must be a positive number of seconds, not {value!r}")
            if item.name != "total" and value > self.total:
                raise ValueError(
                    f"Timeouts({item.name}={value:g}) is longer than total={self.total:g}: "
                    f"a part cannot take longer than the whole"
                )

    def first(self, stream: bool) -> float:
        """Seconds until something meaningful must be in hand: the first event, or the whole complete reply."""
        return self.first_event if stream else self.total
