"""Programs as children: pipes, clocks, ends of every kind, and nothing left behind. Real processes, no model."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mainstay.adapters.codec import ProcessCall
from mainstay.adapters.process import ProcessIncoming, ProcessTransport
from mainstay.adapters.stream import Output
from mainstay.pipeline import ErrorClass, ProviderError, TimedOut, Unavailable
from support.fake_llama import FakeLlama, alive, ends, fake_llama, held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors and children in /proc")

SECRET = "a prompt that nobody else may see"
Fake = Callable[[str], FakeLlama]


@pytest.fixture(autouse=True)
def world(either: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every test of this file is run in both worlds: the name of the transport is that of the world in turn."""
    monkeypatch.setattr(sys.modules[__name__], "ProcessTransport", either.ProcessTransport)
    return either


@pytest.fixture(autouse=True)
def _nothing_is_left(world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    gc.collect()
    before = held()
    yield
    gc.collect()
    assert held() == before
    assert list(temporary.iterdir()) == []


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return lambda code: fake_llama(tmp_path, code)


def start(
    program: FakeLlama | str, *arguments: str, stops: tuple[bytes, ...] = (), seconds: float = 60.0
) -> ProcessIncoming:
    path = program if isinstance(program, str) else str(program.path)
    call = ProcessCall(arguments, f"{SECRET}\n".encode(), stops)
    return ProcessTransport(path, provider="llama_cpp").send(
        call, connect=5.0, until=monotonic() + seconds, now=monotonic
    )


def frames(data: bytes) -> list[tuple[str, str]]:
    return Output().feed(data)


def failure(incoming: ProcessIncoming, seconds: float = 60.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        incoming.read_all(monotonic() + seconds)
    return caught.value


class TestARun:
    def test_what_it_gets_and_what_it_gives(self, fake: Fake) -> None:
        llama = fake("say('Hel'); log('loud'); say('lo\\n\\n')")
        incoming = start(llama, "-m", "a model", "--stop", 'it\'s $HOME; "x" `id` \n\\', "")
        assert (incoming.status, dict(incoming.headers)) == (200, {})
        text, end = frames(incoming.read_all(monotonic() + 60))
        assert (text, end) == (("text", "Hello\n\n"), ("exit", "loud\n"))
        assert llama.call["arguments"] == ["-m", "a model", "--stop", 'it\'s $HOME; "x" `id` \n\\', ""]
        assert llama.call["given"] == f"{SECRET}\n"
        assert incoming.read(monotonic() + 60) == b""

    def test_text_comes_as_soon_as_it_is_written(self, fake: Fake) -> None:
        incoming = start(fake("say('one'); hang()"))
        assert incoming.read(monotonic() + 60) == b"one"
        incoming.close()

    def test_nobody_can_list_the_prompt(self, fake: Fake, tmp_path: Path) -> None:
        llama = fake("say('one'); hang()")
        incoming = start(llama)
        incoming.read(monotonic() + 60)
        call = llama.call
        shown = b"".join(Path(f"/proc/{call[who]}/{what}").read_bytes() for who in ("pid", "parent")
                         for what in ("cmdline", "environ"))  # fmt: skip
        assert b"sh" in shown
        assert SECRET.encode() not in shown
        assert list((tmp_path / "temporary").iterdir()) == []  # while it runs
        assert SECRET not in repr(ProcessCall((), SECRET.encode(), (SECRET.encode(),)))
        incoming.close()

    def test_noise_stops_nothing_and_what_ended_it_is_kept(self, fake: Fake) -> None:
        llama = fake("noise(4); say('text'); noise(4); log('prompt is too long (1202 tokens, max 508)'); sys.exit(1)")
        assert failure(start(llama)).reason == "context_length"

    def test_much_text_comes_whole(self, fake: Fake) -> None:
        incoming = start(fake("say('\u00e9' * 3_000_000); noise(2)"))
        pieces = list(iter(lambda: incoming.read(monotonic() + 60), b""))
        assert max(map(len, pieces)) <= 128 * 1024
        (_, text), *_ = frames(b"".join(pieces))
        assert text == "\u00e9" * 3_000_000

    def test_environment(self, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OURS", "1")
        llama = fake("say('x')")
        transport = ProcessTransport(llama.path.name, environment={"PATH": str(llama.path.parent), "ADDED": "2"})
        # On the PATH that the program gets.
        incoming = transport.send(ProcessCall((), b""), connect=1, until=monotonic() + 60, now=monotonic)
        incoming.read_all(monotonic() + 60)
        assert (llama.call["environment"]["OURS"], llama.call["environment"]["ADDED"]) == ("1", "2")
        transport.close()


ENDS = [
    ("log('error: invalid argument: --nope'); sys.exit(1)", ErrorClass.INVALID_REQUEST, "bad_parameter"),
    ("""log('error while handling argument "--temp": stof'); sys.exit(1)""",
     ErrorClass.INVALID_REQUEST, "bad_parameter"),
    ("""log('error while handling argument "-j": [json.exception.parse_error.101] x'); sys.exit(1)""",
     ErrorClass.INVALID_REQUEST, "bad_parameter"),
    ("log('error: --model is required'); sys.exit(1)", ErrorClass.MODEL_NOT_FOUND, "model"),
    ("""log("failed to open GGUF file '/x' (No such file or directory)"); log('failed to load model'); sys.exit(1)""",
     ErrorClass.MODEL_NOT_FOUND, "model"),
    ("log('failed to load model'); log('error: unable to create context'); sys.exit(1)",
     ErrorClass.UNAVAILABLE, "model_load"),
    ("log('prompt is too long (1202 tokens, max 508)'); sys.exit(1)", ErrorClass.INVALID_REQUEST, "context_length"),
    ("say('#0 backtrace\\n'); log('failed to parse grammar'); os.abort()",
     ErrorClass.INVALID_REQUEST, "bad_parameter"),
    ("say('par'); os.abort()", ErrorClass.UNAVAILABLE, "crashed"),
    ("os.kill(os.getpid(), signal.SIGSEGV)", ErrorClass.UNAVAILABLE, "crashed"),
    ("say('par'); os.kill(os.getpid(), signal.SIGKILL)", ErrorClass.UNAVAILABLE, "out_of_memory"),
    ("say('par'); os.kill(os.getpid(), signal.SIGTERM)", ErrorClass.UNAVAILABLE, "terminated"),
    ("say('par'); sys.exit(130)", ErrorClass.UNAVAILABLE, "terminated"),
    ("log('input is empty'); sys.exit(255)", ErrorClass.INVALID_REQUEST, "bad_parameter"),
    ("log('x: error while loading shared libraries: libllama.so'); sys.exit(127)",
     ErrorClass.UNAVAILABLE, "binary_missing"),
    ("sys.exit(1)", ErrorClass.UNAVAILABLE, "exit"),
    ("say('text\\n\\n'); log('error parsing grammar'); sys.exit(0)", ErrorClass.INVALID_REQUEST, "bad_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "error_class", "reason"), ENDS, ids=[code[-60:] for code, _, _ in ENDS])
def test_how_it_ended_is_told(fake: Fake, code: str, error_class: ErrorClass, reason: str) -> None:
    error = failure(start(fake(code)))
    assert (error.error_class, error.reason) == (error_class, reason)


class TestNoStart:
    def test_it_is_not_there(self) -> None:
        with pytest.raises(Unavailable, match=r"no-such-llama was not found; install llama\.cpp") as caught:
            start("no-such-llama")
        assert caught.value.reason == "binary_missing"

    def test_it_is_not_executable(self, tmp_path: Path) -> None:
        path = tmp_path / "llama"
        path.write_text("x")
        with pytest.raises(Unavailable, match="is not executable") as caught:
            start(str(path))
        assert caught.value.reason == "binary_missing"

    def test_what_the_system_refuses(self, fake: Fake) -> None:
        with pytest.raises(Unavailable, match="could not be started: Argument list too long") as caught:
            start(fake("end()"), "x" * 200_000)
        assert caught.value.reason == "startup"

    def test_no_time_is_left(self, fake: Fake) -> None:
        llama = fake("end()")
        with pytest.raises(TimedOut) as caught:
            start(llama, seconds=0)
        assert (caught.value.reason, llama.calls) == ("read", [])

    def test_windows(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(os, "name", "nt")
            with pytest.raises(RuntimeError, match="on Windows, start `llama-server`"):
                ProcessTransport("llama-completion")


class TestTime:
    @pytest.mark.parametrize(
        "code",
        [
            "hang()",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); say('x'); hang()",
            "os.close(1); os.close(2); hang()",
            "noise(1); hang()",
        ],
        ids=["silent", "ignores SIGTERM", "closes its pipes", "noisy"],
    )
    def test_what_takes_too_long_is_killed(self, fake: Fake, code: str) -> None:
        llama = fake(code)
        incoming = start(llama)
        before = monotonic()
        error = failure(incoming, 1.0)
        assert (type(error), error.reason) == (TimedOut, "read")
        assert 1.0 <= monotonic() - before < 10
        assert not alive(llama.call["pid"])

    def test_a_moment_that_has_passed(self, fake: Fake) -> None:
        incoming = start(fake("end()"))
        with pytest.raises(TimedOut):
            incoming.read(monotonic())


class TestStops:
    def test_it_is_interrupted_and_says_what_it_used(self, fake: Fake) -> None:
        llama = fake("interruptible(); say('one S'); say('TOP two'); hang()")
        incoming = start(llama, stops=(b"STOP", b"never"))
        text, (how, told) = frames(incoming.read_all(monotonic() + 60))
        assert (text, how) == (("text", "one "), "stop")
        assert "prompt eval time" in told
        assert not alive(llama.call["pid"])

    @pytest.mark.parametrize("code", ["say('one STOP two'); hang()", "interruptible(); say('one STOP'); os._exit(3)"])
    def test_the_answer_is_whole_whatever_the_interrupt_makes_of_the_program(self, fake: Fake, code: str) -> None:
        # Python ignores the signal: the shell starts it so.
        (_, text), (how, _) = frames(start(fake(code), stops=(b"STOP",)).read_all(monotonic() + 60))
        assert (text, how) == ("one ", "stop")

    def test_the_answer_is_whole_even_if_the_time_is_over(self, fake: Fake) -> None:
        incoming = start(fake("say('one STOP two'); hang()"), stops=(b"STOP",))
        assert incoming.read(monotonic() + 60) == b"one "
        assert frames(incoming.read(monotonic())) == [("stop", "")]

    def test_what_might_have_been_the_beginning_of_one(self, fake: Fake) -> None:
        incoming = start(fake("say('one STO'); say('P'); end(eos=False)"), stops=(b"STOPS",))
        text = "".join(text for kind, text in frames(incoming.read_all(monotonic() + 60)) if kind == "text")
        assert text == "one STOP\n\n"


class TestClosing:
    def test_closing_kills_and_can_be_repeated(self, fake: Fake) -> None:
        llama = fake("say('x'); hang()")
        incoming = start(llama)
        incoming.read(monotonic() + 60)
        for _ in range(3):
            incoming.close()
            assert not alive(llama.call["pid"])
        assert incoming.read(monotonic() + 60) == b""

    def test_another_thread_closes_and_the_reader_wakes(self, fake: Fake) -> None:
        llama = fake("say('x'); hang()")
        incoming = start(llama)
        incoming.read(monotonic() + 60)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(incoming.read(monotonic() + 60)))
        reader.start()
        closers = [threading.Thread(target=incoming.close) for _ in range(4)]
        for thread in closers:
            thread.start()
        for thread in (reader, *closers):
            thread.join(30)
        assert got == [b""]
        assert ends(llama.call["pid"])

    def test_the_end_of_the_thread_that_started_it_is_not_its_end(self, fake: Fake) -> None:
        llama = fake("signal.signal(signal.SIGUSR1, lambda *_: end()); say('x'); hang()")
        started: list[ProcessIncoming] = []
        thread = threading.Thread(target=lambda: started.append(start(llama)))
        thread.start()
        thread.join(30)
        assert started[0].read(monotonic() + 60) == b"x"
        os.kill(llama.call["pid"], signal.SIGUSR1)
        assert frames(started[0].read_all(monotonic() + 60))[-1][0] == "exit"

    def test_many_at_once(self, fake: Fake) -> None:
        llama = fake("say('text\\n\\n'); noise(1)")
        got: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: got.append(start(llama).read_all(monotonic() + 60))) for _ in range(32)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [frames(data)[0] for data in got] == [("text", "text\n\n")] * 32
        assert len(llama.calls) == 32


PARENT = """
import os, sys, time
from time import monotonic
from mainstay.adapters.codec import ProcessCall
from mainstay.adapters.process import ProcessTransport
incoming = ProcessTransport(sys.argv[1]).send(ProcessCall((), b""), connect=1, until=monotonic() + 60, now=monotonic)
assert incoming.read(monotonic() + 60) == b"x"
"""


class TestOtherProcesses:
    @pytest.mark.parametrize("death", ["os.kill(os.getpid(), 9)", "os._exit(0)", "sys.exit(0)"])
    def test_when_we_die_it_dies(self, fake: Fake, death: str) -> None:
        llama = fake("signal.signal(signal.SIGTERM, signal.SIG_IGN); say('x'); hang()")
        subprocess.run([sys.executable, "-W", "ignore", "-c", PARENT + death, str(llama.path)], check=False, timeout=60)
        assert ends(llama.call["pid"])
        assert ends(llama.call["parent"])  # and the shell with it

    @pytest.mark.parametrize("act", ["incoming.close()", "del incoming; gc.collect()", "incoming.read_all(1e18)"])
    def test_a_fork_does_no_harm_to_it(self, fake: Fake, act: str) -> None:
        llama = fake("signal.signal(signal.SIGUSR1, lambda *_: end()); say('x'); hang()")
        program = f"""{PARENT}
import gc, signal
child = os.fork()
if not child:
    {act}
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
os.kill(int(os.listdir(sys.argv[2])[0][:-5]), signal.SIGUSR1)
assert incoming.read_all(monotonic() + 60).endswith(b"\\0")
"""
        arguments = [sys.executable, "-W", "error", "-c", program, str(llama.path), str(llama.notes)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize("act", ["incoming.close()", "os.kill(os.getpid(), 9)"], ids=["closed", "killed"])
    def test_a_fork_that_lives_on_does_not_keep_it_alive(self, fake: Fake, act: str) -> None:
        llama = fake("say('x'); hang()")
        program = f"""{PARENT}
child = os.fork()
if not child:
    os.write(1, b"%d" % os.getpid())
    time.sleep(60)
    os._exit(0)
{act}
"""
        parent = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, str(llama.path)], stdout=subprocess.PIPE
        )
        assert parent.stdout is not None
        child = int(os.read(parent.stdout.fileno(), 100))
        try:
            parent.wait(60)
            assert ends(llama.call["pid"])
            assert alive(child)
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            parent.stdout.close()
