"""litellm: `completion`, and the Router with two retries and the documented fallback."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .peer import PARAMS, PROMPT, Peer

__all__ = ["LiteLLM", "Router"]

_MESSAGES: Any = [{"role": "user", "content": PROMPT}]
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch its prices when it is imported


class LiteLLM(Peer):
    """`litellm.completion(...)`, with its defaults."""

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        import litellm

        litellm.suppress_debug_info = True
        self.options: dict[str, Any] = {
            "model": f"openai/{self.model}",
            "messages": _MESSAGES,
            "api_base": f"{primary}/v1",
            "api_key": "sk-bench",
            "timeout": timeout,
            **PARAMS,
        }
        self.complete: Any = litellm.completion

    def ask(self) -> str:
        return str(self.complete(**self.options).choices[0].message.content)

    def stream(self) -> Iterator[str]:
        for chunk in self.complete(stream=True, **self.options):
            if chunk.choices:
                yield chunk.choices[0].delta.content or ""


class Router(LiteLLM):
    """`Router(model_list, num_retries=2, fallbacks=[{"main": ["backup"]}])`, one deployment for each group."""

    falls_back = True

    def __init__(self, primary: str, backup: str = "", timeout: float = 60.0) -> None:
        super().__init__(primary, backup, timeout)
        import litellm

        deployments = [
            {
                "model_name": name,
                "litellm_params": {
                    "model": f"openai/{self.model}",
                    "api_base": f"{base}/v1",
                    "api_key": "sk-bench",
                    "timeout": timeout,
                },
            }
            for name, base in (("main", primary), ("backup", backup))
            if base
        ]
        fallbacks: Any = [{"main": ["backup"]}] if backup else []
        self.router = litellm.Router(model_list=deployments, num_retries=2, fallbacks=fallbacks)
        self.options = {"model": "main", "messages": _MESSAGES, **PARAMS}
        self.complete = self.router.completion
