"""Every parameter at every provider: taken in the range that it has there, or refused with an explanation."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from mainstay.adapters.params import Schema
from mainstay.adapters.schemas import CLAUDE, LLAMA_CPP, LLAMA_PROCESS, OLLAMA, OPENAI, OPENROUTER

COLUMNS = (OPENAI, CLAUDE, OPENROUTER, OLLAMA, LLAMA_CPP, LLAMA_PROCESS)

# "-": the provider refuses it or ignores it. "0..2", "i1..": a number or an integer in this range, open where nothing
# stands; "(0..2": above 0. "ok": what it may be is in VALUES. Anything else: one of the words, joined by "|", or a name
# of such words.
NAMED = {
    "efforts": "none|minimal|low|medium|high|xhigh|max",
    "choices": "none|auto|required",
    "tiers": "auto|default|flex|scale|priority|fast",
}
TABLE = """
                     OpenAI   Claude   OpenRouter Ollama   llama.cpp   llama-completion
max_tokens           i1..     i0..     i1..       i-2..    i-1..       i-2..
temperature          0..2     0..1     0..2       0..      0..         0..
top_p                0..1     0..1     (0..1      0..1     0..1        0..1
top_k                -        i0..     i0..       i0..     i0..        i0..
min_p                -        -        0..1       0..1     0..1        0..1
top_a                -        -        0..1       -        -           -
typical_p            -        -        -          0..1     0..1        0..1
top_n_sigma          -        -        -          -        ..          ..
frequency_penalty    -2..2    -        -2..2      ..       ..          ..
presence_penalty     -2..2    -        -2..2      ..       ..          ..
repeat_penalty       -        -        (0..2      0..      ..          ..
repeat_last_n        -        -        -          i-1..    i0..        i-1..
mirostat             -        -        -          -        i0..2       i0..2
mirostat_tau         -        -        -          -        ..          ..
mirostat_eta         -        -        -          -        ..          ..
dry_multiplier       -        -        -          -        ..          ..
dry_base             -        -        -          -        1..         ..
dry_allowed_length   -        -        -          -        i0..        i..
dry_penalty_last_n   -        -        -          -        i0..        i0..
dry_sequence_breakers -       -        -          -        ok          ok
xtc_probability      -        -        -          -        0..1        0..1
xtc_threshold        -        -        -          -        0..1        0..1
dynatemp_range       -        -        -          -        ..          0..
dynatemp_exponent    -        -        -          -        ..          ..
adaptive_target      -        -        -          -        ..1         ..
adaptive_decay       -        -        -          -        0..0.99     0..0.99
tfs_z                -        -        -          -        -           -
seed                 i..      -        i..        i..      i-1..4294967295 i-1..4294967295
stop                 ok       ok       ok         ok       ok          ok
n                    i1..128  i1..1    i1..1      i1..1    i1..        i1..1
logit_bias           ok       -        ok         -        ok          ok
logprobs             ok       -        ok         ok       ok          -
top_logprobs         i0..20   -        i0..20     i0..20   i0..        -
ignore_eos           -        -        -          -        ok          ok

tools                ok       ok       ok         ok       ok          -
tool_choice          choices  choices  choices    -        choices     -
parallel_tool_calls  ok       ok       ok         -        ok          -
response_format      ok       ok       ok         ok       ok          ok
json_schema          -        -        -          -        ok          ok
grammar              -        -        -          -        ok          ok
reasoning_effort     efforts  low|medium|high|xhigh|max efforts none|low|medium|high|max efforts -
reasoning_budget     -        i1024..  i0..       -        i-1..       -
reasoning            -        -        ok         -        -           -
reasoning_format     -        -        -          -        none|deepseek|deepseek-legacy|auto -
thinking             -        ok       -          -        -           -
verbosity            low|medium|high - low|medium|high|xhigh|max - -   -

stream_options       ok       -        ok         -        ok          -
user                 ok       ok       ok         -        -           -
safety_identifier    ok       -        -          -        -           -
metadata             ok       ok       ok         -        -           -
service_tier         tiers    auto|standard_only tiers -   -           -
store                ok       -        -          -        -           -
prompt_cache_key     ok       -        ok         -        -           -
cache_control        -        ok       ok         -        -           -
cache_prompt         -        -        -          -        ok          -
provider             -        -        ok         -        -           -
models               -        -        ok         -        -           -
route                -        -        fallback|sort -     -           -
transforms           -        -        ok         -        -           -
plugins              -        -        ok         -        -           -
keep_alive           -        -        -          ok       -           -
num_ctx              -        -        -          i1..     -           i0..
num_gpu              -        -        -          i-1..    -           i-1..
num_thread           -        -        -          i0..     -           i-1..
num_batch            -        -        -          i1..     -           i1..
main_gpu             -        -        -          i0..     -           i0..
use_mmap             -        -        -          ok       -           -
num_keep             -        -        -          i-1..    i-1..       i-1..
raw                  -        -        -          -        -           -
template             -        -        -          -        -           -
suffix               -        -        -          -        -           -
context              -        -        -          -        -           -
truncate             -        -        -          ok       -           -
shift                -        -        -          ok       -           -
id_slot              -        -        -          -        i-1..       -
samplers             -        -        -          -        ok          ok
n_discard            -        -        -          -        i0..        -
lora                 -        -        -          -        ok          -
t_max_predict_ms     -        -        -          -        i-1..       -
timings_per_token    -        -        -          -        ok          -
chat_template_kwargs -        -        -          -        ok          -
"""

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
VALUES: dict[str, Any] = {
    "dry_sequence_breakers": ["\n"],
    "stop": ["a"],
    "logit_bias": {"5": -1.5},
    **dict.fromkeys(
        ("logprobs", "ignore_eos", "parallel_tool_calls", "store", "cache_prompt", "use_mmap", "truncate", "shift"),
        True,
    ),
    "timings_per_token": False,
    "tools": [FUNCTION],
    "response_format": FORM,
    "json_schema": {"type": "object"},
    "grammar": 'root ::= "yes"',
    "reasoning": {"effort": "low", "exclude": True},
    "thinking": {"type": "adaptive"},
    "stream_options": {"include_usage": True},
    "user": "u1",
    "safety_identifier": "u1",
    "metadata": {"user_id": "u1"},
    "prompt_cache_key": "k",
    "cache_control": {"type": "ephemeral"},
    "provider": {"order": ["a", "b"], "allow_fallbacks": False},
    "models": ["a/b", "c/d"],
    "transforms": ["middle-out"],
    "plugins": [{"id": "web"}],
    "keep_alive": "5m",
    "samplers": ["top_k", "temperature"],
    "lora": [{"id": 0, "scale": 0.5}],
    "chat_template_kwargs": {"enable_thinking": False},
}
NEEDS = {
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": [FUNCTION]},
    "parallel_tool_calls": {"tools": [FUNCTION]},
}
RANGE = re.compile(r"(i?)(\(?)(-?[\d.]*?)\.\.([\d.]*)")


class Cell(NamedTuple):
    schema: Schema
    name: str
    says: str

    def __str__(self) -> str:
        return f"{self.schema.label}-{self.name}"


def cells() -> Iterator[Cell]:
    for line in TABLE.splitlines()[2:]:
        name, *says = line.split() or [""]
        assert len(says) in (0, len(COLUMNS)), line
        for schema, cell in zip(COLUMNS, says, strict=False):
            yield Cell(schema, name, NAMED.get(cell, cell))


def taken(cell: Cell, value: Any) -> bool:
    problems = cell.schema.check({cell.name: value, **NEEDS.get(cell.name, {})})
    assert all(problem.parameter == cell.name and problem.message for problem in problems)
    return not problems


ALL = list(cells())
REFUSED = [cell for cell in ALL if cell.says == "-"]
RANGES = [cell for cell in ALL if ".." in cell.says]
WORDS = [cell for cell in ALL if "|" in cell.says]
SHAPES = [cell for cell in ALL if cell.says == "ok"]


def test_the_table_has_every_parameter_that_more_than_one_provider_has() -> None:
    listed = {cell.name for cell in ALL}
    for schema in COLUMNS:
        for other in COLUMNS:
            shared = set(schema.names) & set(other.names) if other is not schema else set()
            assert shared - listed <= {"modalities", "audio", "prediction"}
    assert len(ALL) == len(REFUSED) + len(RANGES) + len(WORDS) + len(SHAPES)


@pytest.mark.parametrize("cell", REFUSED, ids=str)
def test_what_a_provider_has_not_is_explained(cell: Cell) -> None:
    (problem,) = cell.schema.check({cell.name: VALUES.get(cell.name, 1)})
    assert problem.parameter == cell.name
    assert f"`{cell.name}`" in problem.message
    assert "no such parameter" not in problem.message, "whose parameter is it?"


@pytest.mark.parametrize("cell", RANGES, ids=str)
def test_numbers_are_taken_in_their_range_and_nowhere_else(cell: Cell) -> None:
    found = RANGE.fullmatch(cell.says)
    assert found is not None
    whole, above, low, high = found.groups()
    step: float = 1 if whole else 0.001
    if low:
        assert taken(cell, type(step)(low)) == (not above)
        assert low == high or taken(cell, type(step)(low) + step)
        assert not taken(cell, type(step)(low) - step)
    else:
        assert taken(cell, -100 if whole else -100.5)
    if high:
        assert taken(cell, type(step)(high))
        assert not taken(cell, type(step)(high) + step)
    else:
        assert taken(cell, 10_000)
    assert not taken(cell, True), "JSON has no True among its numbers"
    assert not taken(cell, math.nan)
    assert not taken(cell, math.inf)
    assert not taken(cell, "1")
    if whole:
        assert not taken(cell, 1025.5)


@pytest.mark.parametrize("cell", WORDS, ids=str)
def test_words_are_those_of_the_provider(cell: Cell) -> None:
    assert all(taken(cell, word) for word in cell.says.split("|"))
    assert not taken(cell, "ultra")
    assert not taken(cell, 5)


@pytest.mark.parametrize("cell", SHAPES, ids=str)
def test_shapes_are_taken_and_others_are_not(cell: Cell) -> None:
    assert taken(cell, VALUES[cell.name])
    assert not taken(cell, object())


@pytest.mark.parametrize("name", ["files.read", "x" * 100])
def test_only_openai_limits_the_names_of_tools(name: str) -> None:
    tools = {"tools": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]}
    assert {schema.label for schema in COLUMNS if schema.check(tools)} == {"OpenAI", "llama-completion"}
