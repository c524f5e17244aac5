"""A program that cannot outlive us, nor leave anything behind. POSIX only.

It runs under a few lines of shell, which read from a pipe whose other end only we hold. When we die, even by SIGKILL,
the pipe ends, and the shell kills the program. PR_SET_PDEATHSIG cannot be used for that: it fires when the *thread*
ends that started the program, and setting it means running Python between fork and exec, which is not safe with
threads. Signals take the same way, so that none is ever sent to a number that belongs to another process by now.

The prompt never stands in an argument, which everybody on the machine can list, nor in a file with a name, which
could stay behind: the program gets a file that has none any more as its input.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

__all__ = ["Supervised"]

# $1 is the input, the rest the command. The shell's own input carries signals, one a line; its end is the last one.
# The shell stays until the program and the reader of signals are over, so that nobody is left to be waited for, and
# neither holds any of the program's pipes: they end when the program does.
_SHELL = """
exec 4<"$1" 3<&0
shift
"$@" <&4 3<&- 4<&- &
program=$!
{
    while read -r signal; do kill -s "$signal" "$program"; done
    kill -s KILL "$program"
} <&3 >/dev/null 2>&1 3<&- 4<&- &
reader=$!
exec </dev/null >/dev/null 2>&1 3<&- 4<&-
wait "$program"
code=$?
kill "$reader"
wait "$reader"
exit "$code"
"""

_REAPING = 5.0  # seconds for a program that was killed; more only if the kernel cannot let go of it
_SIGNALS = range(129, 193)  # exit codes of a shell whose program was ended by a signal


class Supervised:
    """A running program. Any thread may signal and kill it; the pipes belong to the one that reads.

    Attributes:
        text: the descriptor of what it writes.
        complaints: the descriptor of what it writes about that.
    """

    __slots__ = ("_process", "_signalling", "complaints", "text")

    def __init__(self, command: Sequence[str], prompt: bytes, environment: Mapping[str, str]) -> None:
        """Starts a program.

        Args:
            command: the path of the program, and its arguments.
            prompt: its input.
            environment: all of its environment.

        Raises:
            OSError: if it cannot be started.
        """
        with tempfile.TemporaryFile() as file:
            file.write(prompt)
            file.seek(0)
            number = file.fileno()
            self._process = subprocess.Popen(  # noqa: S603 - the shell takes the command as it is, word by word
                ["/bin/sh", "-c", _SHELL, "sh", f"/dev/fd/{number}", *command],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(number,),
                env=environment,
                start_new_session=True,  # an interrupt from the keyboard is ours to handle
            )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.text = self._process.stdout.fileno()
        self.complaints = self._process.stderr.fileno()
        self._signalling = threading.RLock()  # a garbage collection may kill what its thread is about to signal

    def signal(self, name: str) -> None:
        """Sends it a signal, such as "INT"; does nothing if it is over."""
        pipe = self._process.stdin
        with self._signalling, suppress(OSError, ValueError):
            if pipe is not None:
                pipe.write(f"{name}\n".encode())

    def kill(self) -> None:
        """Kills it, if it still runs. Can be repeated.

        At once: what answers one question has nothing to save, and could ignore SIGTERM.
        """
        with self._signalling:
            self.signal("KILL")  # the end of the pipe says it too, unless some fork has a copy of it
            self._shut(self._process.stdin)

    def exit_code(self, seconds: float) -> int | None:
        """Waits for its end.

        Returns:
            As `subprocess` has it, negative for a signal; None if it did not end in time.
        """
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(seconds)
            return 128 - code if code in _SIGNALS else code
        return None

    def free(self) -> None:
        """Closes its pipes and takes its end from the kernel, once it is killed or over."""
        self._shut(self._process.stdout)
        self._shut(self._process.stderr)
        self.exit_code(_REAPING)

    def leave(self) -> None:
        """Gives it up in a process that a fork brought it to: only copies are closed; it is the child of another."""
        self._signalling = threading.RLock()
        self._process.returncode = 0  # not to be waited for
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            self._shut(pipe)

    @staticmethod
    def _shut(pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
