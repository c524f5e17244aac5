"""The parameters of each provider, as data: one table of Params and rules per provider.

Providers differ in what they do with what they do not know; the tables are what makes them alike. A parameter that
means the same everywhere has one name everywhere, the provider's own name is accepted too, and what a provider would
ignore is not in its table.
"""

from __future__ import annotations

from .claude import CLAUDE, CLAUDE_WITHOUT_SAMPLING
from .llama_cpp import LLAMA_CPP
from .llama_process import LLAMA_PROCESS
from .ollama import OLLAMA
from .openai import OPENAI, OPENAI_COMPATIBLE
from .openrouter import OPENROUTER

__all__ = [
    "CLAUDE",
    "CLAUDE_WITHOUT_SAMPLING",
    "LLAMA_CPP",
    "LLAMA_PROCESS",
    "OLLAMA",
    "OPENAI",
    "OPENAI_COMPATIBLE",
    "OPENROUTER",
]
