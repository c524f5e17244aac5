"""What several providers' tables share: tests of values, rules across parameters, conversions.

A test gets a value of the right type and returns what it must be, or "" if it is fine. A rule gets all parameters
and the model. Only what the providers' references call an error is one here, and what a provider would ignore without
a word. A conversion makes what is sent of what was given; it gets values that nobody tested when Validate is switched
off, and leaves those alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..params import Schema

__all__ = [
    "GivenTwice",
    "Inside",
    "biases",
    "filled_stops",
    "function_tools",
    "is_named",
    "listed",
    "metadata",
    "needs_logprobs",
    "needs_tools",
    "openai_choice",
    "openai_format",
    "openai_tools",
    "unless_empty",
    "unsaid",
]

# -- tests of values in OpenAI's shape ---------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def biases(value: Mapping[Any, Any]) -> str:
    fine = all(
        isinstance(token, (str, int)) and type(bias) in (int, float) and -100 <= bias <= 100
        for token, bias in value.items()
    )
    return "" if fine else "a mapping of token ids to numbers from -100 to 100"


def metadata(value: Mapping[Any, Any]) -> str:
    fine = all(
        isinstance(key, str) and len(key) <= 64 and isinstance(item, str) and len(item) <= 512
        for key, item in value.items()
    )
    return "" if fine else "a mapping of strings of at most 64 characters to strings of at most 512"


def filled_stops(value: str | Sequence[str]) -> str:
    empty = not value if isinstance(value, str) else not all(value)
    return "strings that are not empty" if empty else ""


def openai_format(value: Mapping[Any, Any]) -> str:
    if value.get("type") in ("text", "json_object"):
        return ""
    if value.get("type") == "json_schema" and isinstance(value.get("json_schema"), Mapping):
        return ""
    return "{'type': 'text'}, {'type': 'json_object'} or {'type': 'json_schema', 'json_schema': {...}}"


def openai_tools(value: Sequence[Any]) -> str:
    wanted = function_tools(value)
    if not wanted and all(_NAME.fullmatch(tool["function"]["name"]) for tool in value if tool["type"] == "function"):
        return ""
    return f"{wanted or _TOOLS}, with names of at most 64 letters, digits, '_' and '-'"


def function_tools(value: Sequence[Any]) -> str:
    """OpenAI's shape, without its limits on names, which are not those of other providers."""
    return "" if all(isinstance(tool, Mapping) and _is_tool(tool) for tool in value) else _TOOLS


_TOOLS = "a list of {'type': 'function', 'function': {'name': '...', 'parameters': {...}}}"


def _is_tool(tool: Mapping[Any, Any]) -> bool:
    if tool.get("type") != "function":
        return isinstance(tool.get("type"), str)  # custom tools, and what may come
    function = tool.get("function")
    if not isinstance(function, Mapping) or "input_schema" in function:
        return False
    name = function.get("name")
    return isinstance(name, str) and name != ""


def openai_choice(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or (value.get("type") == "function" and is_named(value)):
        return ""
    if isinstance(value.get("type"), str) and value["type"] != "function":
        return ""  # "allowed_tools" and "custom"
    return "'none', 'auto', 'required' or {'type': 'function', 'function': {'name': '...'}}"


def is_named(choice: Mapping[Any, Any]) -> bool:
    function = choice.get("function")
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


# -- rules across parameters -----------------------------------------------------------------------------------


def needs_logprobs(value: Any, params: Mapping[str, Any], model: str) -> str:
    return "" if params.get("logprobs") else "needs `logprobs` to be True"


def needs_tools(value: Any, params: Mapping[str, Any], model: str) -> str:
    return "" if params.get("tools") else "is only allowed together with `tools`"


@dataclass(frozen=True, slots=True)
class GivenTwice:
    """A parameter that goes to the same place as the key `inner` of the parameter `outer`."""

    outer: str
    inner: str

    def __call__(self, value: Any, params: Mapping[str, Any], model: str) -> str:
        around = params.get(self.outer)
        if not isinstance(around, Mapping) or around.get(self.inner) is None:
            return ""
        return f"and `{self.inner}` in `{self.outer}` are the same: give only one"


@dataclass(frozen=True, slots=True)
class Inside:
    """A mapping whose keys are parameters themselves."""

    schema: Schema

    def __call__(self, value: Mapping[str, Any], params: Mapping[str, Any], model: str) -> str:
        problems = self.schema.check(value, model)
        return f"is wrong inside: {'; '.join(problem.message for problem in problems)}" if problems else ""


# -- conversions -----------------------------------------------------------------------------------------------


def listed(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return unless_empty(value)


# An empty list of stops is refused by some models, and means what leaving it out means.
def unless_empty(value: Any) -> Any:
    return list(value) or None if isinstance(value, (list, tuple)) else value


def unsaid(value: Any) -> None:
    """For what need not be said, because there is nothing else."""
