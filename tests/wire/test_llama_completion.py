"""Real input: the adapter against a real llama-completion, if there is one on PATH."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters import LlamaCppProcess
from mainstay.pipeline import ErrorClass, ProviderError, Reply, Request, Unavailable
from support.fake_llama import held

pytestmark = pytest.mark.skipif(
    shutil.which("llama-completion") is None, reason="no llama-completion on PATH: NOTHING HERE WAS TRIED"
)
MODES = pytest.mark.parametrize("stream", [False, True], ids=["complete", "stream"])
Ask = Callable[..., Reply]


@pytest.fixture
def ask(tiny_model: Path) -> Ask:
    adapter = LlamaCppProcess(environment={"LLAMA_ARG_THREADS": "1"})

    def once(request: Request) -> Reply:
        reply = adapter(request)
        return reply.read() if request.stream else reply

    def ask(prompt: Any = "Hello", stream: bool = False, model: str = str(tiny_model), **params: Any) -> Reply:
        request = Request(model, prompt, params, stream)
        # A program that ends as fast as with this model now and then loses the end of what it wrote: see the adapter.
        for _ in range(20):
            try:
                return once(request)
            except Unavailable as error:
                if error.reason not in ("truncated_stream", "exit"):
                    raise
        return once(request)

    return ask


def failure(ask: Ask, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(**options)
    return caught.value


@MODES
def test_an_answer_of_some_tokens(ask: Ask, stream: bool) -> None:
    reply = ask(stream=stream, seed=1, max_tokens=5, ignore_eos=True)
    assert (reply.finish_reason, reply.native_finish_reason) == ("length", "limit")
    assert len(reply.text.split()) == 5
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 5)  # the first begins the text


def test_complete_and_streamed_are_the_same_text(ask: Ask) -> None:
    complete, streamed = (ask(stream=stream, seed=2, max_tokens=200) for stream in (False, True))
    assert complete.text == streamed.text
    assert (complete.finish_reason, complete.usage) == (streamed.finish_reason, streamed.usage)
    assert complete.text.strip()


def test_the_model_ends_its_answer(ask: Ask) -> None:
    reply = ask(seed=2, max_tokens=2000)
    assert (reply.finish_reason, reply.native_finish_reason) == ("stop", "eos")
    assert "end of text" not in reply.text
    assert not reply.text.endswith("\n")


@MODES
def test_a_stop_string_ends_the_answer_even_if_it_ends_the_prompt(ask: Ask, stream: bool) -> None:
    reply = ask("say his", stream=stream, seed=1, stop=["his"], ignore_eos=True)
    assert (reply.finish_reason, reply.native_finish_reason) == ("stop", "word")
    assert reply.text.strip()
    assert "his" not in reply.text


def test_a_conversation(ask: Ask) -> None:
    reply = ask([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], max_tokens=5, seed=1)
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == len("Be brief.\n\nUser: Hi\nAssistant:") + 1  # a token for each, and the first


def test_every_parameter_is_known(ask: Ask) -> None:
    reply = ask(
        max_tokens=2, temperature=0.5, top_k=3, top_p=0.9, min_p=0.1, top_n_sigma=1.0, typical_p=0.9,
        repeat_penalty=1.1, repeat_last_n=5, presence_penalty=0.1, frequency_penalty=0.1, dry_multiplier=0.5,
        dry_base=1.5, dry_allowed_length=3, dry_penalty_last_n=8, dry_sequence_breakers=["\n", ":"],
        xtc_probability=0.1, xtc_threshold=0.2, dynatemp_range=0.1, dynatemp_exponent=1.1, mirostat=0, mirostat_tau=4,
        mirostat_eta=0.2, adaptive_target=0.5, adaptive_decay=0.8, samplers=["top_k", "temperature"], seed=5,
        stop="never", logit_bias={"5": -1}, ignore_eos=True, num_ctx=256, num_keep=3, num_batch=64, num_thread=1,
        num_gpu=0, main_gpu=0,
    )  # fmt: skip
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 2


def test_a_grammar(ask: Ask) -> None:
    assert ask(max_tokens=20, grammar='root ::= "y" "e" "s"').text == "yes"


def test_what_it_refuses(ask: Ask, tmp_path: Path) -> None:
    assert failure(ask, model=str(tmp_path / "none.gguf")).error_class is ErrorClass.MODEL_NOT_FOUND
    assert failure(ask, prompt="word " * 600, num_ctx=256).reason == "context_length"
    assert failure(ask, grammar="root ::= (", max_tokens=5).reason == "bad_parameter"
    (tmp_path / "no.gguf").write_bytes(b"not a model")
    assert failure(ask, model=str(tmp_path / "no.gguf")).error_class is ErrorClass.UNAVAILABLE


def test_who_closes_ends_it(ask: Ask, tiny_model: Path) -> None:
    before = held()
    adapter = LlamaCppProcess(environment={"LLAMA_ARG_THREADS": "1"})
    endless = {"max_tokens": -1, "ignore_eos": True}
    with adapter(Request(str(tiny_model), "Hello", endless, stream=True)) as reply:
        assert next(reply).text
        assert held() != before
    assert held() == before
