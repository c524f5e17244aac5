"""A rule: one row of the tables of errors, or one of the caller's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..pipeline import ErrorClass

__all__ = ["Rule", "checked"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: what an error means if it looks like this.

    Args:
        error_class: one of the seven classes.
        reason: a finer word, such as "context_length".
        codes: codes or types of the provider that mean exactly this, in lower case. They beat everything.
        markers: words in the provider's message, in lower case; a tuple in place of a string is several words
            that must all be there, in this order. They beat `kinds` and the status.
        kinds: types that say little more than a status does ("rate_limit_error"). They only beat the status.
        statuses: the HTTP statuses that the rule is for, 0 for "none known"; empty is any, except that the markers
            of a rule for all about the caller's fault then do not overrule a 5xx (`verdict.py`).
        hint: what a person should do; "" leaves it to the table of hints.

    Raises:
        TypeError: if codes, markers or kinds are one string in place of a tuple.
        ValueError: if one of them is not in lower case, or empty: it would fit nothing, or everything.
    """

    error_class: ErrorClass
    reason: str
    codes: tuple[str, ...] = ()
    markers: tuple[str | tuple[str, ...], ...] = ()
    kinds: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    hint: str = ""

    def __post_init__(self) -> None:
        for name in ("codes", "markers", "kinds"):
            words = getattr(self, name)
            if isinstance(words, str):
                raise TypeError(f"{name} must be a tuple of strings, not one string: {words!r}")
            for part in (part for word in words for part in ((word,) if isinstance(word, str) else word)):
                if not part or part != part.lower():
                    raise ValueError(f"{name} must be words in lower case, not {part!r}")


def checked(rules: Any) -> tuple[Rule, ...]:
    """The rules, if they are a list of some.

    Raises:
        TypeError: if they are not.
    """
    if not isinstance(rules, (list, tuple)) or not all(isinstance(rule, Rule) for rule in rules):
        raise TypeError(f"rules must be Rules in a list, such as [Rule(ErrorClass.QUOTA, ...)], not {rules!r}")
    return tuple(rules)
