"""The server around the faults: script, chaos, gate, counts, port, threads."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mainstay.adapters.sandbox import Answer, Sandbox, Seen, faults

Ask = Callable[..., Any]


def test_the_script_is_played_in_order_and_then_the_default(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.default = Answer("default")
    server.script(Answer("first"), faults.status(500), lambda seen: Answer(f"{seen.prompt}!"))
    assert server.steps_left == 3
    assert text_of(ask(server)) == "first"
    assert ask(server).status == 500
    assert text_of(ask(server)) == "Hi there!"
    assert text_of(ask(server)) == "default"
    assert server.steps_left == 0


def test_a_function_can_choose_a_fault(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.default = lambda seen: faults.status(500) if seen.number % 2 else Answer("even")
    assert ask(server).status == 500
    assert text_of(ask(server)) == "even"


def test_faults_spoil_what_the_default_function_says(server: Sandbox, ask: Ask, text_of: Ask) -> None:
    server.default = lambda seen: Answer(f"{seen.prompt} and more")
    server.script(faults.cut(after=3))
    assert text_of(ask(server, stream=True)) == "Hi there and"


def test_the_default_function_is_not_called_without_need(server: Sandbox, ask: Ask) -> None:
    called: list[Seen] = []

    def default(seen: Seen) -> Answer:
        called.append(seen)
        return Answer()

    server.default = default
    server.script(Answer(), faults.status(500), faults.cut(answer=Answer("x")), lambda seen: Answer())
    for _ in range(4):
        ask(server)
    assert called == []


def test_a_function_that_fails_is_reported_to_the_client(server: Sandbox, ask: Ask) -> None:
    server.script(lambda seen: 1 / 0, lambda seen: "text")  # type: ignore[arg-type,return-value]
    first, second = ask(server), ask(server)
    assert (first.status, second.status) == (500, 500)
    assert b"ZeroDivisionError" in first.body
    assert b"must return an Answer or a Fault" in second.body


def test_always(server: Sandbox, ask: Ask) -> None:
    server.script(Answer("x"))
    server.chaos({faults.status(500): 1})
    server.always(faults.status(503))
    assert [ask(server).status for _ in range(3)] == [503] * 3


def test_chaos_is_the_same_for_the_same_seed(ask: Ask) -> None:
    def statuses(seed: int) -> list[int]:
        with Sandbox("openai") as server:
            server.script(Answer())
            server.chaos({faults.status(500): 0.3, faults.status(503): 0.2}, seed=seed)
            return [ask(server).status for _ in range(40)]

    first = statuses(7)
    assert first == statuses(7)
    assert first != statuses(8)
    assert first[0] == 200
    assert set(first) == {200, 500, 503}


def test_chaos_can_be_switched_off(server: Sandbox, ask: Ask) -> None:
    server.chaos({faults.status(500): 1.0})
    assert ask(server).status == 500
    server.chaos({})
    assert ask(server).status == 200


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda s: s.script("hello"), TypeError, "a step must be"),
        (lambda s: s.script(faults.status(500), None), TypeError, "a step must be"),
        (lambda s: s.always(3), TypeError, "a step must be"),
        (lambda s: setattr(s, "default", "x"), TypeError, "a step must be"),
        (lambda s: s.chaos({Answer(): 0.5}), TypeError, "keys must be faults"),
        (lambda s: s.chaos({faults.hang(): "much"}), TypeError, "must be a number"),
        (lambda s: s.chaos({faults.hang(): float("nan")}), ValueError, "from 0 to 1"),
        (lambda s: s.chaos({faults.hang(): 0.7, faults.reset(): 0.7}), ValueError, "add up"),
        (lambda s: s.hold(0), ValueError, "1 or more"),
        (lambda s: s.hold(2, timeout=-1), ValueError, "0 or more"),
        (lambda s: Sandbox("gemini"), ValueError, "claude, llama_cpp, ollama, openai, openrouter"),
        (lambda s: Sandbox("openai", models="gpt-4o"), TypeError, "set of names"),
    ],
)
def test_wrong_use(use: Callable[[Sandbox], object], error: type[Exception], message: str) -> None:
    with Sandbox("openai") as server, pytest.raises(error, match=message):
        use(server)


def test_ollama_has_no_content_filter() -> None:
    with Sandbox("ollama") as server:
        for step in (faults.content_filter(), faults.error_in_200(faults.content_filter())):
            with pytest.raises(ValueError, match="no content filter"):
                server.script(step)


def test_hold_releases_all_at_once(server: Sandbox, ask: Ask) -> None:
    with server.hold(32) as gate, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: ask(server), range(32)))
        assert gate.waiting == 0
    assert [answered.status for answered in answers] == [200] * 32
    assert server.peak_in_flight == 32
    assert server.in_flight == 0


def test_hold_gives_up_with_a_reason(server: Sandbox, ask: Ask) -> None:
    server.hold(3, timeout=0.02)
    answered = ask(server)
    assert answered.status == 500
    assert b"only 1 of 3 requests came" in answered.body
    assert ask(server).status == 500
    server.hold(1)
    assert ask(server).status == 200


def test_hold_lets_go_at_the_end_of_the_block(server: Sandbox, connect: Ask) -> None:
    with server.hold(2):
        wire = connect(server).ask()
        assert server.wait_until(lambda s: s.in_flight == 1)
        assert wire.silent()
    assert wire.read().status == 200


def test_hold_notices_a_client_that_goes(server: Sandbox, connect: Ask) -> None:
    gate = server.hold(2)
    wire = connect(server).ask()
    assert server.wait_until(lambda s: gate.waiting == 1 or s.in_flight == 1)
    wire.close()
    assert server.wait_until(lambda s: s.open_connections == 0)
    assert gate.waiting == 0


def test_counts(server: Sandbox, ask: Ask, connect: Ask) -> None:
    wire = connect(server)
    for number in range(3):
        wire.send()
        wire.read_until(lambda got: got.whole)
        assert server.in_flight == 0
        assert server.count == number + 1
    assert (server.connections, server.open_connections, server.peak_in_flight) == (1, 1, 1)
    wire.close()
    assert server.wait_until(lambda s: s.open_connections == 0)
    assert [seen.number for seen in server.seen] == [1, 2, 3]
    server.reset_counts()
    assert (server.count, server.connections, server.peak_in_flight, server.seen) == (0, 0, 0, ())
    assert ask(server).ended == "eof"
    assert server.open_connections == 0  # counted before the client can see the end


def test_what_was_seen(server: Sandbox, connect: Ask) -> None:
    wire = connect(server)
    wire.send(b"not json", path="/some/path?a=1&b", x_mixed_case="Yes")
    wire.read_until(lambda got: got.whole)
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.query, seen.number) == ("POST", "/some/path", "a=1&b", 1)
    assert (seen.body, seen.raw, seen.fields, seen.prompt) == (b"not json", b"not json", {}, "")
    assert seen.headers["x-mixed-case"] == "Yes"
    assert server.count == 0


def test_a_chunked_request(server: Sandbox, connect: Ask) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}).encode()
    if server.dialect != "claude":
        body = body.replace(b', "max_tokens": 1', b"")
    half = len(body) // 2
    framed = b"%x\r\n%b\r\n%x;ext=1\r\n%b\r\n0\r\n\r\n" % (half, body[:half], len(body) - half, body[half:])
    wire = connect(server).send(framed, content_length="", transfer_encoding="chunked", connection="close")
    assert wire.read().status == 200
    assert server.seen[0].prompt == "x"
    broken = connect(server).send(b"zz\r\n", content_length="", transfer_encoding="chunked")
    assert broken.read().raw == b""


def test_http_1_0_gets_no_chunks(server: Sandbox, connect: Ask) -> None:
    wire = connect(server)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    wire.sock.sendall(b"POST %b HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (wire.path.encode(), len(body), body))
    answered = wire.read()
    assert "transfer-encoding" not in answered.headers
    assert answered.ended == "eof"


def test_not_http_at_all(server: Sandbox, connect: Ask) -> None:
    wire = connect(server)
    wire.sock.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert wire.read().ended in ("eof", "reset")
    assert server.seen == ()


def test_refuse_and_accept_again(server: Sandbox, connect: Ask, ask: Ask) -> None:
    port = server.port
    idle = connect(server).send()
    idle.read_until(lambda got: got.whole)
    server.refuse()
    server.refuse()
    assert "refusing" in repr(server)
    assert idle.read().ended == "eof"
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    server.accept()
    server.accept()
    assert server.port == port
    assert ask(server).status == 200
    assert "listening" in repr(server)


def test_refusing_from_the_start(ask: Ask) -> None:
    with Sandbox("openai", refusing=True) as server:
        with pytest.raises(ConnectionRefusedError):
            ask(server)
        server.accept()
        assert ask(server).status == 200


def test_a_refused_port_stays_reserved(server: Sandbox) -> None:
    server.refuse()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))


def test_refusing_lets_an_answer_in_progress_end(server: Sandbox, connect: Ask) -> None:
    with server.hold(2):
        wire = connect(server).send()
        assert server.wait_until(lambda s: s.in_flight == 1)
        server.refuse()
    answered = wire.read()
    assert (answered.status, answered.ended, answered.headers["connection"]) == (200, "eof", "close")


def test_an_answer_function_may_pull_the_plug(server: Sandbox, connect: Ask, ask: Ask) -> None:
    def last_words(seen: Seen) -> Answer:
        server.refuse()
        return Answer("bye")

    server.default = last_words
    assert connect(server).send().read().status == 200
    with pytest.raises(ConnectionRefusedError):
        ask(server)
    server.accept()
    server.default = lambda seen: server.close() or Answer()  # type: ignore[func-returns-value]
    connect(server).send().read()
    server.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("sandbox")]


@pytest.mark.parametrize(
    "fault", [faults.hang(), faults.stall(), faults.pings(60), faults.slow_first_byte(60)], ids=repr
)
def test_close_wakes_and_joins_everything(server: Sandbox, connect: Ask, fault: faults.Fault) -> None:
    before = set(threading.enumerate())
    with Sandbox(server.dialect) as other:
        other.default = fault
        other.hold(4)
        wires = [connect(other).ask(stream=True) for _ in range(4)]
        idle = connect(other)
        assert other.wait_until(lambda s: s.in_flight == 4 and s.connections == 5)
        other.hold(9)
        held = connect(other).ask()
        assert other.wait_until(lambda s: s.in_flight == 5)
    assert set(threading.enumerate()) == before
    assert (other.open_connections, other.in_flight) == (0, 0)
    for wire in (*wires, idle, held):
        assert wire.read().ended in ("eof", "reset")
    other.close()
    other.refuse()
    assert "closed" in repr(other)
    with pytest.raises(RuntimeError, match="closed"):
        other.accept()


def test_close_ends_a_write_that_nobody_reads(connect: Ask) -> None:
    with Sandbox("openai") as server:
        server.default = Answer("x" * 50_000_000)
        connect(server).ask()
        assert server.wait_until(lambda s: s.in_flight == 1)


def test_a_burst_of_clients(server: Sandbox, ask: Ask) -> None:
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda _: ask(server).status, range(256)))
    assert statuses == [200] * 256
    assert server.count == server.connections == 256


def test_waiting_in_vain(server: Sandbox) -> None:
    assert server.wait_until(lambda s: s.count == 1, timeout=0.01) is False


def request(server: Sandbox, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response.status, response.headers["content-type"], response.read()
    finally:
        connection.close()


def test_paths_of_openai() -> None:
    with Sandbox("openai") as server:
        good = {"authorization": "Bearer k"}
        assert request(server, "GET", "/v1/models")[0] == 401
        assert b"gpt-4o" in request(server, "GET", "/v1/models", **good)[2]
        assert request(server, "GET", "/v1/models/any", **good)[0] == 200
        assert request(server, "GET", "/v1/chat/completions", **good)[0] == 405
        assert b"Invalid URL (POST /chat/completions)" in request(server, "POST", "/chat/completions", "{}", **good)[2]
        status, _, body = request(server, "POST", "/v1/chat/completions", "{", **good)
        assert status == 400
        assert b"could not parse the JSON body" in body
        status, _, body = request(server, "POST", "/v1/chat/completions", "{}")
        assert status == 401
        assert b"didn't provide an API key" in body
        assert b"must provide a model" in request(server, "POST", "/v1/chat/completions", "{}", **good)[2]
        missing = request(server, "POST", "/v1/chat/completions", '{"model":"m"}', **good)[2]
        assert json.loads(missing)["error"]["param"] == "messages"


def test_paths_of_claude() -> None:
    with Sandbox("claude") as server:
        key, version = {"x_api_key": "k"}, {"anthropic_version": "2023-06-01"}
        assert request(server, "GET", "/v1/models", **version)[0] == 401
        assert request(server, "GET", "/v1/models", **key, **version)[0] == 200
        assert request(server, "GET", "/v1/messages", **key, **version)[0] == 405
        assert request(server, "GET", "/nowhere")[0] == 404
        status, _, body = request(server, "POST", "/v1/messages", "{}", **key)
        assert status == 400
        assert b"anthropic-version: header is required" in body
        assert request(server, "POST", "/v1/messages", "{}", **version)[0] == 401
        assert b"model: Field required" in request(server, "POST", "/v1/messages", "{}", **key, **version)[2]
        short = '{"model":"m","messages":[{"role":"user","content":"x"}]}'
        body = request(server, "POST", "/v1/messages", short, authorization="Bearer k", **version)[2]
        assert b"max_tokens: Field required" in body


def test_paths_of_ollama() -> None:
    with Sandbox("ollama", key="k") as server:
        assert request(server, "GET", "/") == (200, "text/plain; charset=utf-8", b"Ollama is running")
        assert request(server, "HEAD", "/api/tags")[::2] == (200, b"")
        assert b"version" in request(server, "GET", "/api/version")[2]
        assert json.loads(request(server, "GET", "/api/tags")[2])["models"][0]["name"] == "llama3.2:latest"
        assert request(server, "POST", "/v1/nothing") == (404, "text/plain", b"404 page not found")
        assert request(server, "GET", "/api/chat")[0] == 405
        good = {"authorization": "Bearer k"}
        assert request(server, "POST", "/api/chat", "{}")[0] == 401
        assert b"missing request body" in request(server, "POST", "/api/chat", **good)[2]
        assert b"looking for beginning of value" in request(server, "POST", "/api/chat", "x", **good)[2]
        assert b"model is required" in request(server, "POST", "/api/chat", "{}", **good)[2]
        parts = '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}'
        assert b"cannot unmarshal array" in request(server, "POST", "/api/chat", parts, **good)[2]
        plain = '{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":9,"unknown":1}'
        assert request(server, "POST", "/api/chat", plain, **good)[1] == "application/x-ndjson"  # streams by default
