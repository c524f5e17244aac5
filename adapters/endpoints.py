"""What each protocol can be asked besides chat: paths, what their answers say, and which model a name means.

The paths stand in one table, by protocol. Entries of a list of models are read in one way for all, because every
provider calls the same few things by a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from ..pipeline import InvalidRequest
from .claude import ClaudeCodec
from .codec import Codec
from .llama_cpp import LlamaCppCodec
from .ollama import OllamaCodec
from .openai import OpenAICodec
from .openrouter import OpenRouterCodec
from .shapes import count, malformed

__all__ = ["Endpoints", "Model", "endpoints_of", "field_of", "model_of"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a provider has.

    Attributes:
        id: what a request calls it.
        name: what people call it; the id where the provider tells nothing else.
        window: tokens that fit into its context, or None if the provider does not say.
        max_output: tokens that an answer may have, or None if the provider does not say.
        raw: the provider's whole entry.
    """

    id: str
    name: str
    window: int | None = None
    max_output: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


# -- what answers say ------------------------------------------------------------------------------------------

# Where entries tell it. In order: OpenRouter; Claude; vLLM; Groq; Mistral; llama.cpp's server; Ollama.
_WINDOW = ("context_length", "max_input_tokens", "max_model_len", "context_window", "max_context_length", "meta.n_ctx",
           "details.context_length")  # fmt: skip
# OpenRouter; Groq; Claude.
_MAX_OUTPUT = ("top_provider.max_completion_tokens", "max_completion_tokens", "max_tokens")


def model_of(entry: Any) -> Model:
    """One entry; what is no positive number of tokens, or not there, is not known."""
    named = _first(entry, ("id", "name"), _text)
    if named is None:
        raise malformed("an entry of the list of models has no name")
    return Model(
        named,
        _first(entry, ("display_name", "name"), _text) or named,
        _first(entry, _WINDOW, _tokens),
        _first(entry, _MAX_OUTPUT, _tokens),
        entry,
    )


def _first(entry: Any, paths: Sequence[str], read: Callable[[Any], T | None]) -> T | None:
    for path in paths:
        value = entry
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if (found := read(value)) is not None:
            return found
    return None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _tokens(value: Any) -> int | None:
    number = count(value)
    return number if number is not None and number > 0 else None


def field_of(answer: Mapping[str, Any], name: str) -> Any:
    """That field of an answer, which must have it."""
    if answer.get(name) is None:
        raise malformed(f"the answer has no `{name}`")
    return answer[name]


# -- which of them is meant ------------------------------------------------------------------------------------


def _named(models: Sequence[Model], name: str) -> Model:
    for model in models:
        if model.id == name:
            return model
    raise LookupError(name)


def _tagged(models: Sequence[Model], name: str) -> Model:
    # Ollama's own rule: a name without a tag means the one tagged "latest".
    return _named(models, name if ":" in name.rpartition("/")[2] else f"{name}:latest")


def _routed(models: Sequence[Model], name: str) -> Model | None:
    # A preset is the account's own, and is not listed; what follows a colon may be the way to choose an upstream.
    plain, preset, _ = name.partition("@preset/")
    if preset and not plain:
        return None
    base, _, way = plain.rpartition(":")
    return _named(models, base if way in ("nitro", "floor", "online", "exacto") else plain)


def _served(models: Sequence[Model], name: str) -> Model:
    for model in models:
        aliases = model.raw.get("aliases")
        if model.id == name or (isinstance(aliases, list) and name in aliases):
            return model
    # A server with one model serves that, whatever it is called; one that can load several tells the status of each.
    if len(models) == 1 and "status" not in models[0].raw:
        return models[0]
    raise LookupError(name)


# -- endpoints -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a protocol can be asked besides chat.

    Attributes:
        models: the path of the list of models.
        entries: the field of its answer that holds them.
        proofs: the paths that together prove that the server answers and the key is good, each with a field that the
            answer has; the cheapest that do.
        one: what goes before the name of a model to make the path of its entry; "" where servers have none.
        paged: whether the list comes in pages.
        public: whether all of this is told to anybody, with or without a key.
        find: which of the models a name means; None if that cannot be told.
    """

    models: str
    proofs: Sequence[tuple[str, str]]
    entries: str = "data"
    one: str = ""
    paged: bool = False
    public: bool = False
    find: Callable[[Sequence[Model], str], Model | None] = _named

    def page(self, answer: Mapping[str, Any]) -> tuple[list[Model], bool]:
        """The models in an answer, and whether there are more."""
        entries = field_of(answer, self.entries)
        if not isinstance(entries, list):
            raise malformed("the answer has no list of models")
        more = self.paged and answer.get("has_more") is True
        if more and not entries:
            raise malformed("a page of the list of models is empty, and not the last")
        return [model_of(entry) for entry in entries], more


_OPENAI: Final = Endpoints("/models", [("/models", "data")], one="/models/")
_COMPATIBLE: Final = replace(_OPENAI, one="")  # all of them have the list, few an entry of its own for each model
_PROTOCOLS: Final[Mapping[type, Endpoints]] = {
    OpenAICodec: _COMPATIBLE,
    # The list is public and long; `/key` is short and needs the key.
    OpenRouterCodec: Endpoints("/models", [("/key", "data")], find=_routed),
    ClaudeCodec: Endpoints("/v1/models?limit=1000", [("/v1/models?limit=1", "data")], one="/v1/models/", paged=True),
    OllamaCodec: Endpoints("/api/tags", [("/api/version", "version")], "models", public=True, find=_tagged),
    # `/health` says whether the model is loaded, without a key; the list needs the key.
    LlamaCppCodec: Endpoints("/v1/models", [("/health", "status"), ("/v1/models", "data")], find=_served),
}


def endpoints_of(codec: Codec[Any]) -> Endpoints:
    """What a codec's protocol can be asked.

    Raises:
        InvalidRequest: with reason "not_supported", if that is nothing.
    """
    for kind in type(codec).__mro__:
        if kind in _PROTOCOLS:
            return _OPENAI if kind is OpenAICodec and codec.provider == "openai" else _PROTOCOLS[kind]
    raise InvalidRequest(f"{codec.label} cannot be asked for its models", reason="not_supported")
