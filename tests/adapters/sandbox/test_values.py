"""Answers and faults as values: what they accept, how they print, that they travel."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters.sandbox import Answer, Fault, ToolUse, faults
from mainstay.adapters.sandbox.answer import DEFAULT_TEXT, pieces

NAN = float("nan")
EVERY_FAULT: list[Fault] = [
    faults.status(429),
    faults.status(500, type="t", code_=None, message="m", retry_after=1, headers={"a": "b"}, body={"x": 1}),
    faults.status(500, code_=3, retry_after="soon", body=b"\x00"),
    faults.quota(),
    faults.bad_key(),
    faults.model_not_found(),
    faults.context_length(),
    faults.content_filter(),
    faults.overloaded(),
    faults.rate_limit(retry_after=0.5),
    faults.slow_first_byte(1, then=Answer("x", tool_calls=(ToolUse("f", {"a": [1]}),))),
    faults.drip(0.1),
    faults.drip(bytes_per_second=100, then=faults.status(500)),
    faults.stall(after=3),
    faults.pings(interval=1),
    faults.cut(after=2, how="reset", answer=Answer("x")),
    faults.no_terminator(),
    faults.malformed(after=0),
    faults.error_in_200(faults.quota()),
    faults.error_event(after=2, error=faults.status(500)),
    faults.html(),
    faults.empty(),
    faults.reset(),
    faults.disconnect(),
    faults.hang(),
]


def test_every_fault_is_here() -> None:
    assert {fault.kind for fault in EVERY_FAULT} == set(faults.__all__) - {"Fault"}


def test_all_faults_differ() -> None:
    assert len(set(EVERY_FAULT)) == len(EVERY_FAULT)


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=repr)
def test_a_fault_travels_and_prints(fault: Fault) -> None:
    assert pickle.loads(pickle.dumps(fault)) == fault
    assert {fault: 1}[pickle.loads(pickle.dumps(fault))] == 1
    names = {"faults": faults, "Answer": Answer, "ToolUse": ToolUse}
    assert eval(repr(fault), names) == fault


def test_a_fault_prints_only_what_was_said() -> None:
    assert repr(faults.status(429, retry_after=1)) == "faults.status(429, retry_after=1.0)"
    assert repr(faults.hang()) == "faults.hang()"
    assert repr(Answer("x", cost=0.5)) == "Answer(text='x', cost=0.5)"
    assert repr(faults.cut(answer=Answer())) == "faults.cut(after=1, how='close', answer=Answer())"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: faults.status("500"), TypeError, "whole number"),
        (lambda: faults.status(True), TypeError, "whole number"),
        (lambda: faults.status(100), ValueError, "200 to 599"),
        (lambda: faults.status(600), ValueError, "200 to 599"),
        (lambda: faults.status(429, retry_after=-1), ValueError, "retry_after must be a finite"),
        (lambda: faults.status(429, retry_after=NAN), ValueError, "retry_after must be a finite"),
        (lambda: faults.status(500, headers={"a": "b\r\nc: d"}), ValueError, "without line ends"),
        (lambda: faults.status(500, body=3), TypeError, "body must be"),
        (lambda: faults.slow_first_byte(-1), ValueError, "seconds must be"),
        (lambda: faults.slow_first_byte(float("inf")), ValueError, "seconds must be"),
        (lambda: faults.slow_first_byte("1"), TypeError, "seconds must be"),
        (lambda: faults.slow_first_byte(1, then="x"), TypeError, "then must be"),
        (lambda: faults.drip(), ValueError, "either interval or"),
        (lambda: faults.drip(1, bytes_per_second=1), ValueError, "either interval or"),
        (lambda: faults.drip(bytes_per_second=0), ValueError, "more than 0"),
        (lambda: faults.drip(NAN), ValueError, "interval must be"),
        (lambda: faults.stall(after=-1), ValueError, "after must be 0 or more"),
        (lambda: faults.stall(after=1.5), TypeError, "after must be a whole number"),
        (lambda: faults.pings(interval=-0.1), ValueError, "interval must be"),
        (lambda: faults.cut(how="gently"), ValueError, "'close', 'reset' or 'clean'"),
        (lambda: faults.cut(after=None), TypeError, "after must be"),
        (lambda: faults.cut(answer="text"), TypeError, "answer must be"),
        (lambda: faults.error_in_200(faults.hang()), TypeError, "must be an HTTP error"),
        (lambda: faults.error_event(error=500), TypeError, "must be an HTTP error"),
        (lambda: Answer(3), TypeError, "text must be a string"),
        (lambda: Answer(reasoning=None), TypeError, "reasoning must be"),
        (lambda: Answer(encrypted_reasoning=b"x"), TypeError, "encrypted_reasoning must be"),
        (lambda: Answer(refusal=True), TypeError, "refusal must be"),
        (lambda: Answer(cost="1"), TypeError, "cost must be a number of dollars"),
        (lambda: Answer(cost=-0.01), ValueError, "cost must be a finite number of dollars"),
        (lambda: Answer(tool_calls=("f",)), TypeError, "ToolUse"),
        (lambda: Answer(chunks="abc"), TypeError, "not one string"),
        (lambda: Answer("abc", chunks=("a", "b")), ValueError, "add up"),
        (lambda: Answer(delay=NAN), ValueError, "delay must be"),
        (lambda: Answer(delay=-1), ValueError, "delay must be"),
        (lambda: Answer(prompt_tokens=-1), ValueError, "prompt_tokens must be"),
        (lambda: Answer(completion_tokens="3"), TypeError, "completion_tokens must be"),
        (lambda: Answer(cached_tokens=None), TypeError, "cached_tokens must be"),
        (lambda: ToolUse(""), TypeError, "name must be"),
        (lambda: ToolUse("f", "{}"), TypeError, "must be a mapping"),
    ],
)
def test_wrong_values(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_defaults_of_an_answer() -> None:
    assert Answer().text == DEFAULT_TEXT
    assert Answer().finish_reason == "stop"
    tool = Answer(tool_calls=[ToolUse("f")])  # type: ignore[arg-type]
    assert (tool.text, tool.finish_reason, tool.output_tokens, tool.parts) == ("", "tool_calls", 1, ())
    assert Answer(chunks=("a", "", "b")).parts == ("a", "b")
    assert Answer(chunks=("a", "", "b")).text == "ab"
    no = Answer(refusal="I will not")
    assert (no.text, no.finish_reason, no.output_tokens, no.parts) == ("", "stop", 3, ())
    assert no.in_words == Answer("I will not", chunks=("I", " will", " not"))
    assert Answer(chunks=("a", "b"), refusal="c d").in_words.parts == ("a", "b", "c", " d")
    assert Answer("a b", reasoning="c d e").output_tokens == 5
    assert Answer("a b", completion_tokens=9).output_tokens == 9


def test_an_answer_can_be_hashed_and_pickled() -> None:
    answer = Answer("x", tool_calls=(ToolUse("f", {"a": {"b": []}}),))
    assert hash(answer) == hash(pickle.loads(pickle.dumps(answer)))
    assert answer == pickle.loads(pickle.dumps(answer))


@given(st.text())
def test_pieces_add_up(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))
