"""The sandbox: a provider on loopback, in this process, that fails on demand.

This is what its users hold. Behind it, the engine joins the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Literal

from .claude import Claude
from .dialect import Dialect, Rules
from .engine import Engine
from .fault import Fault
from .hold import Hold
from .llama_cpp import LlamaCpp
from .ollama import Ollama
from .openai import OpenAI
from .openrouter import OpenRouter
from .script import Step
from .seen import Seen

_DIALECTS: dict[str, type[Dialect]] = {
    dialect.name: dialect for dialect in (Claude, LlamaCpp, Ollama, OpenAI, OpenRouter)
}


class Sandbox:
    """A server on 127.0.0.1 that speaks a provider's protocol; it listens as soon as it is made.

    A chat request that the provider would refuse (no key, an unknown field, …) is refused in the same way;
    any other gets the next step of the script. Either way it uses up one step.

    Args:
        dialect: `openai`, `claude`, `openrouter`, `ollama` or `llama_cpp`.
        key: the only key that is accepted; None accepts any that is not empty (Ollama, llama.cpp: none needed).
        models: the models that exist; None is any.
        close_delimited: send streams without chunks, ended by the end of the connection.
        refusing: begin with the port closed, as after `refuse()`.

    Raises:
        ValueError: for an unknown dialect.
    """

    def __init__(
        self,
        dialect: Literal["openai", "claude", "openrouter", "ollama", "llama_cpp"] | str,
        *,
        key: str | None = None,
        models: Iterable[str] | None = None,
        close_delimited: bool = False,
        refusing: bool = False,
    ) -> None:
        if dialect not in _DIALECTS:
            raise ValueError(f"unknown dialect {dialect!r}; expected one of {', '.join(sorted(_DIALECTS))}")
        if isinstance(models, str):
            raise TypeError("models must be a set of names, not one string")
        self.dialect = dialect
        rules = Rules(key, None if models is None else frozenset(models))
        self._engine = Engine(_DIALECTS[dialect](), rules, close_delimited=close_delimited)
        if not refusing:
            self._engine.listener.accept()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        listener = self._engine.listener
        state = "closed" if listener.closing else "refusing" if listener.refusing else "listening"
        return f"<Sandbox {self.dialect} {self.url} {state}>"

    # What it answers

    @property
    def url(self) -> str:
        """What a client takes as its base URL."""
        return f"http://127.0.0.1:{self.port}{self._engine.dialect.base_path}"

    @property
    def port(self) -> int:
        """The TCP port; it stays the same over `refuse` and `accept`."""
        return self._engine.listener.port

    @property
    def default(self) -> Step:
        """The step for every request that the script has none for: an Answer, a Fault, or a function."""
        return self._engine.script.default

    @default.setter
    def default(self, step: Step) -> None:
        with self._engine.counts.condition:
            self._engine.script.default = step

    @property
    def steps_left(self) -> int:
        """How many scripted steps have not been played."""
        with self._engine.counts.condition:
            return self._engine.script.left

    def script(self, *steps: Step) -> None:
        """Set the steps for the next chat requests, one each, in order of arrival; then the default.

        Args:
            steps: answers, faults, or functions from the request to one of them. They replace what was left.

        Raises:
            TypeError: if a step is none of these.
            ValueError: if the dialect has no such fault.
        """
        with self._engine.counts.condition:
            self._engine.script.set(steps)

    def always(self, step: Step) -> None:
        """Answer every chat request like this: sets the default, clears script and chaos."""
        with self._engine.counts.condition:
            self._engine.script.default = step
            self._engine.script.clear()

    def chaos(self, odds: Mapping[Fault, float], seed: int = 0) -> None:
        """Let chance choose when the script is empty: each request draws a fault, or gets the default.

        Args:
            odds: the probability of each fault, together at most 1; empty switches chaos off.
            seed: the same seed gives the same faults in the same order of arrival.

        Raises:
            TypeError, ValueError: if a key is no fault or a probability is none.
        """
        with self._engine.counts.condition:
            self._engine.script.set_odds(odds, seed)

    def hold(self, size: int, timeout: float = 10.0) -> Hold:
        """Hold every chat answer back until `size` requests are in flight at once, then let all go.

        Args:
            size: how many.
            timeout: seconds; if they do not come, all are answered with a 500 that says so.

        Returns:
            The gate; as a context manager it is removed when the block is left.
        """
        gate = Hold(size, timeout)
        former, self._engine.gate = self._engine.gate, gate
        if former is not None:
            former.release()
        return gate

    # What it saw

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request that arrived, in order."""
        with self._engine.counts.condition:
            return tuple(self._engine.counts.seen)

    @property
    def count(self) -> int:
        """How many chat requests arrived."""
        return self._engine.counts.chats

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted."""
        return self._engine.counts.connections

    @property
    def open_connections(self) -> int:
        """How many TCP connections are open now."""
        return self._engine.counts.open

    @property
    def in_flight(self) -> int:
        """How many chat requests are being answered now."""
        return self._engine.counts.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most chat requests that were being answered at once."""
        return self._engine.counts.peak

    def reset_counts(self) -> None:
        """Set all counts to zero; what is open or in flight stays counted as that."""
        self._engine.counts.reset()

    def wait_until(self, condition: Callable[[Sandbox], object], timeout: float = 5.0) -> bool:
        """Wait until something about the counts is true, without sleeping.

        Args:
            condition: asked with this server after each change, e.g. `lambda s: s.open_connections == 0`.
            timeout: seconds.

        Returns:
            Whether it came true in time.
        """
        return self._engine.counts.wait_until(lambda: bool(condition(self)), timeout)

    # Whether it is there

    @property
    def loading(self) -> bool:
        """Whether the server is there before its model is: all but llama.cpp's are there when they are ready."""
        return self._engine.rules.loading

    @loading.setter
    def loading(self, value: bool) -> None:
        if value and not self._engine.dialect.can_load:
            raise ValueError(f"{self.dialect} has no server that says that it is loading; llama_cpp has")
        self._engine.rules = replace(self._engine.rules, loading=value)

    def refuse(self) -> None:
        """Refuse connections from now on, as a server that is down: close the port and idle connections.

        Requests that are being answered are finished, and their connections closed. The port stays reserved.
        """
        self._engine.listener.refuse()

    def accept(self) -> None:
        """Listen again on the same port.

        Raises:
            RuntimeError: if the sandbox is closed.
        """
        self._engine.listener.accept()

    def close(self) -> None:
        """Close every socket, wake everything that waits, join every thread. Can be called again."""
        if self._engine.gate is not None:
            self._engine.gate.release()
        self._engine.listener.close()
