"""A layer of your own: one generator serves threads and asyncio, complete replies and streams.

python examples/own_layer.py http://127.0.0.1:11434
"""

import asyncio
import sys
from dataclasses import dataclass

from mainstay.adapters import AsyncOllama, Ollama
from mainstay.middleware import Retry
from mainstay.pipeline import AsyncStack, Layer, Reply, Request, Stack
from mainstay.pipeline.layer import Steps


@dataclass(frozen=True)
class Brief(Layer):
    """Asks every model to be brief, and says how much it said.

    Args:
        words: how many it is asked for.
    """

    words: int = 20
    name: str = "brief"

    def handle(self, request: Request) -> Steps:
        wish = {"role": "system", "content": f"Answer in at most {self.words} words."}
        reply: Reply = yield request.replace(messages=[wish, *request.messages])
        reply.on_end(lambda reply: print(f"[{len(reply.partial.text.split())} words, {reply.outcome.value}]"))
        return reply


def in_threads(url: str) -> None:
    with Stack([Brief(5), Retry()], Ollama(url)) as stack:
        print(stack(Request("llama3.2", "Why is the sky blue?")).text)


async def on_a_loop(url: str) -> None:
    stack = AsyncStack([Brief(5), Retry()], AsyncOllama(url))
    async with stack, await stack(Request("llama3.2", "Why is the sky blue?", stream=True)) as reply:
        async for chunk in reply:
            print(chunk.text, end="")


if __name__ == "__main__":
    in_threads(sys.argv[1])
    asyncio.run(on_a_loop(sys.argv[1]))
