"""Everything that watches, over the front door of an event loop and real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import requests

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.providers import AsyncProviderManager


def test_status_changes_probes_and_endpoint_on_a_loop(serve: Callable[..., Sandbox]) -> None:
    openai, claude, ollama = serve("openai"), serve("claude"), serve("ollama", refusing=True)
    openai.always(faults.quota())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        changes: list[str] = []
        probed = asyncio.Event()

        def note(change: Any) -> None:
            changes.append(str(change))
            if change.route == "ollama":
                loop.call_soon_threadsafe(probed.set)

        async with AsyncProviderManager() as manager:
            manager.on_change(note)
            manager.add_provider("openai", {"base_url": openai.url, "api_key": "sk-1"})
            manager.add_provider("claude", {"base_url": claude.url, "api_key": "sk-2", "model": "c"})
            manager.add_provider("ollama", {"base_url": ollama.url, "model": "l"})
            manager.setup_fallback_chain(["openai", "claude", "ollama"])
            server = manager.serve_status()
            prober = manager.probe_every(0.01)
            reply = await manager.execute_with_fallback("gpt-4o", "Hi")
            assert reply.provider == "claude"
            async with asyncio.timeout(20):
                await probed.wait()
            told = await asyncio.to_thread(lambda: requests.get(server.url, timeout=20).json()["routes"])
            assert {name: entry["healthy"] for name, entry in told.items()} == {
                "openai": False,
                "claude": True,
                "ollama": False,
            }
            assert told["openai"]["probe"]["ok"] is True
            assert told["ollama"]["reason"] == "connection_refused"
            assert manager.get_provider_status()["claude"]["attempts"] == claude.count == 1
        assert not prober.alive
        assert not server.alive
        assert "openai is sick: quota (insufficient_quota), its breaker is open" in changes
        assert "ollama is sick: unavailable (connection_refused)" in changes

    asyncio.run(main())
