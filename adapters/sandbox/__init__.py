"""Providers on loopback with faults on demand, to test a stack against real sockets.

    with Sandbox("openai") as server:
        server.script(faults.status(429, retry_after=1), Answer("hi"))
        ...                                    # point any client at server.url

The servers speak the protocols of OpenAI, Anthropic, OpenRouter, Ollama and llama.cpp's server, byte by byte, so
that the official clients work against them; only the standard library is needed.
"""

from . import faults
from .answer import Answer, ToolUse
from .fault import Fault
from .hold import Hold
from .script import Step
from .seen import Seen
from .server import Sandbox

__all__ = ["Answer", "Fault", "Hold", "Sandbox", "Seen", "Step", "ToolUse", "faults"]
