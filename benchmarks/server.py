"""The fake provider: answers at once, or as slowly, badly or seldom as the first part of the URL's path says.

It runs in a process of its own and computes nothing while it is measured: a request costs it a search for the end of
its headers and one write of bytes that were made before. It speaks two dialects, by the end of the path: Anthropic's
(`/messages`) and OpenAI's (everything else).

    http://127.0.0.1:PORT/<script>.<who>/v1/chat/completions

Each `<script>.<who>` has a count and chances of its own, so that everybody meets the same faults in the same order.
`GET /counts` tells how many requests each of them has had, `GET /reset` forgets them.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from . import scripts, wire

__all__ = ["main"]


class Connection(asyncio.Protocol):
    """One client's connection; requests come one after the other."""

    def __init__(self, known: dict[str, scripts.Script]) -> None:
        self._known = known
        self._waiting = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        data = self._waiting + data if self._waiting else data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            self._waiting = data
            return
        size = 0
        at = data.lower().find(b"content-length:", 0, head) if head < 4096 else -1
        if at > 0:
            size = int(data[at + 15 : data.find(b"\r\n", at)])
        if len(data) < head + 4 + size:
            self._waiting = data
            return
        self._waiting = b""
        path = data[data.find(b" ") + 1 : data.find(b" HTTP/")].decode()
        body = data[head + 4 :]
        self._answer(path, b'"stream":true' in body or b'"stream": true' in body)

    def _answer(self, path: str, stream: bool) -> None:
        name = path[1:].split("/", 1)[0]
        if name in ("counts", "reset"):
            self._control(name)
            return
        script = self._known.get(name)
        if script is None:
            script = self._known[name] = scripts.script_named(name.partition(".")[0])
        dialect = wire.CLAUDE if path.endswith("/messages") else wire.OPENAI
        script.requests += 1
        found = script.next(dialect, stream, asyncio.get_running_loop().time())
        if isinstance(found, bytes):
            self._transport.write(found)
        else:
            self._task = asyncio.ensure_future(self._play(found))

    async def _play(self, steps: scripts.Steps) -> None:
        """Writes pieces with pauses; a negative pause is for ever, None closes."""
        for step in steps:
            if step is None:
                self._transport.close()
            elif isinstance(step, bytes):
                self._transport.write(step)
            elif step < 0:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(step)

    def _control(self, name: str) -> None:
        found = {key: script.requests for key, script in self._known.items()}
        if name == "reset":
            self._known.clear()
        self._transport.write(wire.whole(json.dumps(found).encode()))


async def serve() -> None:
    """Serves on a free port, which it prints, until its standard input ends."""
    loop = asyncio.get_running_loop()
    known: dict[str, scripts.Script] = {}
    server = await loop.create_server(lambda: Connection(known), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    os._exit(0)


def main() -> None:
    """Runs on uvloop if it is there; the standard loop will do where nothing is measured."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


if __name__ == "__main__":
    main()
