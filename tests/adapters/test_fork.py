"""A fork between two calls: parent and child ask over connections of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox

# Parent and child take turns through pipes, so that both have sent before either reads: on a shared connection each
# would get the other's answer. A lock that another thread held at the fork must not stop the child.
PROGRAM = """
import os, sys, threading
from mainstay.adapters import OpenAI
from mainstay.pipeline import Request, Timeouts

url, session = sys.argv[1], None
if sys.argv[2] == "session":
    import requests
    session = requests.Session()
adapter = OpenAI("sk-key", base_url=url, timeouts=Timeouts(total=20), session=session)
ask = lambda words, stream=False: adapter(Request("m", words, stream=stream))
ask("warm up")
stream = ask("a long stream", True)

def hold():
    with adapter.transport._opening:
        held.set()
        forked.wait(20)

held, forked = threading.Event(), threading.Event()
threading.Thread(target=hold).start()
held.wait(20)
ready, go = os.pipe()
child = os.fork()
me = "parent" if child else "child"
if child:
    forked.set()
    os.read(ready, 1)  # the child is about to send
    got = [ask(f"{me} {n}").text for n in range(20)]
    got.append(stream.read().text)
    _, status = os.waitpid(child, 0)
    assert status == 0, status
    expected = [f"{me} {n}" for n in range(20)] + ["a long stream" * 20_000]
else:
    stream.close()  # ends the child's copy, not the parent's stream
    os.write(go, b"x")
    got = [ask(f"{me} {n}").text for n in range(20)]
    expected = [f"{me} {n}" for n in range(20)]
ok = got == expected
if not ok:
    print(me, got, flush=True)
adapter.close()
os._exit(0 if ok else 1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("session", ["own", "session"])
def test_parent_and_child_get_their_own_answers(session: str) -> None:
    with Sandbox("openai") as server:
        # The stream is longer than what sockets hold, so that it is under way at the fork.
        server.always(lambda seen: Answer(chunks=(seen.prompt,) * (20_000 if "stream" in seen.prompt else 1)))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, server.url, session],
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.connections >= 2
