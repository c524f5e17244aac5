"""One text for both worlds: what is asynchronous only waits. Read from the source, so it stays so."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from mainstay import adapters, middleware, pipeline, providers
from mainstay.adapters.adapter import Joined
from mainstay.adapters.arriving import Unfolding
from mainstay.adapters.codec import Codec
from mainstay.pipeline import Layer

PACKAGES = {"pipeline": pipeline, "middleware": middleware, "adapters": adapters, "providers": providers}
FOLDERS = {name: Path(package.__file__ or "").parent for name, package in PACKAGES.items()}

# Where a function of this project may wait on an event loop: the drivers, the transports, and thin doors to them.
WAITING = {
    "pipeline": {"async_reply", "clock", "closing", "layer", "plain", "router", "stack"},
    "middleware": {"resuming"},  # a stream that is made of several
    "adapters": {"arriving", "async_adapter", "async_http", "async_process", "worlds"},
    "providers": {"front", "manager", "monitored", "provider"},
}
LONGEST = 60  # lines of one such function


def coroutines(tree: ast.AST) -> list[ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_waits_on_a_loop_stands_where_it_belongs(folder: str) -> None:
    found = set()
    for file in FOLDERS[folder].glob("*.py"):
        functions = coroutines(ast.parse(file.read_text()))
        if functions:
            found.add(file.stem)
        for function in functions:
            assert (function.end_lineno or 0) - function.lineno < LONGEST, f"{file.name}: {function.name}"
    assert found <= WAITING[folder], "a layer or a codec needs no text of its own for asyncio"


def everything(base: type) -> list[type]:
    return [kind for sub in base.__subclasses__() for kind in (sub, *everything(sub))]


@pytest.mark.parametrize("base", [Layer, Codec])
def test_there_is_no_layer_and_no_codec_for_one_world(base: type) -> None:
    for module in ("claude", "ollama", "openai", "openrouter", "llama_cpp", "llama_process"):
        __import__(f"mainstay.adapters.{module}")
    for name in middleware.__all__:
        getattr(middleware, name)
    own = [kind for kind in everything(base) if kind.__module__.startswith("mainstay.")]
    assert len(own) >= 6
    for kind in own:
        assert not kind.__name__.startswith("Async")
        assert not any(inspect.iscoroutinefunction(member) for member in vars(kind).values()), kind


@pytest.mark.parametrize("name", ["Claude", "LlamaCpp", "Ollama", "OpenAI", "OpenRouter"])
def test_a_ready_adapter_is_one_text_with_two_doors(name: str) -> None:
    sync, twin = getattr(adapters, name), getattr(adapters, f"Async{name}")
    assert inspect.signature(sync) == inspect.signature(twin)
    for kind in (sync, twin):
        assert set(vars(kind)) <= {"__module__", "__doc__", "__abstractmethods__", "_abc_impl"}
        assert kind.__init__ is sync.__init__
        assert kind._attempt is sync._attempt
    assert twin.__doc__ == sync.__doc__


def test_both_adapters_and_both_streams_wait_by_the_same_text() -> None:
    assert adapters.Adapter._attempt is adapters.AsyncAdapter._attempt is Joined._attempt
    from mainstay.adapters.arriving import Arriving, AsyncArriving

    assert Arriving._fill is AsyncArriving._fill is Unfolding._fill


@pytest.mark.parametrize("name", ["Provider", "ProviderChain", "ProviderManager"])
def test_the_doors_of_both_worlds_ask_for_the_same(name: str) -> None:
    sync, twin = getattr(providers, name), getattr(providers, f"Async{name}")
    assert inspect.signature(sync) == inspect.signature(twin)
    renamed = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
    public = {renamed.get(method, method) for method in dir(sync) if not method.startswith("_")}
    assert public <= {method for method in dir(twin) if not method.startswith("_")}
