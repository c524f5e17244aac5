"""One instrumentation of the openai client, at work beside ours, in a process of its own: not each can be undone."""

from __future__ import annotations

import importlib
import json
import sys
import warnings

import openai
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from mainstay.adapters.sandbox import Sandbox
from mainstay.middleware import Retry, Trace
from mainstay.pipeline import Reply, Request, Stack, Unavailable, VirtualClock

HI = [{"role": "user", "content": "Hi"}]


def main(package: str, stream: bool) -> None:
    """Prints whose spans there were: of a client alone, of the same client in a stack, and of it alone again."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about how they are written
        module = importlib.import_module(package.replace("-", "."))
        module.OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)

    def ask() -> str:
        answer = client.chat.completions.create(model="m", messages=HI, stream=stream)
        texts = [chunk.choices[0].delta.content if chunk.choices else "" for chunk in answer] if stream else []
        return "".join(text or "" for text in texts) if stream else answer.choices[0].message.content

    def leaf(request: Request) -> Reply:
        text = ask()
        if len(request.call.attempts) == 1:
            raise Unavailable
        return Reply(text)

    def told() -> list[str]:
        names = [span.instrumentation_scope.name for span in spans.get_finished_spans()]
        spans.clear()
        return sorted("ours" if name == "mainstay" else "theirs" for name in names)

    found = []
    with Sandbox("openai") as sandbox, openai.OpenAI(api_key="sk-x", base_url=sandbox.url, max_retries=0) as client:
        stack = Stack([Retry(), Trace(provider)], leaf, clock=VirtualClock())
        for step in (ask, lambda: stack(Request("m", HI)).text, ask):
            text = step()
            found.append([*told(), text])
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "stream")
