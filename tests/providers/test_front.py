"""The front door: create_provider, ProviderChain, ProviderManager."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults
from mainstay.pipeline import (
    AllRoutesFailed,
    AuthenticationFailed,
    CircuitOpen,
    QuotaExceeded,
    Reply,
    Request,
    Route,
    Unavailable,
    VirtualClock,
)
from mainstay.providers import ProviderChain, ProviderManager, create_provider

Serve = Callable[..., Sandbox]


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the names of the front door are those of the world in turn."""
    for name in ("ProviderChain", "ProviderManager", "create_provider"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


def config(server: Sandbox, **more: Any) -> dict[str, Any]:
    key = {} if server.dialect == "ollama" else {"api_key": "sk-test"}
    return {"base_url": server.url, **key, **more}


# -- create_provider ---------------------------------------------------------------------------------------


def test_a_provider_answers_with_parameters(serve: Serve) -> None:
    server = serve("openai")
    with create_provider("openai", config(server)) as provider:
        reply = provider.execute("gpt-4o", "hello", parameters={"temperature": 0.2})
    assert reply.text == "Hello from the sandbox, all is well."
    assert (reply.provider, len(reply.attempts)) == ("openai", 1)
    assert server.seen[-1].body["temperature"] == 0.2
    assert server.seen[-1].body["messages"] == [{"role": "user", "content": "hello"}]


def test_a_provider_streams(serve: Serve) -> None:
    server = serve("claude")
    with create_provider("claude", config(server)) as provider, provider.stream("claude-x", "hello") as reply:
        pieces = [chunk.text for chunk in reply]
    assert "".join(pieces) == "Hello from the sandbox, all is well."
    assert len(pieces) > 3


def test_anthropic_is_another_name_for_claude(serve: Serve) -> None:
    with create_provider("anthropic", config(serve("claude"))) as provider:
        assert provider.execute("claude-x", "hello").provider == "claude"


def test_an_unknown_kind_or_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"unknown provider 'opnai' \(did you mean 'openai'\?\)"):
        create_provider("opnai", {})
    with pytest.raises(ValueError, match=r"openai has no option 'api_kee' \(did you mean 'api_key'\?\)"):
        create_provider("openai", {"api_kee": "x"})


def test_a_missing_key_is_told_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AuthenticationFailed, match="OPENAI_API_KEY"):
        create_provider("openai", {})


def test_the_repr_of_a_provider_shows_no_key(serve: Serve) -> None:
    with create_provider("openai", {**config(serve("openai")), "api_key": "sk-very-secret"}) as provider:
        assert "very-secret" not in repr(provider) + str(provider) + repr(provider.adapter) + repr(provider.route)


# -- ProviderChain -----------------------------------------------------------------------------------------


def test_a_chain_moves_on_and_the_reply_says_how_it_came_about(serve: Serve) -> None:
    servers = [serve(dialect) for dialect in ("openai", "claude", "ollama")]
    servers[0].always(faults.quota())
    servers[1].always(faults.bad_key())
    servers[2].always(Answer("from the llama"))
    openai = create_provider("openai", config(servers[0]))
    claude = create_provider("claude", config(servers[1], model="claude-sonnet-4-5"))
    ollama = create_provider("ollama", config(servers[2], model="llama3.2"))
    with ProviderChain([("openai", openai), ("claude", claude), ("ollama", ollama)]) as chain:
        reply = chain.execute("gpt-4o", "hello")
    assert (reply.text, reply.provider) == ("from the llama", "ollama")
    assert [attempt.route for attempt in reply.attempts] == ["openai", "claude", "ollama"]
    assert [server.seen[-1].body["model"] for server in servers] == ["gpt-4o", "claude-sonnet-4-5", "llama3.2"]


def test_a_chain_of_mixed_protocols_must_know_every_model(serve: Serve) -> None:
    with (
        create_provider("openai", config(serve("openai"))) as openai,
        create_provider("claude", config(serve("claude"))) as claude,
        pytest.raises(ValueError, match="'claude' does not say which model it uses"),
    ):
        ProviderChain([("openai", openai), ("claude", claude)])


def test_two_of_one_protocol_may_share_the_model_that_is_asked_for(serve: Serve) -> None:
    first, second = serve("openai", refusing=True), serve("openai")
    with ProviderChain(
        [("eu", create_provider("openai", config(first))), ("us", create_provider("openai", config(second)))],
        clock=VirtualClock(),
    ) as chain:
        reply = chain.execute("gpt-4o", "hello")
    assert reply.attempts[-1].route == "us"
    assert second.seen[-1].body["model"] == "gpt-4o"


def test_models_maps_what_is_asked_for(serve: Serve) -> None:
    server = serve("claude")
    provider = create_provider("claude", config(server, models={"gpt-4o": "claude-sonnet-4-5"}))
    with ProviderChain([("claude", provider)]) as chain:
        chain.execute("gpt-4o", "hello")
    assert server.seen[-1].body["model"] == "claude-sonnet-4-5"


def test_a_chain_takes_routes_and_plain_handlers_too() -> None:
    def canned(request: Request) -> Reply:
        return Reply(f"canned {request.model}")

    chain = ProviderChain([("canned", canned), Route("other", canned, model="x")])
    assert chain.execute("m", "hello").text == "canned m"


def test_a_chain_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        ProviderChain([])


# -- ProviderManager ---------------------------------------------------------------------------------------


