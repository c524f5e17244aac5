"""What types and ranges cannot say about parameters: tests of values, rules across parameters, conversions.

A test gets a value of the right type and returns what it must be, or "" if it is fine. A rule gets all parameters
and the model. Only what the providers' references call an error is one here. A conversion makes what is sent of what
was given; it gets values that nobody tested when Validate is switched off, and leaves those alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..pipeline import Problem

__all__ = [
    "GivenTwice",
    "NeedsTools",
    "Withdrawn",
    "biases",
    "budget",
    "claude_choice",
    "claude_format",
    "claude_metadata",
    "claude_stops",
    "claude_tools",
    "filled_stops",
    "listed",
    "metadata",
    "needs_logprobs",
    "ollama_format",
    "ollama_tools",
    "one_sampling",
    "openai_choice",
    "openai_format",
    "openai_tools",
    "sent_ollama_format",
    "sent_think",
    "unless_empty",
]

# -- tests of OpenAI's parameters ------------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LEAST_BUDGET = 1024


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
    fine = all(isinstance(tool, Mapping) and _openai_tool(tool) for tool in value)
    if fine:
        return ""
    return (
        "a list of {'type': 'function', 'function': {'name': '...', ...}}, "
        "with names of at most 64 letters, digits, '_' and '-'"
    )


def _openai_tool(tool: Mapping[Any, Any]) -> bool:
    if tool.get("type") != "function":
        return isinstance(tool.get("type"), str)  # custom tools, and what may come
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else None
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def openai_choice(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or (value.get("type") == "function" and _is_named(value)):
        return ""
    if isinstance(value.get("type"), str) and value["type"] != "function":
        return ""  # "allowed_tools" and "custom"
    return "'none', 'auto', 'required' or {'type': 'function', 'function': {'name': '...'}}"


def _is_named(choice: Mapping[Any, Any]) -> bool:
    function = choice.get("function")
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


# -- tests of Claude's parameters ------------------------------------------------------------------------------


def claude_format(value: Mapping[Any, Any]) -> str:
    if value.get("type") == "text":
        return ""
    if value.get("type") == "json_schema" and any(
        isinstance(value.get(key), Mapping) for key in ("json_schema", "schema")
    ):
        return ""
    return "{'type': 'text'} or {'type': 'json_schema', 'json_schema': {...}}; Claude has no 'json_object'"


def claude_metadata(value: Mapping[Any, Any]) -> str:
    fine = all(key == "user_id" and isinstance(item, str) for key, item in value.items())
    return "" if fine else "{'user_id': '...'}, the only key that Claude takes"


def claude_stops(value: str | Sequence[str]) -> str:
    blank = not value.strip() if isinstance(value, str) else not all(item.strip() for item in value)
    return "strings that are not blank" if blank else ""


def claude_tools(value: Sequence[Any]) -> str:
    for tool in value:
        function = tool.get("function") if isinstance(tool, Mapping) else None
        named = function if isinstance(function, Mapping) else tool
        if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
            return "a list of {'type': 'function', 'function': {'name': '...', ...}}, or of tools as Claude has them"
    return ""


def claude_choice(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or value.get("type") in ("auto", "any", "none"):
        return ""
    if value.get("type") == "tool" and isinstance(value.get("name"), str):
        return ""
    if value.get("type") == "function" and _is_named(value):
        return ""
    return "'auto', 'none', 'required' or {'type': 'function', 'function': {'name': '...'}}"


def budget(value: Mapping[Any, Any]) -> str:
    if value.get("type") != "enabled":
        return ""
    tokens = value.get("budget_tokens")
    fine = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= _LEAST_BUDGET
    return "" if fine else f"{{'type': 'enabled', 'budget_tokens': ...}} with at least {_LEAST_BUDGET} tokens"


# -- tests of Ollama's parameters ------------------------------------------------------------------------------


def ollama_format(value: str | Mapping[Any, Any]) -> str:
    if isinstance(value, str) or value.get("type") != "json_schema" or isinstance(value.get("json_schema"), Mapping):
        return ""
    return "'json', a JSON schema, or {'type': 'json_schema', 'json_schema': {...}}"


def ollama_tools(value: Sequence[Any]) -> str:
    return "" if all(isinstance(tool, Mapping) for tool in value) else "a list of tools, each a mapping"


# -- rules across parameters -----------------------------------------------------------------------------------


def needs_logprobs(params: Mapping[str, Any], model: str) -> Problem | None:
    if params.get("top_logprobs") is None or params.get("logprobs"):
        return None
    return Problem("top_logprobs", "`top_logprobs` needs `logprobs` to be True")


@dataclass(frozen=True, slots=True)
class NeedsTools:
    """A parameter that is only allowed together with `tools`."""

    name: str

    def __call__(self, params: Mapping[str, Any], model: str) -> Problem | None:
        if params.get(self.name) is None or params.get("tools"):
            return None
        return Problem(self.name, f"`{self.name}` is only allowed together with `tools`")


@dataclass(frozen=True, slots=True)
class GivenTwice:
    """A parameter that goes to the same place as the key `inner` of the parameter `outer`."""

    name: str
    outer: str
    inner: str

    def __call__(self, params: Mapping[str, Any], model: str) -> Problem | None:
        around = params.get(self.outer)
        if params.get(self.name) is None or not isinstance(around, Mapping) or around.get(self.inner) is None:
            return None
        return Problem(self.name, f"`{self.name}` and `{self.inner}` in `{self.outer}` are the same: give only one")


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A sampling parameter, which Claude's API does not know any more."""

    name: str

    def __call__(self, params: Mapping[str, Any], model: str) -> Problem | None:
        if params.get(self.name) is None:
            return None
        words = "is refused by this version of Claude's API: leave it out, or use version 2023-06-01"
        return Problem(self.name, f"`{self.name}` {words}")


# Claude 4.1, 4.5 and 4.6: "`temperature` and `top_p` cannot both be specified for this model."
_ONE_SAMPLING = re.compile(r"(opus-4-1|(sonnet|haiku)-4-5|(opus|sonnet)-4-6)(?!\d)")


def one_sampling(params: Mapping[str, Any], model: str) -> Problem | None:
    if params.get("temperature") is None or params.get("top_p") is None or not _ONE_SAMPLING.search(model):
        return None
    return Problem("top_p", f"`temperature` and `top_p` cannot both be given to {model}: use only one")


# -- conversions -----------------------------------------------------------------------------------------------


def listed(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    return unless_empty(value)


# An empty list of stops is refused by some models, and means what leaving it out means.
def unless_empty(value: Any) -> Any:
    return list(value) or None if isinstance(value, (list, tuple)) else value


def sent_ollama_format(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get("type") == "text":
            return None
        if value.get("type") == "json_object":
            return "json"
        wrapped = value.get("json_schema")
        if value.get("type") == "json_schema" and isinstance(wrapped, Mapping):
            schema = wrapped.get("schema")
            return schema if isinstance(schema, Mapping) else "json"
    return value


def sent_think(value: Any) -> Any:
    return False if value == "none" else value
