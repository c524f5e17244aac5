"""Param: what one generation parameter may be, and the test of a value that follows from it.

A Param is data: types, range, choices, the names it goes by. Its test is compiled once, because Validate runs it
before every call: a good value costs one type comparison and one range comparison, no loop and no regex. The
sentences about bad values are made only when there is something to complain about; they show a value only if it
is a number or a short word, never anything that may be a prompt.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Param", "expectation", "shown", "type_test", "value_test"]

Test = Callable[[Any], bool]

_MAX = sys.float_info.max
_SHOWN = 20  # characters of a string that a message may show; longer ones may be content
_TYPES: Mapping[str, str] = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "strings": "array",
    "object": "object",
    "array": "array",
    "any": "",
}


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a provider.

    Args:
        name: the canonical name, the one that all providers share where they mean the same thing.
        types: what the value may be: "number", "integer", "boolean", "string", "strings" (a list of strings),
            "object", "array" or "any"; one of them or several.
        low, high: the range of a number or an integer, both ends included; None is no limit.
        low_exclusive: True if `low` itself is out of range.
        choices: the strings that are allowed; empty is any string.
        max_items: the longest list or mapping allowed.
        aliases: other names that the provider itself uses for it; they are accepted and mean the same.
        wire: the name on the wire, a dotted path where it is nested ("options.num_predict"); "" is `name`.
        about: one line for people.
        hint: what to do if the value is bad and what it must be does not say it all; ends the message.
        test: what types and ranges cannot say: returns what the value must be ("a list of strings that are not
            blank"), or "" if it is fine. It is called with values of the right type only.
        convert: makes the value that is sent out of a good one; None as its result leaves the parameter out.

    Raises:
        ValueError: if a type is unknown, or the range is empty; the message names the parameter.
    """

    name: str
    types: tuple[str, ...] | str
    low: float | None = None
    high: float | None = None
    low_exclusive: bool = False
    choices: tuple[str, ...] = ()
    max_items: int | None = None
    aliases: tuple[str, ...] = ()
    wire: str = ""
    about: str = ""
    hint: str = ""
    test: Callable[[Any], str] | None = None
    convert: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        types = (self.types,) if isinstance(self.types, str) else tuple(self.types)
        object.__setattr__(self, "types", types)
        unknown = [kind for kind in types if kind not in _TYPES]
        if unknown or not types:
            raise ValueError(f"parameter {self.name!r}: types must be among {sorted(_TYPES)}, not {unknown or types!r}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"parameter {self.name!r}: low ({self.low}) is above high ({self.high})")

    def json_schema(self) -> dict[str, Any]:
        """This parameter as JSON Schema."""
        forms = [self._form(kind) for kind in self.types]
        schema: dict[str, Any] = forms[0] if len(forms) == 1 else {"anyOf": forms}
        return {**schema, "description": self.about} if self.about else schema

    def _form(self, kind: str) -> dict[str, Any]:
        form: dict[str, Any] = {"type": _TYPES[kind]} if _TYPES[kind] else {}
        if kind in ("number", "integer"):
            if self.low is not None:
                form["exclusiveMinimum" if self.low_exclusive else "minimum"] = self.low
            if self.high is not None:
                form["maximum"] = self.high
        elif kind == "string" and self.choices:
            form["enum"] = list(self.choices)
        elif kind == "strings":
            form["items"] = {"type": "string"}
        if self.max_items is not None and kind in ("strings", "array", "object"):
            form["maxProperties" if kind == "object" else "maxItems"] = self.max_items
        return form


def type_test(param: Param) -> Test:
    """Compiles the test of types, range, choices and size alone."""
    tests = [_single(param, kind) for kind in param.types]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def value_test(param: Param) -> Test:
    """Compiles the test of a value: True if it may be sent. None, which means "not set", is not its business."""
    typed = type_test(param)
    extra = param.test
    if extra is None:
        return typed
    return lambda value: typed(value) and not extra(value)


def _single(param: Param, kind: str) -> Test:
    size = param.max_items
    match kind:
        case "number":
            return _number(param, (int, float))
        case "integer":
            return _number(param, (int,))
        case "boolean":
            return lambda value: value is True or value is False
        case "string":
            words = frozenset(param.choices)
            if words:
                return lambda value: isinstance(value, str) and value in words
            return lambda value: isinstance(value, str)
        case "strings":
            return lambda value: (
                isinstance(value, (list, tuple))
                and (size is None or len(value) <= size)
                and all(isinstance(item, str) for item in value)
            )
        case "array":
            return lambda value: isinstance(value, (list, tuple)) and (size is None or len(value) <= size)
        case "object":
            return lambda value: isinstance(value, Mapping) and (size is None or len(value) <= size)
    return lambda value: True


def _number(param: Param, kinds: Any) -> Test:
    # Without limits of its own a number still has to be finite: JSON has neither NaN nor Infinity. NaN fails every
    # comparison, so the range test refuses it for nothing.
    # Each case has its own function: this runs for every number of every call.
    floats = float in kinds
    low = param.low if param.low is not None else (-_MAX if floats else -math.inf)
    high = param.high if param.high is not None else (_MAX if floats else math.inf)

    if param.low_exclusive:
        return lambda value: type(value) is not bool and isinstance(value, kinds) and low < value <= high
    if floats:
        return lambda value: (
            ((kind := type(value)) is float or kind is int or (kind is not bool and isinstance(value, kinds)))
            and low <= value <= high
        )
    return lambda value: (
        ((kind := type(value)) is int or (kind is not bool and isinstance(value, kinds))) and low <= value <= high
    )


def expectation(param: Param) -> str:
    """What a value must be, in words: "a number from 0 to 2", "a string or a list of at most 4 strings"."""
    words = [word for kind in param.types for word in _words(param, kind)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _words(param: Param, kind: str) -> list[str]:
    most = f" of at most {param.max_items}" if param.max_items is not None else ""
    match kind:
        case "number":
            return [f"a number{span}" if (span := _range(param)) else "a finite number"]
        case "integer":
            return [f"an integer{_range(param)}"]
        case "boolean":
            return ["True", "False"]
        case "string":
            return [repr(choice) for choice in param.choices] or ["a string"]
        case "strings":
            return [f"a list{most or ' of'} strings"]
        case "array":
            return [f"a list{most} items" if most else "a list"]
        case "object":
            return [f"a mapping{most} entries" if most else "a mapping"]
    return ["anything"]


def _range(param: Param) -> str:
    low, high = (None if end is None else str(end) for end in (param.low, param.high))
    if low is not None and high is not None:
        return f" above {low} and at most {high}" if param.low_exclusive else f" from {low} to {high}"
    if low is not None:
        return f" above {low}" if param.low_exclusive else f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def shown(value: object) -> str:
    """A value as a message may show it: numbers and short words as they are, all else by type and size."""
    kind = type(value).__name__
    if value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int):
        # Python refuses to print integers of more than some thousand digits.
        return repr(int(value)) if abs(value) < 10**20 else "an integer of more than 20 digits"
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return f"{str(value)!r} ({kind})" if len(value) <= _SHOWN else f"a {kind} of {len(value)} characters"
    if isinstance(value, (list, tuple, set, frozenset, Mapping, bytes)):
        return f"a {kind} of {len(value)}"
    return f"a value of type {kind}"
