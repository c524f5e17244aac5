"""What a person should do about an error: one line per provider and reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..pipeline import ErrorClass

__all__ = ["hint_for", "hint_for_probe", "with_model"]

_KEYS: Final[Mapping[str, str]] = {
    "openai": "check OPENAI_API_KEY",
    "claude": "check ANTHROPIC_API_KEY",
    "openrouter": "check OPENROUTER_API_KEY",
    "ollama": "check OLLAMA_API_KEY, or run `ollama signin`",
    "llama_cpp": "check the key against the server's `--api-key`",
}
_CREDIT: Final[Mapping[str, str]] = {
    "openai": "see credit and limits at https://platform.openai.com/settings/organization/billing",
    "claude": "see credit and limits at https://console.anthropic.com/settings/billing",
    "openrouter": "see credit and limits at https://openrouter.ai/settings/credits",
    "ollama": "see the plan at https://ollama.com/settings",
}
_SLOW = "a model may take minutes to load; allow more time"
_IN_BETWEEN = "if a proxy answered in the server's place, set NO_PROXY for its host"
# What runs on the caller's own machines is the caller's to mend.
_LOCAL: Final[Mapping[str, Mapping[str, str]]] = {
    "ollama": {
        **dict.fromkeys(("connection", "connection_refused"), "is ollama running? start it with `ollama serve`"),
        **dict.fromkeys(("read", "timeout"), _SLOW),
        "context_length": "shorten the messages, or raise `num_ctx`",
        "bad_model_file": "update Ollama, or pull the model again",
        "unsupported_feature": "leave it out, or use a model that can do it: `ollama show` tells",
        "overloaded": "wait a little, or raise OLLAMA_MAX_QUEUE or OLLAMA_NUM_PARALLEL",
        "gateway": _IN_BETWEEN,
    },
    "llama_cpp": {
        **dict.fromkeys(
            ("connection", "connection_refused"),
            "is the server running? start it with `llama-server -m MODEL.gguf`",
        ),
        **dict.fromkeys(("read", "timeout"), _SLOW),
        "context_length": "shorten the messages, or start it with a larger `--ctx-size`",
        "bad_model_file": "update llama.cpp, or download the model's file again",
        "startup": "another program has its port; give it another one",
        "build": "this build of llama.cpp cannot do it; install one that can",
        "gateway": _IN_BETWEEN,
    },
}
_REASONS: Final[Mapping[str, str]] = {
    "context_length": "shorten the messages, or use a model with a larger context",
    "content_filter": "the provider's content policy refused it; change the messages",
    "bad_endpoint": "check the base URL",
    "bad_url": "check the base URL",
    "redirect": "check the base URL",
    "dns": "check the host name in the base URL, and the network",
    "tls": "check the base URL (https or http?), the certificates and the clock",
    "proxy": "check the proxy settings (HTTPS_PROXY, NO_PROXY)",
    "blocked": "a firewall in front of the provider refused it",
    "region": "the provider does not serve this country or region",
    "binary_missing": "install llama.cpp, or give the path of its binary",
    "out_of_memory": "use a smaller model or a smaller context",
    "model_load": "see the server's log: the model's file may be damaged, or too big for the memory",
    "crashed": "see its log; less of the model on the GPU, or another version, may help",
    "loading": "the model is still loading; wait a little",
    "permission": "check what the key may do: organization, project, models",
    "organization": "check which organization or project the key belongs to",
    "account_disabled": "the account is disabled; ask the provider",
    "truncated_stream": "",
}
# A probe asks the simplest question there is: whatever goes wrong with it, its asker wants to know what to do.
_PROBED: Final[Mapping[ErrorClass | str, str]] = {
    **dict.fromkeys(
        ("connection", "connection_refused", "connection_reset", "unreachable"),
        "check the base URL, and whether the server is running",
    ),
    "malformed_response": "check the base URL: what answers there may be something else",
    "not_supported": "",  # said in full where it is raised
    ErrorClass.TIMEOUT: "check the base URL and the network, or allow more time",
    ErrorClass.RATE_LIMIT: "wait, or ask the provider for a higher limit",
    ErrorClass.UNAVAILABLE: "the server is in trouble: see the provider's status page, or its log",
    ErrorClass.INVALID_REQUEST: "check the base URL: the server may not speak this protocol",
}
_PULL = "run `ollama pull "
_MODEL_NAME = re.compile(r"""model:? ?["'`]([\w./:@-]{1,100})["'`]""", re.I)


def hint_for(provider: str, error_class: ErrorClass, reason: str, message: str) -> str:
    """The hint for an error, "" if there is none.

    Args:
        provider: the canonical name of the provider.
        error_class, reason: what was found out.
        message: the provider's message, from which the name of a missing model is taken.
    """
    if error_class is ErrorClass.MODEL_NOT_FOUND:
        if provider == "ollama":
            named = _MODEL_NAME.search(message)
            return f"{_PULL}{named[1] if named else 'MODEL'}`"
        if provider == "llama_cpp":
            return "check the model's path or name"
        return "check the model's name, and whether the key may use it"
    own = _LOCAL.get(provider, {})
    if reason in own:
        return own[reason]
    if reason in _REASONS:
        return _REASONS[reason]
    if error_class is ErrorClass.AUTHENTICATION:
        return _KEYS.get(provider, "check the API key")
    if error_class is ErrorClass.QUOTA:
        return _CREDIT.get(provider, "see credit and limits in the provider's account settings")
    return ""


def hint_for_probe(error_class: ErrorClass, reason: str) -> str:
    """The hint for a probe that failed, where the error in itself has none."""
    return _PROBED.get(reason, _PROBED.get(error_class, ""))


def with_model(hint: str, model: str) -> str:
    """The hint with the model that was asked for, in place of what the provider called one: it may quote anything."""
    return f"{_PULL}{model}`" if hint.startswith(_PULL) and model else hint
