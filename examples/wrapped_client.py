"""The client that you have, as a route: its own configuration, its own proxies and keys, and a stack around it.

    pip install openai
    python examples/wrapped_client.py https://api.openai.com/v1 http://127.0.0.1:11434

The client's own retries are off, on a copy: they would multiply with the stack's.
"""

import sys

from openai import OpenAI

from mainstay.adapters import Ollama
from mainstay.adapters.clients import from_client
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Request, Route, Stack


def main(openai_url: str, ollama_url: str) -> None:
    mine = OpenAI(base_url=openai_url, default_headers={"X-Team": "search"})
    routes = Fallback(Route("openai", from_client(mine)), Ollama(ollama_url, model="llama3.2"))
    with (
        mine,
        Stack(standard(), routes) as stack,
        stack(Request("gpt-4o", "Why is the sky blue?", stream=True)) as reply,
    ):
        for chunk in reply:
            print(chunk.text, end="")
        print("", reply.provider, len(reply.attempts))


if __name__ == "__main__":
    main(*sys.argv[1:])
