"""The kinds of provider, and what each of them can be asked besides chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.pipeline import AuthenticationFailed, ModelNotFound, Reply, Request, VirtualClock
from mainstay.providers import Provider, ProviderManager, create_provider

Serve = Callable[..., Sandbox]
KEY = "sk-test-key"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key comes from the environment."""
    for owner in ("OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA", "LLAMA"):
        monkeypatch.delenv(f"{owner}_API_KEY", raising=False)


# -- kinds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "dialect", "provider"),
    [
        ("openai", "openai", "openai"),
        ("openai_compatible", "openai", "openai-compatible"),
        ("claude", "claude", "claude"),
        ("openrouter", "openrouter", "openrouter"),
        ("ollama", "ollama", "ollama"),
        ("llama_cpp", "llama_cpp", "llama_cpp"),
    ],
)
def test_every_kind_answers(serve: Serve, kind: str, dialect: str, provider: str) -> None:
    server = serve(dialect, key=KEY)
    with create_provider(kind, {"base_url": server.url, "api_key": KEY}) as made:
        reply = made.execute("a-model", "hello")
    assert (reply.text, reply.provider) == ("Hello from the sandbox, all is well.", provider)


def test_a_compatible_server_needs_no_key_and_gets_none_of_openai(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-others")
    server = serve("llama_cpp")
    with create_provider("openai_compatible", {"base_url": f"{server.url}/v1"}) as made:
        made.execute("a-model", "hello", parameters={"repetition_penalty": 1.1})
    assert "authorization" not in server.seen[-1].headers
    assert server.seen[-1].body["repetition_penalty"] == 1.1


@pytest.mark.parametrize(
    ("kind", "meant"),
    [("llama.cpp", "llama_cpp"), ("llamacpp", "llama_cpp"), ("open-router", "openrouter"),
     ("openai-compatible", "openai_compatible")],
)  # fmt: skip
def test_a_kind_in_another_spelling_is_refused_with_the_right_one(kind: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"did you mean {meant!r}"):
        create_provider(kind)


def test_a_missing_key_is_told_by_the_name_of_its_variable() -> None:
    with pytest.raises(AuthenticationFailed, match="OPENROUTER_API_KEY"):
        create_provider("openrouter")


# -- models and probes -------------------------------------------------------------------------------------


def test_a_provider_tells_its_models(serve: Serve) -> None:
    server = serve("openrouter", models={"a/b"})
    with create_provider("openrouter", {"base_url": server.url, "api_key": KEY}) as provider:
        (model,) = provider.models()
    assert (model.id, model.window, model.max_output) == ("a/b", 131072, 16384)


@pytest.mark.parametrize(
    ("config", "asked", "looked_for"),
    [
        ({}, None, None),
        ({}, "gpt-4o", "gpt-4o"),
        ({"model": "gpt-4o"}, None, "gpt-4o"),
        ({"model": "gpt-4o"}, "any", "gpt-4o"),
        ({"models": {"big": "gpt-4o"}}, "big", "gpt-4o"),
    ],
)
def test_a_probe_looks_for_the_model_that_a_request_would_be_sent_to(
    serve: Serve, config: dict[str, object], asked: str | None, looked_for: str | None
) -> None:
    server = serve("openai", models={"gpt-4o"})
    with create_provider("openai", {"base_url": server.url, "api_key": KEY, **config}) as provider:
        found = provider.probe(asked).model
    assert (found.id if found else None) == looked_for
    assert server.count == 0


def test_a_probe_runs_on_the_clock_of_the_provider(serve: Serve) -> None:
    with create_provider("ollama", {"base_url": serve("ollama").url}, clock=VirtualClock()) as provider:
        assert provider.probe().latency == 0


def test_a_probe_leaves_health_and_breaker_as_they_are(serve: Serve) -> None:
    config = {"base_url": serve("openai", key="sk-another").url, "api_key": KEY}
    with create_provider("openai", config) as provider:
        before = provider.status()
        with pytest.raises(AuthenticationFailed):
            provider.probe()
        assert provider.status() == before


def test_a_plain_handler_cannot_be_asked_and_says_so() -> None:
    def canned(request: Request) -> Reply:
        return Reply("canned")

    for ask in (Provider("mine", canned).probe, Provider("mine", canned).models):
        with pytest.raises(TypeError, match="'mine' cannot be asked: function has no"):
            ask()


def test_a_manager_probes_all_of_its_providers(serve: Serve) -> None:
    with ProviderManager() as manager:
        assert manager.probe() == {}
        manager.add_provider("good", {"base_url": serve("ollama").url}, kind="ollama")
        manager.add_provider("bad", {"base_url": serve("openai", key="sk-another").url, "api_key": KEY}, kind="openai")
        lacking = {"base_url": serve("ollama").url, "model": "qwen3"}
        manager.add_provider("lacking", lacking, kind="ollama")
        serving = {"base_url": serve("ollama", models={"qwen3:latest"}).url, "model": "qwen3"}
        manager.add_provider("serving", serving, kind="ollama")
        found = manager.probe()
    assert list(found) == ["good", "bad", "lacking", "serving"]
    good, bad, lacking_one, serving_one = found.values()
    assert not isinstance(good, Exception)
    assert isinstance(bad, AuthenticationFailed)
    assert bad.__traceback__ is None
    assert isinstance(lacking_one, ModelNotFound)
    assert not isinstance(serving_one, Exception)
    assert serving_one.model is not None
    assert serving_one.model.id == "qwen3:latest"
