"""Secret: a key that cannot be printed by accident."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret:
    """Holds a key; `str`, `repr` and formatting show stars, and only `reveal()` gives it out.

    It compares and hashes by value, and pickles, because configuration has to travel.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | Secret) -> None:
        """Wraps `value`."""
        self._value: str = value.reveal() if isinstance(value, Secret) else value

    def reveal(self) -> str:
        """The key itself."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Six hexadecimal digits that tell keys apart and give nothing away; "" for an empty one."""
        from hashlib import sha256

        return sha256(self._value.encode("utf-8", "surrogatepass")).hexdigest()[:6] if self._value else ""

    def hide_in(self, text: str) -> str:
        """The text with every occurrence of the key replaced by stars."""
        return text.replace(self._value, "***") if self._value else text

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"
