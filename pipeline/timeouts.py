"""The four clocks of an attempt."""

from __future__ import annotations

from dataclasses import dataclass, fields

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True, init=False)
class Timeouts:
    """How long an attempt may take, in seconds, each more than 0.

    Comments, pings and empty deltas reset none of these clocks. Resolving the name of a host cannot be interrupted:
    where that takes longer, the clocks are looked at when it returns.

    Args:
        connect: to have a connection; 5 s unless given, as the official OpenAI and Anthropic clients.
        first_event: from sending to the first meaningful event of a stream (text, tool call, end); 60 s unless given.
        gap: between two meaningful events of a stream; 60 s unless given.
        total: for the whole attempt; 600 s, as the official clients. A complete reply has only this one.
            A part that is not given is no longer than the whole.

    Raises:
        ValueError: if one is not a positive number, or a part is longer than the whole.
    """

    connect: float
    first_event: float
    gap: float
    total: float

    def __init__(
        self,
        connect: float | None = None,
        first_event: float | None = None,
        gap: float | None = None,
        total: float = 600.0,
    ) -> None:
        put = object.__setattr__
        put(self, "total", total)
        for name, given, usual in (("connect", connect, 5.0), ("first_event", first_event, 60.0), ("gap", gap, 60.0)):
            put(self, name, given if given is not None else usual)
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
                raise ValueError(f"Timeouts({item.name}=...) must be a positive number of seconds, not {value!r}")
        for name, given in (("connect", connect), ("first_event", first_event), ("gap", gap)):
            if given is None:
                put(self, name, min(getattr(self, name), total))
            elif given > total:
                raise ValueError(
                    f"Timeouts({name}={given:g}) is longer than total={total:g}: "
                    f"a part cannot take longer than the whole"
                )

    def first(self, stream: bool) -> float:
        """Seconds until something meaningful must be in hand: the first event, or the whole complete reply."""
        return self.first_event if stream else self.total
