"""Tells clients apart without importing them, and makes copies of them that try once."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

__all__ = ["Kind", "is_protected", "kind_of", "without_retries"]

C = TypeVar("C")

# The classes that all clients of a library come from, those for Azure, Bedrock and Vertex as well.
_BASES = {
    ("openai", "SyncAPIClient"): False,
    ("openai", "AsyncAPIClient"): True,
    ("anthropic", "SyncAPIClient"): False,
    ("anthropic", "AsyncAPIClient"): True,
    ("ollama", "Client"): False,
    ("ollama", "AsyncClient"): True,
}


class Kind(NamedTuple):
    """Whose client it is.

    Attributes:
        family: "openai", "anthropic" or "ollama": the library.
        is_async: whether it is for asyncio.
    """

    family: str
    is_async: bool


def kind_of(client: object) -> Kind:
    """Whose client it is, by its type; nothing is imported.

    Raises:
        TypeError: if it is none that is known.
    """
    for base in type(client).__mro__:
        family = base.__module__.partition(".")[0]
        is_async = _BASES.get((family, base.__name__))
        if is_async is not None:
            return Kind(family, is_async)
    what = f"the module {client.__name__}" if isinstance(client, ModuleType) else f"{type(client).__name__}"
    if isinstance(client, type):
        what = f"the class {client.__name__}, not an object of it"
    raise TypeError(
        f"{what} is no client that is known: give an OpenAI(), Anthropic() or ollama.Client(), or one of their async "
        f"forms; from_callable(function) takes anything else"
    )


def is_protected(client: object) -> bool:
    """Whether it is a client that `protect` has made: one with a stack beneath."""
    return getattr(type(client), "_protected", False) is True


def without_retries(client: C) -> C:
    """A copy of a client that tries once; it shares the client's connections, and leaves the client as it is.

    Ollama's client never retries: its copy only is another object.

    Args:
        client: one that `kind_of` knows.

    Raises:
        TypeError: if it is no client that is known, is protected, or is of a class of its own that cannot be copied.
    """
    if is_protected(client):
        raise TypeError("the client is protected already: its retries would multiply; give the client it was made of")
    if kind_of(client).family == "ollama":
        return copy.copy(client)
    anything: Any = client
    try:
        copied: C = anything.with_options(max_retries=0)
    except TypeError as error:
        raise TypeError(
            f"{type(client).__name__} cannot be copied: with_options(max_retries=0) said {error}. A class of your own "
            f"needs an __init__ that takes what its base takes"
        ) from error
    return copied
