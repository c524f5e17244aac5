"""Every fault as a bare socket sees it: which bytes arrive, and how the connection ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, faults

Ask = Callable[..., Any]
ANSWER = Answer("one two three four")


@pytest.fixture(autouse=True)
def _default(request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        request.getfixturevalue("server").default = ANSWER


def finished(answered: Any) -> bool:
    """Whether a stream said why it ended."""
    markers = (b'"finish_reason":"stop"', b'"stop_reason":"end_turn"', b'"done":true')
    return any(marker in answered.body for marker in markers)


def terminated(answered: Any) -> bool:
    """Whether a stream had its protocol's own end."""
    return any(marker in answered.body for marker in (b"data: [DONE]", b'"type":"message_stop"', b'"done":true'))


def test_a_good_answer(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    whole = ask(server)
    assert (whole.status, whole.whole, whole.ended) == (200, True, "eof")
    assert whole.headers["content-type"].startswith("application/json")
    assert text_of(whole) == "one two three four"
    stream = ask(server, stream=True)
    assert (stream.status, stream.whole, stream.ended) == (200, True, "eof")
    assert text_of(stream) == "one two three four"
    assert finished(stream)
    assert terminated(stream)


def test_one_write_for_each_event(server: Sandbox, ask: Ask) -> None:
    stream = ask(server, stream=True)
    assert all(chunk.endswith(b"\n") for chunk in stream.chunks)
    assert sum(b"two" in chunk or b"three" in chunk for chunk in stream.chunks) == 2


def test_the_same_request_gets_the_same_bytes(server: Sandbox, ask: Ask) -> None:
    first = ask(server, stream=True)
    server.reset_counts()  # ids follow the number of the request
    assert ask(server, stream=True).body == first.body


@pytest.mark.parametrize("stream", [False, True])
def test_status(server: Sandbox, ask: Ask, stream: bool) -> None:
    server.script(faults.status(503, message="Boom", retry_after=1.5, headers={"X-Should-Retry": "false"}))
    answered = ask(server, stream=stream)
    assert answered.status == 503
    assert answered.headers["retry-after"] == "1.5"
    assert answered.headers["x-should-retry"] == "false"
    assert answered.headers["content-type"].startswith("application/json")
    assert b"Boom" in answered.body


def test_status_with_a_body_of_its_own(server: Sandbox, ask: Ask) -> None:
    server.script(
        faults.status(502, body="<html>Bad gateway</html>"),
        faults.status(400, body={"detail": "é"}),
        faults.status(500, body="no\n"),
        faults.status(200, body=b"\xff", headers=[("Content-Type", "text/odd")], retry_after="Fri, 01 Jan 2100"),
        faults.status(204),
        faults.status(599),
    )
    page, detail, plain, odd, nothing, strange = (ask(server) for _ in range(6))
    assert (page.headers["content-type"], page.body) == ("text/html; charset=utf-8", b"<html>Bad gateway</html>")
    assert (detail.headers["content-type"], detail.json) == ("application/json", {"detail": "é"})
    assert (plain.headers["content-type"], plain.body) == ("text/plain; charset=utf-8", b"no\n")
    assert (odd.headers["content-type"], odd.body) == ("text/odd", b"\xff")
    assert odd.headers["retry-after"] == "Fri, 01 Jan 2100"
    assert (nothing.status, nothing.body, "content-length" in nothing.headers) == (204, b"", False)
    assert strange.status == 599


def test_error_bodies_have_the_shape_of_the_dialect(server: Sandbox, ask: Ask) -> None:
    server.script(faults.status(429, type="slow", code_="x1", message="Slow down"), faults.status(500, code_=None))
    expected = {
        "openai": {"error": {"message": "Slow down", "type": "slow", "param": None, "code": "x1"}},
        "claude": {
            "type": "error",
            "error": {"type": "slow", "message": "Slow down", "details": {"error_code": "x1"}},
            "request_id": "req_000000000001",
        },
        "openrouter": {
            "error": {
                "code": "x1",
                "message": "Slow down",
                "metadata": {
                    "error_type": "slow",
                    "raw": '{"error":{"message":"the model is temporarily rate-limited upstream"}}',
                    "provider_name": "Acme",
                },
            },
            "user_id": "user_sandbox",
        },
        "ollama": {"error": "Slow down"},
        "llama_cpp": {"error": {"code": "x1", "message": "Slow down", "type": "slow"}},
    }
    assert ask(server).json == expected[server.dialect]
    assert "error" in ask(server).json


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
@pytest.mark.parametrize("after", [0, 2, 99])
def test_cut_stream(server: Sandbox, ask: Ask, text_of: Ask, how: Any, after: int) -> None:
    server.script(faults.cut(after=after, how=how))
    answered = ask(server, stream=True)
    assert text_of(answered) == {0: "", 2: "one two", 99: "one two three four"}[after]
    assert not finished(answered)
    assert not terminated(answered)
    assert answered.whole is (how == "clean")
    assert answered.ended == ("reset" if how == "reset" else "eof")


@pytest.mark.parametrize("how", ["close", "reset", "clean"])
def test_cut_body(server: Sandbox, ask: Ask, how: Any) -> None:
    full = ask(server).body
    server.reset_counts()
    server.script(faults.cut(how=how))
    answered = ask(server)
    assert answered.body == full[: len(full) // 2]
    assert answered.whole is (how == "clean")
    assert answered.ended == ("reset" if how == "reset" else "eof")
    assert answered.headers.get("content-length") == (None if how == "clean" else str(len(full)))


def test_cut_of_an_answer_of_its_own(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.script(faults.cut(after=1, answer=Answer("other words")))
    assert text_of(ask(server, stream=True)) == "other"


def test_no_terminator(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.script(faults.no_terminator(), faults.no_terminator())
    answered = ask(server, stream=True)
    assert text_of(answered) == "one two three four"
    assert answered.whole
    assert not terminated(answered)
    assert finished(answered) is (server.dialect != "ollama")  # its done line is both
    assert text_of(ask(server)) == "one two three four"


def test_malformed(server: Sandbox, ask: Ask) -> None:
    server.script(faults.malformed(), faults.malformed(after=1), faults.malformed(after=99))
    answered = ask(server)
    assert answered.whole
    with pytest.raises(json.JSONDecodeError):
        json.loads(answered.body)
    for good in (1, 3):
        stream = ask(server, stream=True)
        assert stream.whole
        assert terminated(stream)
        events = [chunk for chunk in stream.chunks if b"{" in chunk]
        broken = []
        for event in events:
            try:
                json.loads(event[event.index(b"{") :])
            except json.JSONDecodeError:
                broken.append(event)
        assert len(broken) == 1
        contents = [event for event in events if b'"content":"' in event or b"text_delta" in event or event in broken]
        contents = [event for event in contents if b'"content":""' not in event]
        assert contents.index(broken[0]) == good


def test_malformed_without_content(server: Sandbox, ask: Ask) -> None:
    server.script(faults.malformed(answer=Answer("")))
    assert ask(server, stream=True).whole


def test_error_in_200(server: Sandbox, ask: Ask) -> None:
    server.script(*[faults.error_in_200()] * 2, *[faults.error_in_200(faults.rate_limit())] * 2)
    for _ in range(2):
        answered = ask(server)
        assert (answered.status, answered.whole) == (200, True)
        assert "error" in answered.json
        stream = ask(server, stream=True)
        assert (stream.status, stream.whole) == (200, True)
        assert len(stream.events) == 1
        assert stream.events[0]["error"]
        assert "json" not in stream.headers["content-type"] or "ndjson" in stream.headers["content-type"]


def test_error_event(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.script(faults.error_event(after=2), faults.error_event(after=0, error=faults.overloaded()))
    answered = ask(server, stream=True)
    assert text_of(answered) == "one two" or server.dialect == "ollama"
    assert answered.events[-1]["error"]
    assert answered.whole
    assert not finished(answered)
    early = ask(server, stream=True)
    assert early.events[-1]["error"]
    assert b"one" not in early.body


def test_error_event_closes_the_connection(server: Sandbox, connect: Ask) -> None:
    server.script(faults.error_event())
    answered = connect(server).ask(stream=True, keep=True).read()  # the client would have kept it open
    assert (answered.whole, answered.ended) == (True, "eof")


def test_error_event_without_a_stream_is_an_http_error(server: Sandbox, ask: Ask) -> None:
    server.script(faults.error_event(), faults.error_event(error=faults.rate_limit(retry_after=3)))
    assert ask(server).status == {"claude": 529, "openrouter": 502}.get(server.dialect, 500)
    answered = ask(server)
    assert (answered.status, answered.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize("stream", [False, True])
def test_html_and_empty(server: Sandbox, ask: Ask, stream: bool) -> None:
    server.script(faults.html(), faults.empty())
    page = ask(server, stream=stream)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!DOCTYPE html>")
    nothing = ask(server, stream=stream)
    assert (nothing.status, nothing.body, nothing.whole) == (200, b"", True)


@pytest.mark.parametrize("stream", [False, True])
def test_reset_and_disconnect(server: Sandbox, ask: Ask, stream: bool) -> None:
    server.script(faults.reset(), faults.disconnect())
    first, second = ask(server, stream=stream), ask(server, stream=stream)
    assert (first.raw, first.ended) == (b"", "reset")
    assert (second.raw, second.ended) == (b"", "eof")


@pytest.mark.parametrize("stream", [False, True])
def test_hang(server: Sandbox, connect: Ask, stream: bool) -> None:
    server.script(faults.hang())
    wire = connect(server).ask(stream=stream)
    assert server.wait_until(lambda s: s.in_flight == 1)
    assert wire.silent()
    server.close()
    assert wire.read().raw == b""


def test_stall(server: Sandbox, connect: Ask, ask: Ask, text_of: Ask) -> None:
    server.script(faults.stall(after=2), faults.stall())
    stream = connect(server).ask(stream=True)
    answered = stream.read_until(lambda got: b" two" in got.body)
    assert text_of(answered) == "one two"
    assert stream.silent()
    complete = connect(server).ask()
    half = complete.read_until(lambda got: got.status == 200)
    assert len(half.body) == int(half.headers["content-length"]) // 2
    assert complete.silent()
    assert server.in_flight == 2


def test_stall_before_the_first_event(server: Sandbox, connect: Ask) -> None:
    server.script(faults.stall(after=0))
    wire = connect(server).ask(stream=True)
    last = {
        "openai": b'"role":"assistant"',
        "claude": b"event: ping",
        "openrouter": b": OPENROUTER PROCESSING",
        "ollama": b"",
        "llama_cpp": b'"content":null',
    }[server.dialect]
    answered = wire.read_until(lambda got: got.status == 200 and last in got.body)
    assert answered.headers["transfer-encoding"] == "chunked"
    assert wire.silent()


def test_pings(server: Sandbox, connect: Ask) -> None:
    server.script(faults.pings(interval=0.001), faults.pings())
    ping = {
        "openai": b": keep-alive\n\n",
        "claude": b'event: ping\ndata: {"type":"ping"}\n\n',
        "openrouter": b": OPENROUTER PROCESSING\n\n",
        "ollama": b"\n",
        "llama_cpp": b":\n\n",
    }[server.dialect]
    wire = connect(server).ask(stream=True)
    assert set(wire.read_until(lambda got: len(got.chunks) >= 5).chunks[:5]) == {ping}
    assert connect(server).ask().silent()


def test_slow_first_byte(server: Sandbox, connect: Ask, ask: Ask, text_of: Ask) -> None:
    server.script(
        faults.slow_first_byte(60),
        faults.slow_first_byte(0.01),
        faults.slow_first_byte(0, then=faults.status(500)),
        faults.slow_first_byte(0.01, then=Answer("late")),
        Answer("delayed", delay=0.01),
    )
    assert connect(server).ask().silent()
    assert text_of(ask(server)) == "one two three four"
    assert ask(server).status == 500
    assert text_of(ask(server, stream=True)) == "late"
    assert text_of(ask(server)) == "delayed"


def test_drip(server: Sandbox, connect: Ask, ask: Ask, text_of: Ask) -> None:
    server.script(
        faults.drip(0.0),
        faults.drip(bytes_per_second=100_000, then=Answer("x")),
        faults.drip(0, then=faults.cut(after=1)),
        faults.drip(60),
    )
    stream = ask(server, stream=True)
    assert {len(chunk) for chunk in stream.chunks} == {1}
    assert text_of(stream) == "one two three four"
    assert text_of(ask(server)) == "x"
    cut = ask(server, stream=True)
    assert not cut.whole
    assert not finished(cut)
    wire = connect(server).ask()
    assert len(wire.read_until(lambda got: got.body).body) == 1
    assert wire.silent()


@pytest.mark.parametrize(
    "fault", [faults.hang(), faults.stall(), faults.slow_first_byte(60), faults.drip(60)], ids=repr
)
def test_a_client_that_goes_is_noticed(server: Sandbox, connect: Ask, fault: faults.Fault) -> None:
    server.always(fault)
    wire = connect(server).ask(stream=True)
    assert server.wait_until(lambda s: s.in_flight == 1)
    wire.close()
    assert server.wait_until(lambda s: s.open_connections == 0 and s.in_flight == 0)


def test_pings_end_when_the_client_goes(server: Sandbox, connect: Ask) -> None:
    server.always(faults.pings(interval=0.001))
    wire = connect(server).ask(stream=True)
    wire.read_until(lambda got: got.chunks)
    wire.close()
    assert server.wait_until(lambda s: s.open_connections == 0)


@pytest.mark.parametrize("dialect", ["openai", "claude", "openrouter", "ollama", "llama_cpp"])
def test_streams_delimited_by_the_connection(dialect: str, ask: Ask, text_of: Ask) -> None:
    with Sandbox(dialect, close_delimited=True) as server:
        server.default = ANSWER
        answered = ask(server, stream=True)
        assert "transfer-encoding" not in answered.headers
        assert "content-length" not in answered.headers
        assert answered.headers["connection"] == "close"
        assert text_of(answered) == "one two three four"
        assert terminated(answered)
        server.script(faults.cut(after=1), faults.cut(after=1, how="reset"))
        assert ask(server, stream=True).ended == "eof"
        assert ask(server, stream=True).ended == "reset"
        assert "content-length" in ask(server).headers
