"""Other instrumentations at the same time: nothing is told twice, and their spans stand where they belong.

What is instrumented here is real: OpenTelemetry's own instrumentations and OpenLLMetry's, of urllib3, threads and the
openai client, over sockets. Each of their releases fits one release of OpenTelemetry, so they are no part of the test
extra, which is tried with the oldest as well.
"""

from __future__ import annotations

import contextvars
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import requests

from mainstay.adapters import OpenAI
from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import Retry, Trace
from mainstay.pipeline import Reply, Request, Stack

CLIENT = Path(__file__).parents[1] / "support" / "instrumented_client.py"


def needs(package: str) -> None:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"NOT TESTED: pip install {package}")


@contextmanager
def instrumented(package: str, name: str, provider: Any) -> Iterator[None]:
    needs(package)
    instrumentor = getattr(importlib.import_module(package.replace("-", ".")), name)()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("openai") as sandbox:
        yield sandbox


def foreign(tracing: Any) -> list[Any]:
    return [span for span in tracing.spans if span.instrumentation_scope.name not in ("mainstay", "app")]


def test_the_http_of_our_adapters_is_told_by_the_attempt_alone(tracing: Any, sandbox: Sandbox, ask: Request) -> None:
    sandbox.script(faults.overloaded())
    with instrumented("opentelemetry-instrumentation-urllib3", "URLLib3Instrumentor", tracing.provider):
        requests.get(f"{sandbox.url}/models", headers={"Authorization": "Bearer x"}, timeout=5)
        assert len(foreign(tracing)) == 1  # it is at work
        sandbox.script(faults.overloaded())
        with (
            OpenAI("sk-sandbox", base_url=sandbox.url) as adapter,
            Stack([Retry(), Trace(tracing.provider)], adapter) as stack,
        ):
            stack(ask)
        assert len(foreign(tracing)) == 1
        assert [
            span.attributes["http.response.status_code"] for span in tracing.attempts if span.name[:4] == "chat"
        ] == [
            503,
            200,
        ]


def test_what_a_function_of_the_application_s_does_over_http_nests_under_its_attempt(
    tracing: Any, sandbox: Sandbox, ask: Request
) -> None:
    def leaf(request: Request) -> Reply:
        return Reply(
            str(requests.get(f"{sandbox.url}/models", headers={"Authorization": "Bearer x"}, timeout=5).status_code)
        )

    with instrumented("opentelemetry-instrumentation-urllib3", "URLLib3Instrumentor", tracing.provider):
        assert Stack([Trace(tracing.provider)], leaf)(ask).text == "200"
    (http,) = foreign(tracing)
    (attempt,) = [span for span in tracing.spans if span.name == "chat gpt-4o"]
    assert http.parent.span_id == attempt.context.span_id


@pytest.mark.parametrize("stream", ["complete", "stream"])
@pytest.mark.parametrize(
    "package", ["opentelemetry-instrumentation-genai-openai", "opentelemetry-instrumentation-openai"]
)
def test_an_instrumented_client_tells_nothing_a_second_time(package: str, stream: str) -> None:
    needs(package)
    done = subprocess.run([sys.executable, str(CLIENT), package, stream], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    alone, stacked, again = json.loads(done.stdout)
    assert alone == again == ["theirs", "Hello from the sandbox, all is well."]
    assert stacked == ["ours", "ours", "ours", "Hello from the sandbox, all is well."]


def test_another_thread_has_the_caller_s_span_where_threads_are_instrumented(tracing: Any, ask: Request) -> None:
    stack = Stack([Trace(tracing.provider)], lambda request: Reply("fine"))
    with (
        instrumented("opentelemetry-instrumentation-threading", "ThreadingInstrumentor", tracing.provider),
        tracing.provider.get_tracer("app").start_as_current_span("app") as app,
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(stack, ask).result()
    assert tracing.calls[0].parent.span_id == app.get_span_context().span_id


def test_another_thread_has_it_where_the_context_is_taken_along(tracing: Any, ask: Request) -> None:
    stack = Stack([Trace(tracing.provider)], lambda request: Reply("fine"))
    with tracing.provider.get_tracer("app").start_as_current_span("app") as app, ThreadPoolExecutor(1) as pool:
        pool.submit(contextvars.copy_context().run, stack, ask).result()
        pool.submit(stack, ask).result()
    assert [call.parent and call.parent.span_id for call in tracing.calls] == [app.get_span_context().span_id, None]
