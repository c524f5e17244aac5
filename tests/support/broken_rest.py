"""Layers that are wrong before any call is made, or when one is given up."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

from mainstay.pipeline import Layer, Request


@dataclasses.dataclass(frozen=True)
class Unchecked(Layer):
    """Takes any number."""

    seconds: float = 1.0
    name: str = "unchecked"

    def handle(self, request: Request) -> Any:
        return (yield request)


@dataclasses.dataclass(frozen=True)
class Nameless(Unchecked):
    """Refuses a wrong number without a word on which."""

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError("must be positive")


@dataclasses.dataclass
class Mutable(Layer):
    """Can be changed while it runs."""

    seconds: float = 1.0
    name: str = "mutable"

    def handle(self, request: Request) -> Any:
        return (yield request)


class Counting(Layer):
    """Counts calls in its configuration."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def handle(self, request: Request) -> Any:
        self.counts.append(1)
        return (yield request)


class Unpicklable(Layer):
    """Holds something that belongs to this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def handle(self, request: Request) -> Any:
        return (yield request)


class Forgetful(Layer):
    """Pickles, and is another one then."""

    def __init__(self, name: str = "forgetful") -> None:
        self.name = name

    def __reduce__(self) -> Any:
        return Forgetful, ("other",)

    def handle(self, request: Request) -> Any:
        return (yield request)


class Unclosable(Layer):
    """Wants to sleep when it is over."""

    def handle(self, request: Request) -> Any:
        try:
            return (yield request)
        except GeneratorExit:
            yield request
            raise
