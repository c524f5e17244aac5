"""Rules of one's own for errors: given to an adapter, they are asked first, wherever an error may come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters import Claude, LlamaCpp, LlamaCppProcess, Ollama, OpenAI, OpenRouter, Rule
from mainstay.adapters.sandbox import Answer, Fault, Sandbox, faults
from mainstay.middleware import Fallback
from mainstay.pipeline import ErrorClass, ProviderError, QuotaExceeded, Reply, Request, Route, Stack
from mainstay.providers import create_provider
from support.fake_llama import fake_llama

WORDS = "the budget of tenant blue is used up"
OURS = Rule(ErrorClass.QUOTA, "tenant_budget", markers=(("budget of tenant", "used up"),), hint="ask the platform team")
ADAPTERS: dict[str, type[Any]] = {
    "openai": OpenAI,
    "claude": Claude,
    "openrouter": OpenRouter,
    "ollama": Ollama,
    "llama_cpp": LlamaCpp,
}
REFUSED = faults.status(403, message=WORDS)
FAULTS: dict[str, tuple[Fault, bool]] = {
    "a status, complete": (REFUSED, False),
    "a status, for a stream": (REFUSED, True),
    "in a 200": (faults.error_in_200(REFUSED), False),
    "in a 200, for a stream": (faults.error_in_200(REFUSED), True),
    "in the middle of a stream": (faults.error_event(1, error=REFUSED, answer=Answer("one two three")), True),
}


def adapter_of(dialect: str, server: Sandbox, **options: Any) -> Any:
    key = {} if dialect == "ollama" else {"api_key": "sk-1"}
    return ADAPTERS[dialect](base_url=server.url, **key, **options)


def failure(adapter: Any, stream: bool) -> ProviderError:
    with adapter, pytest.raises(ProviderError) as caught:
        adapter(Request("m", "Hi there", stream=stream)).read()
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("dialect", ADAPTERS)
def test_they_are_asked_first(dialect: str, name: str) -> None:
    fault, stream = FAULTS[name]
    with Sandbox(dialect) as server:
        server.always(fault)
        plain = failure(adapter_of(dialect, server), stream)
        assert plain.reason != "tenant_budget"
        error = failure(adapter_of(dialect, server, rules=[OURS]), stream)
    assert isinstance(error, QuotaExceeded)
    assert (error.reason, error.hint) == ("tenant_budget", "ask the platform team")


@pytest.mark.parametrize("dialect", [dialect for dialect in ADAPTERS if dialect != "ollama"])  # which knows no keys
def test_a_probe_asks_them_too(dialect: str) -> None:
    with (
        Sandbox(dialect, key="another") as server,
        adapter_of(dialect, server, rules=[_key_rule()]) as adapter,
        pytest.raises(ProviderError) as caught,
    ):
        adapter.probe()
    assert caught.value.reason == "vault"


def _key_rule() -> Rule:
    """Whatever a 401 says, it is the vault's fault."""
    return Rule(
        ErrorClass.AUTHENTICATION,
        "vault",
        markers=("key", "auth", "user not found"),
        kinds=("unauthorized",),
        statuses=(401,),
    )


@pytest.mark.skipif(os.name != "posix", reason="programs need POSIX")
def test_a_program_s_complaints_are_held_against_them(tmp_path: Path) -> None:
    llama = fake_llama(tmp_path, f"log('error: {WORDS}'); sys.exit(1)", "rules")
    error = failure(LlamaCppProcess("m", binary=str(llama.path), rules=[OURS]), False)
    assert (error.error_class, error.reason) == (ErrorClass.QUOTA, "tenant_budget")


def test_layers_act_on_what_they_say() -> None:
    with Sandbox("openai") as server:
        server.always(faults.status(400, message=WORDS))  # a wrong request would go to no other route
        first = adapter_of("openai", server, rules=[OURS])
        with Stack([], Fallback(Route("a", first), Route("b", lambda request: Reply("here")))) as stack:
            assert stack(Request("m", "Hi there")).text == "here"


def test_a_provider_takes_them() -> None:
    with Sandbox("openai") as server:
        server.always(REFUSED)
        provider = create_provider("openai", {"api_key": "sk-1", "base_url": server.url, "rules": [OURS]})
        with provider, pytest.raises(QuotaExceeded):
            provider.execute("m", "Hi there")


@pytest.mark.parametrize("rules", [OURS, ["tenant"], [None], "tenant"])
@pytest.mark.parametrize("kind", [OpenAI, Claude, OpenRouter, Ollama, LlamaCpp, LlamaCppProcess])
def test_what_is_no_rule_is_refused(kind: Any, rules: Any) -> None:
    key = {"api_key": "sk-1"} if kind in (OpenAI, Claude, OpenRouter) else {}
    with pytest.raises(TypeError, match="rules must be Rules"):
        kind(rules=rules, **key)
