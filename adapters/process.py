"""Programs on this machine: text in, text out, under a clock; nothing here knows what it means. POSIX only."""

from __future__ import annotations

import math
import os
import select
import shutil
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ..pipeline import ErrorClass, ProviderError, Secret, TimedOut, Unavailable
from .classify import classify_process
from .codec import ProcessCall
from .hints import hint_for
from .incoming import WAITED, Arrival, Incoming, Now
from .redact import TELLING
from .rule import Rule
from .stream import Spoken
from .supervisor import Supervised
from .worlds import Waits, run

__all__ = ["ProcessIncoming", "ProcessTransport", "Programs", "Writing"]

_PIECE = 65536
_TOLD = 65536  # bytes of what a program complains about, the last ones: what ended it stands there
_PARTING = 0.5  # seconds for a program that was interrupted to say what it has used; it takes milliseconds
_LONGEST = 86400.0  # seconds of one wait, which system calls bound


class Programs:
    """Runs one program, once for each call: what the transports of both worlds share. Calls share nothing.

    Args:
        program: its name, looked up on PATH for each call, or its path.
        provider: whose errors these are, for the classifier.
        environment: what is added to our own environment.
        rules: the caller's own for errors.

    Attributes:
        secrets: what of it no error may show, by its names.

    Raises:
        RuntimeError: on Windows, which lacks what a program is kept in bounds with.
    """

    _writing: ClassVar[type[Writing]]

    def __init__(
        self,
        program: str,
        *,
        provider: str = "",
        environment: Mapping[str, str] | None = None,
        rules: Sequence[Rule] = (),
    ) -> None:
        if os.name != "posix":
            raise RuntimeError("local programs need POSIX: on Windows, start `llama-server` and use LlamaCpp")
        self.program = program
        self.provider = provider
        self._rules = rules
        self._environment = dict(environment or {})
        self.secrets = tuple(Secret(value) for name, value in self._environment.items() if TELLING.search(name))

    def _start(self, call: ProcessCall, until: float, now: Now) -> Any:
        if now() >= until:
            raise TimedOut(reason=WAITED)
        command = (self.find(), *call.arguments)
        try:
            program = Supervised(command, call.prompt, {**os.environ, **self._environment})
        except OSError as error:
            trouble = error.strerror
        else:
            return self._writing(program, call.stops, self.provider, now, self._rules)
        raise Unavailable(f"the program {self.program} could not be started: {trouble}", reason="startup")

    def find(self) -> str:
        """Where the program is, by the PATH that it will have.

        Raises:
            Unavailable: with reason "binary_missing", if it is nowhere, or not executable.
        """
        found = shutil.which(self.program, path=self._environment.get("PATH"))
        if found is not None:
            return found
        trouble = "is not executable" if os.path.exists(self.program) else "was not found"
        hint = hint_for(self.provider, ErrorClass.UNAVAILABLE, "binary_missing", "")
        raise Unavailable(f"the program {self.program} {trouble}", reason="binary_missing", hint=hint)

    def __repr__(self) -> str:
        return f"ProcessTransport({self.program!r})"


