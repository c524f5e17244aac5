"""What happens to a request: the parts of a sandbox, joined.

The script says which step it gets, the dialect whether it is a good request, the planner what the step means
on the wire, the connection sends that; the counts remember it, and the listener holds port and threads.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from .answer import Answer
from .connection import Connection
from .counts import Counts
from .dialect import Dialect, Problem, Rules
from .fault import Fault
from .hold import Hold
from .listener import Listener
from .plan import Action, Planner, reply_plan
from .script import Script, Step
from .seen import Seen


class Engine:
    """The running half of a sandbox; its connections ask it what to do.

    Args:
        dialect: the protocol.
        rules: which keys and models are good.
        close_delimited: send streams without chunks.
    """

    def __init__(self, dialect: Dialect, rules: Rules, *, close_delimited: bool) -> None:
        self.dialect = dialect
        self.close_delimited = close_delimited
        self.script = Script(dialect)
        self.counts = Counts()
        self.gate: Hold | None = None
        self.listener = Listener(
            self._serve, opened=self.counts.opened, closed=self.counts.closed, name=f"sandbox-{dialect.name}"
        )
        self.rules = rules

    @property
    def closing(self) -> bool:
        """Whether the server is being closed."""
        return self.listener.closing

    @property
    def winding_down(self) -> bool:
        """Whether connections end with the answer they are busy with."""
        return self.listener.closing or self.listener.refusing

    @property
    def wake(self) -> socket.socket:
        """Becomes readable when the server is being closed."""
        return self.listener.wake

    def busy(self, sock: socket.socket, is_busy: bool) -> None:
        """Take note whether a connection is busy with an answer."""
        self.listener.busy(sock, is_busy)

    def settle(self, connection: Connection) -> None:
        """Take note that a chat request's answer is over; only the first time counts."""
        if connection.in_chat:
            connection.in_chat = False
            self.counts.chat_ended()

    def answer(self, seen: Seen, connection: Connection) -> Iterator[Action]:
        """Count a request and say how it is answered.

        Args:
            seen: the request, without a number.
            connection: where it came from.

        Returns:
            What to send, and when.
        """
        if seen.method != "POST" or seen.path != self.dialect.chat_path:
            return reply_plan(self.dialect.other(self.counts.arrived(seen), self.rules))
        with self.counts.condition:  # one moment, so that the order of steps is the order of arrival
            seen = self.counts.arrived(seen)
            step, default, gate = self.script.next(), self.script.default, self.gate
            self.counts.chat_began()
            connection.in_chat = True
        complaint = gate.wait(connection.gone) if gate is not None else None
        if complaint is not None:
            return self._fail(complaint, seen)
        problem = self.dialect.check(seen, self.rules)
        if problem is not None:
            return reply_plan(self.dialect.problem_reply(problem, seen.number))
        try:
            made = self.script.resolve(step, seen)
            answer = self._answer_under(made, default, seen) if isinstance(made, Fault) else made
            return Planner(self.dialect, seen, answer).plan(made)
        except Exception as error:  # noqa: BLE001 - whatever a test's own function raises, the client should see it
            return self._fail(f"sandbox: the answer function raised {type(error).__name__}: {error}", seen)

    def _fail(self, complaint: str, seen: Seen) -> Iterator[Action]:
        usual = self.dialect.problem(500)
        return reply_plan(self.dialect.problem_reply(Problem(500, complaint, usual.type), seen.number))

    def _answer_under(self, fault: Fault, default: Step, seen: Seen) -> Answer:
        """The answer that a fault acts on if it has none of its own."""
        if fault.spoils_answer and not isinstance(default, Fault):
            made = self.script.resolve(default, seen)
            if isinstance(made, Answer):
                return made
        return Answer()

    def _serve(self, sock: socket.socket, address: tuple[str, int]) -> None:
        Connection(sock, address, self)
