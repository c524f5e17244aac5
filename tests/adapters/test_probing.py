"""What a provider can be asked besides chat: its models, and whether it would answer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.adapters import (
    Adapter,
    ClaudeCodec,
    Codec,
    HttpCodec,
    LlamaCppCodec,
    OllamaCodec,
    OpenAI,
    OpenAICodec,
    OpenRouterCodec,
)
from mainstay.adapters.endpoints import Model, endpoints_of, model_of
from mainstay.adapters.sandbox import Sandbox
from mainstay.adapters.schemas import OPENAI
from mainstay.pipeline import (
    AuthenticationFailed,
    ErrorClass,
    ModelNotFound,
    ProviderError,
    TimedOut,
    Timeouts,
    Unavailable,
    VirtualClock,
)
from support.raw_server import Heard, RawServer, head, ready

KEY = "sk-very-secret-key"
DIALECTS = ("openai", "claude", "openrouter", "ollama", "llama_cpp")
Serve = Callable[..., Adapter]


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no address comes from the environment."""
    for owner in ("OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA", "LLAMA"):
        for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL", "ORG_ID", "PROJECT_ID", "HOST"):
            monkeypatch.delenv(f"{owner}_{name}", raising=False)


@pytest.fixture
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Both worlds in turn: the names are those of the world in turn."""
    for name in ("Adapter", "OpenAI"):
        monkeypatch.setattr(sys.modules[__name__], name, getattr(either, name))
    return either


@pytest.fixture
def clean_up(world: Any) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(clean_up: ExitStack, world: Any) -> Serve:
    """An adapter on a sandbox that speaks its protocol; the sandbox is its `.server`."""

    def make(dialect: str, *, key: str | None = KEY, options: Mapping[str, Any] | None = None, **rules: Any) -> Adapter:
        server = clean_up.enter_context(Sandbox(dialect, key=key, **rules))
        adapter = clean_up.enter_context(ready(world)[dialect](server.url, **{"api_key": KEY, **(options or {})}))
        adapter.server = server
        return adapter

    return make


@pytest.fixture
def answer(clean_up: ExitStack, world: Any) -> Serve:
    """An adapter on a server that answers each path with what stands in a table, a status and JSON; else with 404."""

    def make(dialect: str, table: Mapping[str, Any], path: str = "", **options: Any) -> Adapter:
        def play(heard: Heard) -> Iterable[bytes]:
            status, body = table.get(heard.line.split()[1], (404, {"error": "not found"}))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            yield head("application/json", f"Content-Length: {len(data)}", "Connection: close", status=f"{status} Said")
            yield data

        server = clean_up.enter_context(RawServer(play))
        adapter = clean_up.enter_context(ready(world)[dialect](server.url + path, **options))
        adapter.server = server
        return adapter

    return make


def asked(adapter: Any) -> list[str]:
    """What the server was asked, in order."""
    server = adapter.server
    if isinstance(server, RawServer):
        return [heard.line.removesuffix(" HTTP/1.1") for heard in server.heard]
    return [f"{seen.method} {seen.path}{'?' * bool(seen.query)}{seen.query}" for seen in server.seen]


def failure(ask: Callable[[], object]) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask()
    return caught.value


# -- models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_provider_tells_its_models(serve: Serve, dialect: str) -> None:
    adapter = serve(dialect, models={"one:latest", "two:latest"})
    assert [model.id for model in adapter.models()] == ["one:latest", "two:latest"]
    assert all(question.startswith("GET ") for question in asked(adapter))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_provider_without_models_tells_none(serve: Serve, dialect: str) -> None:
    assert serve(dialect, models=set()).models() == ()


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        ({"id": "gpt-4o", "object": "model", "owned_by": "openai"}, Model("gpt-4o", "gpt-4o")),
        (
            {"id": "claude-x", "display_name": "Claude X", "max_input_tokens": 200_000, "max_tokens": 64_000},
            Model("claude-x", "Claude X", 200_000, 64_000),
        ),
        ({"id": "claude-x", "display_name": None, "type": "model"}, Model("claude-x", "claude-x")),
        (
            {"id": "a/b", "name": "A: B", "context_length": 131072, "top_provider": {"max_completion_tokens": 16384}},
            Model("a/b", "A: B", 131072, 16384),
        ),
        ({"id": "a/b", "context_length": 8e3, "top_provider": {}}, Model("a/b", "a/b", 8000)),
        ({"id": "a/b", "context_length": 0, "top_provider": None}, Model("a/b", "a/b")),
        ({"name": "m:latest", "details": {"context_length": 4096}}, Model("m:latest", "m:latest", 4096)),
        ({"id": "m.gguf", "meta": {"n_ctx": 256, "n_ctx_train": 2048}}, Model("m.gguf", "m.gguf", 256)),
        ({"id": "m", "max_model_len": 32768}, Model("m", "m", 32768)),
        ({"id": "m", "context_length": "a lot", "max_tokens": True, "meta": []}, Model("m", "m")),
    ],
)  # fmt: skip
def test_what_an_entry_says(entry: dict[str, Any], model: Model) -> None:
    found = model_of(entry)
    assert found == model
    assert found.raw == entry
    assert "raw" not in repr(found)


def test_a_long_list_comes_in_pages(answer: Serve) -> None:
    page = "/v1/models?limit=1000"
    adapter = answer(
        "claude",
        {
            page: (200, {"data": [{"id": "a"}, {"id": "b&c"}], "has_more": True, "last_id": "b&c"}),
            f"{page}&after_id=b%26c": (200, {"data": [{"id": "d"}], "has_more": False}),
        },
    )
    assert [model.id for model in adapter.models()] == ["a", "b&c", "d"]
    assert [heard.headers["anthropic-version"] for heard in adapter.server.heard] == ["2023-06-01"] * 2


def test_a_query_of_the_base_url_stays_behind_that_of_a_page(answer: Serve) -> None:
    adapter = answer("claude", {"/v1/models?limit=1000&tenant=blue": (200, {"data": []})}, "?tenant=blue")
    assert adapter.models() == ()


@pytest.mark.parametrize("page", [{"data": [{"id": "a"}], "has_more": True}, {"data": [], "has_more": True}])
def test_a_list_without_end_is_no_list(answer: Serve, page: dict[str, Any]) -> None:
    path = "/v1/models?limit=1000"
    adapter = answer("claude", {path: (200, page), f"{path}&after_id=a": (200, page)})
    error = failure(adapter.models)
    assert (error.error_class, error.reason) == (ErrorClass.UNAVAILABLE, "malformed_response")
    assert len(asked(adapter)) <= 20


def test_only_claude_has_pages(answer: Serve) -> None:
    adapter = answer("openai", {"/models": (200, {"data": [{"id": "a"}], "has_more": True})})
    assert [model.id for model in adapter.models()] == ["a"]
    assert asked(adapter) == ["GET /models"]


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"<html><body>Welcome!</body></html>", [], {}, {"data": None}, {"data": "gpt-4o"},
     {"data": {"id": "gpt-4o"}}, {"data": ["gpt-4o"]}, {"data": [{"object": "model"}]}, {"data": [{"id": 7}]},
     {"data": [{"id": "gpt-4o"}, None]}, {"data": [{"id": ""}]}],
)  # fmt: skip
def test_what_is_no_list_of_models_is_malformed(answer: Serve, body: Any) -> None:
    error = failure(answer("openai", {"/models": (200, body)}).models)
    assert (error.error_class, error.reason, error.status) == (ErrorClass.UNAVAILABLE, "malformed_response", 200)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "models", "id", "name", "has_more", "context_length", "meta", "n_ctx"]), inner
            )
        ),
    ),
    st.sampled_from([OpenAICodec(OPENAI), ClaudeCodec(), OpenRouterCodec(), OllamaCodec(), LlamaCppCodec()]),
)
def test_any_answer_is_read_or_refused(data: Any, codec: HttpCodec) -> None:
    ends = endpoints_of(codec)
    try:
        models, _ = ends.page({ends.entries: data})
    except Unavailable as error:
        refused = error.reason
    else:
        refused = ""
        assert len(models) == len(data)
        assert all(model.id and model.name and (model.window is None or model.window > 0) for model in models)
    assert refused in ("", "malformed_response")


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["openai", "claude", "llama_cpp"])
def test_a_bad_key_is_told_with_what_to_do(serve: Serve, dialect: str) -> None:
    adapter = serve(dialect, key="sk-another")
    for ask in (adapter.models, adapter.probe):
        error = failure(ask)
        assert (error.error_class, error.status, error.provider) == (ErrorClass.AUTHENTICATION, 401, dialect)
        assert "check" in error.hint


def test_openrouter_tells_its_models_to_anybody_but_a_probe_proves_the_key(serve: Serve) -> None:
    adapter = serve("openrouter", key="sk-another")
    assert adapter.models()
    for model in (None, "openai/gpt-4o"):
        with pytest.raises(AuthenticationFailed, match="check OPENROUTER_API_KEY"):
            adapter.probe(model)


def test_no_error_shows_the_key_that_a_server_repeats(answer: Serve) -> None:
    said = {"error": {"message": f"Unknown parameter, key {KEY}", "code": KEY, "type": "x"}}
    error = failure(answer("openai", {"/models": (400, said)}, api_key=KEY).models)
    shown = f"{error} {error!r} {error.detail} {error.code} {error.hint} {error.__cause__} {error.__context__}"
    assert KEY not in shown
    assert "***" in error.detail


def test_an_error_inside_a_good_status_is_told_as_that(answer: Serve) -> None:
    said = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    assert failure(answer("openai", {"/models": (200, said)}).models).error_class is ErrorClass.QUOTA


def test_a_server_that_is_not_there_is_told_with_what_to_do(serve: Serve) -> None:
    adapter = serve("ollama", refusing=True)
    error = failure(adapter.probe)
    assert (error.reason, error.hint) == ("connection_refused", "is ollama running? start it with `ollama serve`")


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (200, b"<html><title>Log in</title></html>", "base URL"),
        (200, [], "base URL"),
        (200, {}, "base URL"),
        (400, {"error": {"message": "no"}}, "base URL"),
        (408, b"", "time"),
        (429, {"error": {"message": "Rate limit reached"}}, "wait"),
        (500, b"oops", "status page"),
        (503, b"", "status page"),
    ],
)
def test_a_probe_that_fails_always_says_what_to_do(answer: Serve, status: int, body: Any, hint: str) -> None:
    assert hint in failure(answer("openai", {"/models": (status, body)}, api_key=KEY).probe).hint


def test_a_provider_that_is_not_there_is_told_with_what_to_do(serve: Serve) -> None:
    assert "whether the server is running" in failure(serve("openai", refusing=True).probe).hint


def test_a_path_that_a_server_does_not_have_is_told_by_its_url(answer: Serve) -> None:
    error = failure(answer("openai", {}).models)
    assert (error.error_class, error.reason) == (ErrorClass.INVALID_REQUEST, "bad_endpoint")
    assert "base URL" in error.hint


def test_a_body_that_drips_does_not_outlast_the_timeout(clean_up: ExitStack) -> None:
    def drip(heard: Heard) -> Iterable[bytes | float]:
        yield head("application/json", "Content-Length: 100000")
        for _ in range(100_000):
            yield b" "
            yield 0.02

    server = clean_up.enter_context(RawServer(drip))
    adapter = clean_up.enter_context(OpenAI(KEY, base_url=server.url, timeouts=Timeouts()))
    for ask in (adapter.models, adapter.probe):
        start = time.monotonic()
        with pytest.raises(TimedOut, match=r"no answer within 0\.3 s") as caught:
            ask(timeout=0.3)
        assert time.monotonic() - start < 10
        assert caught.value.reason == "total"
    assert server.wait_until_left(2)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_none_is_refused(serve: Serve, timeout: float) -> None:
    adapter = serve("openai")
    with pytest.raises(ValueError, match="timeout must be a number of seconds"):
        adapter.probe(timeout=timeout)
    assert asked(adapter) == []


def test_a_protocol_that_has_no_questions_says_so(serve: Serve) -> None:
    class Plain(Codec[Any]):
        provider, label = "mine", "Mine"

        def encode(self, request: object) -> Any: ...
        def decode(self, *_: object) -> Any: ...
        def decoder(self) -> Any: ...

    error = failure(Adapter(Plain(), serve("openai").transport).probe)
    assert (error.reason, error.provider) == ("not_supported", "mine")
    assert "Mine cannot be asked for its models" in str(error)
    assert not error.hint


# -- probe -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "model", "questions"),
    [
        ("openai", None, ["GET /v1/models"]),
        ("openai", "gpt-4o", ["GET /v1/models/gpt-4o"]),
        ("claude", None, ["GET /v1/models?limit=1"]),
        ("claude", "claude-sonnet-4-5", ["GET /v1/models/claude-sonnet-4-5"]),
        ("openrouter", None, ["GET /api/v1/key"]),
        ("openrouter", "openai/gpt-4o", ["GET /api/v1/key", "GET /api/v1/models"]),
        ("ollama", None, ["GET /api/version"]),
        ("ollama", "llama3.2:latest", ["GET /api/version", "GET /api/tags"]),
        ("llama_cpp", None, ["GET /health", "GET /v1/models"]),
        ("llama_cpp", "model.gguf", ["GET /health", "GET /v1/models"]),
    ],
)
def test_a_probe_asks_what_is_cheapest_and_never_for_an_answer(
    serve: Serve, dialect: str, model: str | None, questions: list[str]
) -> None:
    adapter = serve(dialect)
    found = adapter.probe(model)
    assert asked(adapter) == questions
    assert (found.model.id if found.model else None) == model
    assert found.key is (None if dialect == "ollama" else True)
    assert found.latency > 0


def test_the_model_of_the_adapter_is_the_one_that_is_looked_for(serve: Serve) -> None:
    adapter = serve("openai", models={"gpt-4o"}, options={"model": "gpt-4o"})
    found = adapter.probe().model
    assert found is not None
    assert found.id == "gpt-4o"
    with pytest.raises(ModelNotFound):
        adapter.probe("gpt-5")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_model_that_is_not_there_is_told_as_that(serve: Serve, dialect: str) -> None:
    error = failure(lambda: serve(dialect, models={"llama3.1:latest", "two:latest"}).probe("llama3.2"))
    assert (error.error_class, error.model, error.provider) == (ErrorClass.MODEL_NOT_FOUND, "llama3.2", dialect)
    assert "llama3.2" in str(error)
    if dialect == "ollama":
        assert error.hint == "run `ollama pull llama3.2`"
    if dialect in ("openrouter", "ollama", "llama_cpp"):
        assert "the nearest is 'llama3.1:latest'" in str(error)


def test_a_compatible_server_is_asked_for_its_list_because_few_have_entries(clean_up: ExitStack, serve: Serve) -> None:
    server = serve("openai", models={"org/model"}).server
    adapter = clean_up.enter_context(OpenAI(KEY, base_url=server.url, compatible=True))
    found = adapter.probe("org/model").model
    assert found is not None
    assert found.id == "org/model"
    with pytest.raises(ModelNotFound):
        adapter.probe("other")
    assert {seen.path for seen in server.seen} == {"/v1/models"}


def test_a_server_without_keys_needs_none(serve: Serve) -> None:
    for dialect in ("ollama", "llama_cpp"):
        assert serve(dialect, key=None, options={"api_key": None}).probe().key is False


def test_the_name_of_a_model_is_quoted_in_a_path(answer: Serve) -> None:
    adapter = answer("openai", {"/models/ft:gpt-4o%2Fx%3Fy": (200, {"id": "ft:gpt-4o/x?y"})})
    found = adapter.probe("ft:gpt-4o/x?y").model
    assert found is not None
    assert found.id == "ft:gpt-4o/x?y"


@pytest.mark.parametrize(
    ("name", "there"),
    [("llama3.2", True), ("llama3.2:latest", True), ("llama3.2:1b", False), ("llama3", False), ("qwen3:4b", True),
     ("qwen3", False), ("hub:5000/me/tiny", True), ("hub:5000/me/tiny:latest", True), ("hub:5000", False)],
)  # fmt: skip
def test_in_ollama_a_name_without_a_tag_means_the_latest(serve: Serve, name: str, there: bool) -> None:
    adapter = serve("ollama", models={"llama3.2:latest", "qwen3:4b", "hub:5000/me/tiny:latest"})
    if there:
        assert adapter.probe(name).model is not None
    else:
        with pytest.raises(ModelNotFound):
            adapter.probe(name)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a/b", "a/b"), ("a/b:free", "a/b:free"), ("a/b:nitro", "a/b"), ("a/b:floor", "a/b"), ("a/b@preset/mine", "a/b"),
     ("@preset/mine", None), ("a/b:thinking", ModelNotFound), ("a/c:nitro", ModelNotFound)],
)  # fmt: skip
def test_in_openrouter_a_suffix_may_choose_the_way_and_not_the_model(serve: Serve, name: str, found: Any) -> None:
    adapter = serve("openrouter", models={"a/b", "a/b:free"})
    if found is ModelNotFound:
        with pytest.raises(ModelNotFound):
            adapter.probe(name)
    else:
        model = adapter.probe(name).model
        assert (model.id if model else None) == found


def test_a_llama_server_with_one_model_serves_it_under_any_name(serve: Serve) -> None:
    found = serve("llama_cpp").probe("whatever").model
    assert found is not None
    assert found.id == "model.gguf"


def test_a_llama_server_with_several_models_knows_their_names_and_aliases(answer: Serve) -> None:
    listed = [{"id": "one.gguf", "aliases": ["uno"], "status": {"value": "unloaded"}}]
    adapter = answer("llama_cpp", {"/health": (200, {"status": "ok"}), "/v1/models": (200, {"data": listed})})
    found = adapter.probe("uno").model
    assert found is not None
    assert found.id == "one.gguf"
    with pytest.raises(ModelNotFound, match="check the model's path or name"):
        adapter.probe("two.gguf")


def test_a_llama_server_that_loads_its_model_is_told_as_that_and_not_waited_for(answer: Serve) -> None:
    loading = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    adapter = answer("llama_cpp", {"/health": (503, loading)})
    error = failure(adapter.probe)
    assert (error.reason, error.hint) == ("loading", "the model is still loading; wait a little")
    assert asked(adapter) == ["GET /health"]


@pytest.mark.parametrize(
    ("dialect", "path"), [("ollama", "/api/version"), ("openrouter", "/key"), ("llama_cpp", "/health")]
)
def test_another_server_at_the_same_port_is_no_provider(answer: Serve, dialect: str, path: str) -> None:
    error = failure(answer(dialect, {path: (200, {"hello": "world"})}).probe)
    assert error.reason == "malformed_response"


def test_the_latency_is_measured_on_the_clock_that_is_given(clean_up: ExitStack, world: Any) -> None:
    clock = VirtualClock()

    def play(heard: Heard) -> Iterable[bytes]:
        clock.advance(0.25)
        data = b'{"version": "0.30.0"}'
        yield head("application/json", f"Content-Length: {len(data)}") + data

    server = clean_up.enter_context(RawServer(play))
    adapter = clean_up.enter_context(ready(world)["ollama"](server.url))
    assert adapter.probe(clock=clock).latency == 0.25
