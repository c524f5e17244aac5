"""Closing and AsyncClosing: what is closed at the end of a `with` or `async with` block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["AsyncClosing", "Closing"]


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


class AsyncClosing:
    """Gives an `async with` block to whatever has an `aclose()`."""

    __slots__ = ()

    async def aclose(self) -> None:
        """Frees what is held."""
        raise TypeError(f"{type(self).__name__} needs an aclose()")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