def test_a_manager_answers_alone_and_in_a_chain_and_tells_how_all_are_doing(serve: Serve) -> None:
    openai, claude = serve("openai", refusing=True), serve("claude")
    clock = VirtualClock()
    with ProviderManager(clock=clock) as manager:
        manager.add_provider("openai", config(openai))
        manager.add_provider("claude", config(claude, model="claude-sonnet-4-5"))
        manager.setup_fallback_chain(["openai", "claude"])
        for _ in range(4):
            assert manager.execute_with_fallback("gpt-4o", "hello").provider == "claude"
        status = manager.get_provider_status()

        assert status["openai"]["healthy"] is False
        assert (status["openai"]["state"], status["openai"]["errors"]) == ("open", 5)
        assert (status["openai"]["last_error"], status["openai"]["reason"]) == ("unavailable", "connection_refused")
        assert status["openai"]["reopens_at"] > status["openai"]["since"]
        assert status["claude"]["healthy"] is True
        assert (status["claude"]["attempts"], status["claude"]["errors"]) == (4, 0)

        assert manager.execute("claude", "claude-x", "hello").provider == "claude"
        with manager.stream("claude", "claude-x", "hello") as reply:
            assert reply.read().text
        with manager.stream_with_fallback("gpt-4o", "hello") as reply:
            assert reply.read().provider == "claude"
        assert manager.get_provider_status()["claude"]["attempts"] == 7
        assert claude.count == 7


def test_after_its_break_the_first_provider_is_asked_again(serve: Serve) -> None:
    openai, claude = serve("openai", refusing=True), serve("claude")
    clock = VirtualClock()
    with ProviderManager(clock=clock) as manager:
        manager.add_provider("openai", config(openai))
        manager.add_provider("claude", config(claude, model="c"))
        manager.setup_fallback_chain(["openai", "claude"])
        for _ in range(3):
            manager.execute_with_fallback("gpt-4o", "hello")
        openai.accept()
        assert manager.execute_with_fallback("gpt-4o", "hello").provider == "claude"
        clock.advance(5.0)
        assert manager.execute_with_fallback("gpt-4o", "hello").provider == "openai"
        assert manager.get_provider_status()["openai"]["state"] == "closed"


def test_several_providers_of_one_kind_have_names_of_their_own(serve: Serve) -> None:
    first, second = serve("openai"), serve("openai")
    with ProviderManager() as manager:
        manager.add_provider("eu", config(first), kind="openai")
        manager.add_provider("us", config(second), kind="openai")
        manager.execute("us", "gpt-4o", "hello")
        assert (first.count, second.count) == (0, 1)
        assert manager.get_provider_status()["us"]["attempts"] == 1


def test_a_provider_that_is_down_alone_is_down_in_the_chain_and_the_status_says_so(serve: Serve) -> None:
    openai, claude = serve("openai"), serve("claude")
    openai.always(faults.quota())
    with ProviderManager() as manager:
        manager.add_provider("openai", config(openai))
        manager.add_provider("claude", config(claude, model="c"))
        manager.setup_fallback_chain(["openai", "claude"])
        with pytest.raises(QuotaExceeded):
            manager.execute("openai", "gpt-4o", "hello")
        status = manager.get_provider_status()["openai"]
        assert (status["healthy"], status["state"], status["errors"]) == (False, "open", 1)
        assert manager.execute_with_fallback("gpt-4o", "hello").provider == "claude"
        manager.setup_fallback_chain(["openai", "claude"])
        assert manager.execute_with_fallback("gpt-4o", "hello").provider == "claude"
        with pytest.raises(CircuitOpen) as caught:
            manager.execute("openai", "gpt-4o", "hello")
        assert caught.value.hint  # what a person should do is still told
    assert openai.count == 1


def test_servers_that_speak_alike_share_the_model_that_is_asked_for(serve: Serve) -> None:
    first, second = serve("openai", refusing=True), serve("openai")
    with ProviderChain(
        [
            ("openai", create_provider("openai", config(first))),
            ("local", create_provider("openai", config(second, compatible=True))),
        ],
        clock=VirtualClock(),
    ) as chain:
        assert chain.execute("gpt-4o", "hello").attempts[-1].route == "local"


def test_an_option_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="colck"):
        ProviderChain([("canned", lambda request: Reply())], colck=VirtualClock())  # type: ignore[call-arg]


def test_wrong_use_of_a_manager_says_what_to_do(serve: Serve) -> None:
    with ProviderManager() as manager:
        with pytest.raises(LookupError, match="none yet: add_provider"):
            manager.execute("openai", "gpt-4o", "hello")
        with pytest.raises(RuntimeError, match="setup_fallback_chain"):
            manager.execute_with_fallback("gpt-4o", "hello")
        manager.add_provider("openai", config(serve("openai")))
        with pytest.raises(ValueError, match="already"):
            manager.add_provider("openai", {})
        with pytest.raises(LookupError, match="there is openai"):
            manager.setup_fallback_chain(["openai", "claude"])
        assert repr(manager).replace("Async", "") == "<ProviderManager openai>"


def test_when_all_routes_are_open_it_fails_fast_with_the_smallest_wait(serve: Serve) -> None:
    servers = [serve("openai", refusing=True), serve("claude", refusing=True)]
    with ProviderManager(clock=VirtualClock()) as manager:
        manager.add_provider("openai", config(servers[0]))
        manager.add_provider("claude", config(servers[1], model="c"))
        manager.setup_fallback_chain(["openai", "claude"])
        for _ in range(3):
            with pytest.raises(AllRoutesFailed):
                manager.execute_with_fallback("gpt-4o", "hello")
        with pytest.raises(AllRoutesFailed) as caught:
            manager.execute_with_fallback("gpt-4o", "hello")
    assert [type(error) for error in caught.value.errors] == [CircuitOpen, CircuitOpen]
    assert len(caught.value.attempts) == 0
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 5
    assert isinstance(caught.value.errors[0].__cause__, Unavailable)
