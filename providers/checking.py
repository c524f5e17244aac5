"""Which providers would answer, all of them asked at the same time, none of them for an answer that costs anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..adapters.probing import Probe
from ..pipeline import ErrorClass, ProviderError
from .discover import GLANCE, KINDS, LOCAL, has_key, settings_of
from .registry import create_provider

__all__ = ["Check", "check", "check_server", "probe_all"]

_AT_ONCE = 16  # providers, each in a thread of its own that waits


@dataclass(frozen=True, slots=True)
class Check:
    """What was found out about one provider, in words: "yes", "no", "unknown", for a key also "not needed".

    Attributes:
        name: the provider.
        outcome: the probe, or why there is none.
    """

    name: str
    outcome: Probe | ProviderError

    @property
    def error(self) -> ProviderError | None:
        """Why the provider would not answer, or None."""
        return self.outcome if isinstance(self.outcome, ProviderError) else None

    @property
    def latency(self) -> float | None:
        """Seconds that the probe took, or None."""
        return self.outcome.latency if isinstance(self.outcome, Probe) else None

    @property
    def reachable(self) -> str:
        """Whether a server answered at all."""
        error = self.error
        if error is None or error.status is not None or error.error_class is ErrorClass.MODEL_NOT_FOUND:
            return "yes"
        # Without a status, a key is not missed by the server but here, before it was asked.
        return "unknown" if error.error_class is ErrorClass.AUTHENTICATION else "no"

    @property
    def key(self) -> str:
        """Whether the key is good."""
        if isinstance(self.outcome, Probe):
            return {True: "yes", False: "not needed", None: "unknown"}[self.outcome.key]
        return "no" if self.outcome.error_class is ErrorClass.AUTHENTICATION else "unknown"

    @property
    def model(self) -> str:
        """Whether the provider has the model that was asked for; unknown if none was."""
        if isinstance(self.outcome, Probe):
            return "yes" if self.outcome.model else "unknown"
        return "no" if self.outcome.error_class is ErrorClass.MODEL_NOT_FOUND else "unknown"


def check(kinds: Sequence[str] = (), model: str | None = None, timeout: float = 10.0) -> list[Check]:
    """Checks providers by their keys in the environment and their places on this machine.

    Args:
        kinds: the kinds to check, whatever is configured; none checks those with a key, and local servers that answer.
        model: the model that each of them should have, or None.
        timeout: seconds for each of them, more than 0.

    Raises:
        ValueError: if the timeout or the address of a server is none.
    """
    chosen = kinds or [kind for kind in KINDS if kind in LOCAL or has_key(kind)]
    glanced = [kind for kind in LOCAL if not kinds and not has_key(kind)]
    questions = {
        kind: partial(_probe, kind, settings_of(kind), model, min(timeout, GLANCE) if kind in glanced else timeout)
        for kind in chosen
    }
    checks = [Check(kind, outcome) for kind, outcome in probe_all(questions).items()]
    return [each for each in checks if each.name not in glanced or _is_there(each.outcome)]


def check_server(base_url: str, key: str | None, model: str | None = None, timeout: float = 10.0) -> list[Check]:
    """Checks an OpenAI-compatible server; otherwise as `check`.

    Args:
        base_url: with the version in its path, such as `http://127.0.0.1:8080/v1`.
        key: the server's own key, if it needs one.
        model, timeout: as for `check`.
    """
    settings = {"base_url": base_url, "api_key": key}
    outcomes = probe_all({"server": partial(_probe, "openai_compatible", settings, model, timeout)})
    return [Check(name, outcome) for name, outcome in outcomes.items()]


def probe_all(questions: Mapping[str, Callable[[], Probe]]) -> dict[str, Probe | ProviderError]:
    """Asks all questions at the same time.

    Returns:
        By the name of each question its probe, or the error in place of one.
    """
    with ThreadPoolExecutor(_AT_ONCE, "mainstay-probe") as pool:
        return dict(zip(questions, pool.map(_outcome, questions.values()), strict=True))


def _outcome(question: Callable[[], Probe]) -> Probe | ProviderError:
    try:
        return question()
    except ProviderError as error:
        return error.detached()


def _probe(kind: str, settings: Mapping[str, Any], model: str | None, timeout: float) -> Probe:
    with create_provider(kind, settings) as provider:
        return provider.probe(model, timeout)


def _is_there(outcome: Probe | ProviderError) -> bool:
    """Whether a server that nobody named is the one that was looked for, and not some other at the same port."""
    return (
        isinstance(outcome, Probe) or outcome.error_class is ErrorClass.MODEL_NOT_FOUND or outcome.reason == "loading"
    )
