"""The export as JSON Schema says the same as `check`, as far as types and ranges go."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.params import Schema
from mainstay.adapters.schemas import CLAUDE, LLAMA_CPP, LLAMA_PROCESS, OLLAMA, OPENAI, OPENAI_COMPATIBLE, OPENROUTER

SCHEMAS = [OPENAI, OPENAI_COMPATIBLE, CLAUDE, OPENROUTER, OLLAMA, LLAMA_CPP, LLAMA_PROCESS]
EACH = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.label)

# Which keywords of JSON Schema may stand beside which type.
KEYWORDS = {
    "number": {"minimum", "maximum", "exclusiveMinimum"},
    "integer": {"minimum", "maximum", "exclusiveMinimum"},
    "boolean": set[str](),
    "string": {"enum"},
    "array": {"items", "maxItems"},
    "object": {"maxProperties"},
}
TYPES: Mapping[str, Any] = {
    "number": lambda value: type(value) in (int, float) and math.isfinite(value),
    "integer": lambda value: type(value) is int,  # JSON Schema takes 1.0 as well; no provider has to
    "boolean": lambda value: type(value) is bool,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def valid(form: Mapping[str, Any], value: Any) -> bool:
    """The part of JSON Schema that parameters need."""
    if "anyOf" in form:
        return any(valid(one, value) for one in form["anyOf"])
    return TYPES[form["type"]](value) and all(
        {
            "minimum": lambda limit: value >= limit,
            "exclusiveMinimum": lambda limit: value > limit,
            "maximum": lambda limit: value <= limit,
            "enum": lambda words: value in words,
            "items": lambda item: all(valid(item, entry) for entry in value),
            "maxItems": lambda most: len(value) <= most,
            "maxProperties": lambda most: len(value) <= most,
        }[keyword](limit)
        for keyword, limit in form.items()
        if keyword not in ("type", "description")
    )


@EACH
def test_the_export_is_json_schema(schema: Schema) -> None:
    exported = json.loads(json.dumps(schema.json_schema(), allow_nan=False))
    assert exported["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert exported["title"] == f"{schema.label} parameters"
    assert exported["type"] == "object"
    assert exported["additionalProperties"] is schema.lenient
    names = {name for param in schema.params for name in (param.name, *param.aliases)}
    assert exported["properties"].keys() == names
    for form in exported["properties"].values():
        assert form["description"].endswith((".", "`"))
        for one in form.get("anyOf", [form]):
            assert one.keys() <= {"type", "description"} | KEYWORDS[one["type"]]
            assert one.get("minimum", -math.inf) <= one.get("maximum", math.inf)  # the same: one value is taken
            assert one.get("exclusiveMinimum", -math.inf) < one.get("maximum", math.inf)
            assert len(set(one.get("enum", ["x"]))) == len(one.get("enum", ["x"])) > 0


def test_limits_are_in_it() -> None:
    exported = OPENAI.json_schema()["properties"]
    assert exported["temperature"] == {
        "type": "number",
        "minimum": 0,
        "maximum": 2,
        "description": "Sampling temperature; higher is more random.",
    }
    assert exported["verbosity"]["enum"] == ["low", "medium", "high"]
    assert exported["stop"]["anyOf"][1] == {"type": "array", "items": {"type": "string"}, "maxItems": 4}
    assert exported["max_completion_tokens"]["description"] == "the same as `max_tokens`"
    top_p = OPENROUTER.json_schema()["properties"]["top_p"]
    assert (top_p["exclusiveMinimum"], top_p["maximum"]) == (0, 1)


TYPES_AND_RANGES = [
    replace(schema, params=tuple(replace(param, test=None) for param in schema.params), rules=()) for schema in SCHEMAS
]
NUMBERS = st.integers() | st.integers(-3, 130) | st.floats() | st.floats(-3, 3) | st.sampled_from([0, 0.0, 1, 2, 2.0])
WORDS = st.sampled_from(["low", "none", "auto", "json", "flex", "max", "x", ""])
VALUES = (
    NUMBERS
    | st.booleans()
    | WORDS
    | st.lists(WORDS | st.integers(), max_size=6)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=18)
)


@given(st.sampled_from(list(zip(SCHEMAS, TYPES_AND_RANGES, strict=True))), st.data(), VALUES)
def test_the_export_and_the_check_agree(pair: tuple[Schema, Schema], data: st.DataObject, value: Any) -> None:
    schema, plain = pair
    forms = schema.json_schema()["properties"]
    name = data.draw(st.sampled_from(sorted(forms)))
    assert valid(forms[name], value) == (plain.check({name: value}) == ())
    if schema.check({name: value}) == ():
        assert valid(forms[name], value)
