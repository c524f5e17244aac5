"""Closing: what is closed at the end of a `with` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """Gives a `with` block to whatever has a `close()`."""

    __slots__ = ()

    def close(self) -> None:
        """Frees what is held."""
        raise TypeError(f"{type(self).__name__} needs a close()")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
