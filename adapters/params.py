"""Schema: which parameters a provider takes, how they are checked before anything is sent, and their wire names.

Providers differ in what they do with a parameter that they do not know: OpenAI and Claude answer 400, OpenRouter,
Ollama and llama.cpp ignore it without a word. Checking here makes all of them alike: every problem is listed,
each says what would be right, and nothing is dropped or clamped.

The schemas of the providers stand in `schemas`; another provider is one more table of Params.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..pipeline import Problem
from .suggestions import OWN_FIELDS, explain, named
from .values import Param, expectation, shown, type_test, value_test

__all__ = ["Param", "Rule", "Schema"]

Rule = Callable[[Any, Mapping[str, Any], str], str]
"""Checks what no single parameter can know. It gets a good value, all parameters as they were given, and the model;
it returns the rest of a sentence that begins with the parameter's name ("needs `logprobs` to be True"), or ""."""


@dataclass(frozen=True)
class Schema:
    """The parameters of one provider. Immutable; it can be shared between threads and pickled.

    Args:
        provider: the provider's name, such as "openai".
        label: its name for people, such as "OpenAI".
        params: its parameters; no name or alias may occur twice.
        lenient: True if the provider may know parameters that are not listed here: an unknown name then passes,
            while known ones are still checked.
        rules: checks across parameters or by model, each with the canonical name of the parameter it is about.

    Raises:
        ValueError: if a name or alias occurs twice, or a rule is about a parameter that does not exist.
    """

    provider: str
    label: str
    params: tuple[Param, ...]
    lenient: bool = False
    rules: tuple[tuple[str, Rule], ...] = ()
    _by_name: dict[str, Param] = field(init=False, repr=False, compare=False)
    _tests: dict[str, Callable[[Any], bool]] = field(init=False, repr=False, compare=False)
    _paths: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    _ruled: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, Param] = {}
        for param in self.params:
            for name in (param.name, *param.aliases):
                if name in by_name:
                    raise ValueError(f"schema {self.provider!r}: {name!r} is defined twice")
                by_name[name] = param
        ruled: dict[str, tuple[Rule, ...]] = {}
        for name, rule in self.rules:
            if name not in by_name:
                raise ValueError(f"schema {self.provider!r}: a rule is about {name!r}, which is no parameter")
            for spelling in (name, *by_name[name].aliases):
                ruled[spelling] = (*ruled.get(spelling, ()), rule)
        put = object.__setattr__
        put(self, "_by_name", by_name)
        # Canonical names only: an alias takes the thorough way, which also sees that both names were given.
        put(self, "_tests", {param.name: value_test(param) for param in self.params})
        put(self, "_paths", {param.name: tuple((param.wire or param.name).split(".")) for param in self.params})
        put(self, "_ruled", ruled)  # by every name

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema, (self.provider, self.label, self.params, self.lenient, self.rules)

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical names, in the order of the table."""
        return tuple(self._tests)

    def canonical(self, name: str) -> str | None:
        """The canonical name behind a name or an alias; None if the provider has no such parameter."""
        param = self._by_name.get(name)
        return param.name if param else None

    def check(self, params: Mapping[str, Any], model: str = "") -> tuple[Problem, ...]:
        """Finds everything that is wrong with the parameters. A value of None means "not set" and is fine.

        Args:
            params: parameters by canonical name, or by the provider's own name.
            model: the model that they are meant for, for rules that depend on it.

        Returns:
            One Problem per thing that is wrong, in the order of the parameters; empty if they may be sent.
        """
        tests, ruled = self._tests, self._ruled
        for name, value in params.items():
            test = tests.get(name)
            if test is None or not test(value):
                return self._problems(params, model)
            if name in ruled:
                for rule in ruled[name]:
                    if rule(value, params, model):
                        return self._problems(params, model)
        return ()

    def _problems(self, params: Mapping[str, Any], model: str) -> tuple[Problem, ...]:
        """The thorough way: it finds every problem, where `check` has seen that there may be one."""
        problems: list[Problem] = []
        given: dict[str, str] = {}
        for name, value in params.items():
            param = self._by_name.get(name) if isinstance(name, str) else None
            problem = self._unlisted(name, value) if param is None else self._value(name, param, value)
            if problem is not None:
                problems.append(problem)
            elif param is not None and value is not None:
                first = given.setdefault(param.name, name)
                if first != name:
                    problems.append(Problem(name, f"`{first}` and `{name}` are the same parameter: give only one"))
                broken = (rule(value, params, model) for rule in self._ruled.get(name, ()))
                problems.extend(Problem(name, f"`{name}` {words}") for words in broken if words)
        return tuple(problems)

    def _unlisted(self, name: object, value: object) -> Problem | None:
        if not isinstance(name, str):
            return Problem(named(str(type(name))), f"a parameter's name must be a string, not {shown(name)}")
        if not self.lenient or name in OWN_FIELDS:
            return Problem(name, explain(name, self.label, self._by_name))
        if isinstance(value, float) and not math.isfinite(value):
            return Problem(name, f"`{named(name)}` must be a finite number, not {shown(value)}: JSON has no such value")
        return None

    def _value(self, name: str, param: Param, value: object) -> Problem | None:
        if value is None or self._tests[param.name](value):
            return None
        wanted = expectation(param)
        if param.test is not None and type_test(param)(value):
            wanted = param.test(value)
        hint = f": {param.hint}" if param.hint else ""
        return Problem(name, f"`{name}` must be {wanted}, not {shown(value)}{hint}")

    def to_wire(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Puts parameters under their wire names, nested where the protocol nests them; None is left out.

        Values that need more than a name, such as tools, are the codec's business: they go out under the name
        that the schema gives them, as they came in. Unknown names, which only a lenient schema lets through,
        keep their names.

        Args:
            params: parameters that `check` has nothing against.

        Returns:
            A new dict; mappings directly inside it are copies, so that a codec may add to them.
        """
        body: dict[str, Any] = {}
        for name, value in params.items():
            if value is None:
                continue
            param = self._by_name.get(name)
            if param is None:
                body[name] = value
                continue
            if param.convert is not None:
                value = param.convert(value)
                if value is None:
                    continue
            _put(body, self._paths[param.name], value)
        return body

    def json_schema(self) -> dict[str, Any]:
        """The schema as JSON Schema (2020-12), aliases included. None, "not set", is not part of it."""
        properties: dict[str, Any] = {}
        for param in self.params:
            properties[param.name] = param.json_schema()
            for alias in param.aliases:
                properties[alias] = {**param.json_schema(), "description": f"the same as `{param.name}`"}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"{self.label} parameters",
            "type": "object",
            "properties": properties,
            "additionalProperties": self.lenient,
        }


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    node = body
    for part in path[:-1]:
        child = node.get(part)
        if not isinstance(child, dict):
            child = node[part] = {}
        node = child
    last = path[-1]
    if isinstance(value, Mapping):  # copied: another parameter may go into it, and the caller's own must not change
        there = node.get(last)
        node[last] = {**value, **there} if isinstance(there, dict) else dict(value)
    else:
        node[last] = value