class Writing(Arrival):
    """What a running program writes, in the form that `stream.Output` reads, with its good end as a part of it.

    Nothing runs beside the reader. While it waits for text it also takes what the program complains about, so that
    no amount of that can stop the program.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_now",
        "_open",
        "_over",
        "_parting",
        "_poll",
        "_program",
        "_provider",
        "_reading",
        "_rules",
        "_text",
        "_told",
    )

    def __init__(
        self, program: Supervised, stops: Sequence[bytes], provider: str, now: Now, rules: Sequence[Rule] = ()
    ) -> None:
        """Takes a program over.

        Args:
            program: it, just started.
            stops: texts at the first of which the answer is over.
            provider: whose errors these are, for the classifier.
            now: the clock.
            rules: the caller's own for errors.
        """
        self.status = 200
        self.headers = {}
        self._program = program
        self._provider = provider
        self._rules = rules
        self._now = now
        self._text = Spoken(stops)
        self._told = bytearray()
        self._parting = math.inf  # the moment until which a program that was interrupted is listened to
        self._poll = select.poll()
        self._open = {program.text, program.complaints}
        for pipe in self._open:
            self._poll.register(pipe, select.POLLIN)
        self._reading = threading.Lock()
        self._closed = False
        self._over = False
        _running.add(self)

    def _piece(self, until: float) -> Waits[bytes]:
        """The next piece; see `ProcessIncoming.read`."""
        data, failure = b"", None
        with self._reading:
            try:
                while not (data or self._over or self._closed):
                    data = yield from (self._next(until) if self._open else self._end(until))
            except ProviderError as error:
                failure = error
        closed = self._closed  # by another thread, which killed the program
        if failure is not None or self._over or closed:
            self.close()
        if failure is None or closed:
            return b"" if closed else data
        try:
            raise failure
        finally:
            del failure  # whose traceback holds this frame

    def close(self) -> None:
        """Kills the program, if it still runs, and waits for its end. Can be repeated, from any thread."""
        self._closed = True
        self._program.kill()
        # A pipe must not be closed under a thread that waits for it: whoever reads does it when it is back.
        if self._reading.acquire(blocking=False):
            try:
                self._program.free()
            finally:
                self._reading.release()

    def _readable(self, seconds: float) -> Any:
        """Waits so long for the pipes; gives those that have something, and what."""
        raise NotImplementedError

    def _ended(self, seconds: float) -> Any:
        """Waits so long for the end of the program; gives its exit code, or None."""
        raise NotImplementedError

    def _next(self, until: float) -> Waits[bytes]:
        """Waits once for what the program writes; b"" if none of it is text, or sure to be text."""
        left = min(until, self._parting) - self._now()
        if left <= 0:
            if not self._text.found:
                raise TimedOut(reason=WAITED)
            self._open.clear()  # the answer is whole, whatever else was to come
        data = b""
        for pipe, _ in (yield self._readable(min(max(left, 0.0), _LONGEST))):
            piece = os.read(pipe, _PIECE)
            if not piece:
                self._poll.unregister(pipe)
                self._open.discard(pipe)
            elif pipe == self._program.text:
                data += self._text.feed(piece)
            else:
                self._told += piece
                del self._told[:-_TOLD]
        if self._text.found and self._parting == math.inf:
            self._parting = self._now() + _PARTING
            self._program.signal("INT")
        return data

    def _end(self, until: float) -> Waits[bytes]:
        """What became of the program, once it writes nothing more."""
        how, code = "stop", 0  # whatever the interrupt made of it
        if not self._text.found:
            left = min(max(until - self._now(), 0.0), _LONGEST)
            ended = yield self._ended(left)
            if ended is None:
                raise TimedOut(reason=WAITED)
            how, code = "exit", ended
        error = classify_process(self._provider, code, self._told.decode("utf-8", "replace"), rules=self._rules)
        if error is not None:
            raise error
        self._over = True
        return self._text.end(how, bytes(self._told))

    def leave(self) -> None:
        """Gives up what a fork brought along; the program stays the other process's."""
        self._closed = True
        self._reading = threading.Lock()  # the other process's threads may hold it
        self._program.leave()


class ProcessIncoming(Writing, Incoming):
    """What a running program writes, for threads."""

    __slots__ = ()

    def read(self, until: float) -> bytes:
        """As the base says.

        Raises:
            TimedOut: with reason WAITED, if the moment comes first; the program is killed.
            ProviderError: what became of the program, if it ended badly.
        """
        return run(self._piece(until))

    def _readable(self, seconds: float) -> list[tuple[int, int]]:
        return self._poll.poll(math.ceil(seconds * 1000))

    def _ended(self, seconds: float) -> int | None:
        return self._program.exit_code(seconds)


class ProcessTransport(Programs):
    """Runs one program, once for each call, for threads; arguments as Programs has them. Thread-safe."""

    _writing = ProcessIncoming

    def send(self, call: ProcessCall, *, connect: float, until: float, now: Now) -> ProcessIncoming:
        """Starts the program.

        Args:
            call: what to run it with.
            connect: not used, there is no connection.
            until: the moment on the clock at which waiting ends.
            now: the clock.

        Raises:
            TimedOut: with reason WAITED, if that moment has passed.
            Unavailable: with reason "binary_missing" or "startup", if it cannot be started.
        """
        incoming: ProcessIncoming = self._start(call, until, now)
        return incoming

    def close(self) -> None:
        """Does nothing: between calls nothing is held, and a program that runs ends with its reply."""


_running: weakref.WeakSet[Writing] = weakref.WeakSet()


def _leave_all() -> None:
    for incoming in list(_running):
        incoming.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
