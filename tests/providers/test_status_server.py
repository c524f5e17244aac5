"""The endpoint: what a real client, and Prometheus' own parser, find there."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mainstay.adapters.sandbox import Sandbox, faults
from mainstay.middleware import CircuitBreaker, Fallback, Health
from mainstay.pipeline import AsyncStack, ErrorClass, Request, Route, Stack, Unavailable
from mainstay.providers import ProviderManager, serve_status
from mainstay.providers.prometheus import as_prometheus
from mainstay.providers.status_server import StatusServer

Serve = Callable[..., Sandbox]


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as one:
        one.bind(("::1", 0))
        return True
    return False


Samples = dict[tuple[str, ...], float]


@pytest.fixture
def served(serve: Serve) -> Iterator[tuple[ProviderManager, StatusServer]]:
    """A manager with a sick provider and a well one."""
    openai, claude = serve("openai"), serve("claude")
    openai.always(faults.quota())
    with ProviderManager() as manager:
        manager.add_provider("openai", {"base_url": openai.url, "api_key": "sk-very-secret"})
        manager.add_provider("claude", {"base_url": claude.url, "api_key": "sk-very-secret", "model": "c"})
        manager.setup_fallback_chain(["openai", "claude"])
        for _ in range(3):
            manager.execute_with_fallback("gpt-4o", "a very private prompt")
        yield manager, manager.serve_status()


def samples(text: str) -> Samples:
    """Every sample that Prometheus' own parser finds: by its name and its labels' values."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("gauge", "counter", "summary")
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_a_person_gets_json(served: tuple[ProviderManager, StatusServer]) -> None:
    manager, server = served
    for path in ("", "/", "/status?x=1"):
        response = requests.get(server.url + path, timeout=20)
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
        told = response.json()
        assert list(told) == ["time", "routes"]
        expected = json.loads(json.dumps(manager.get_provider_status()))
        for name, entry in told["routes"].items():
            for field in ("since", "reopens_at"):  # told on the time of day, which goes on
                assert entry.pop(field) == pytest.approx(expected[name].pop(field), abs=5)
            assert entry == expected[name]
        assert "secret" not in response.text + str(response.headers)
        assert "private" not in response.text


def test_prometheus_gets_its_text(served: tuple[ProviderManager, StatusServer]) -> None:
    manager, server = served
    response = requests.get(f"{server.url}/metrics", timeout=20)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "secret" not in response.text
    found = samples(response.text)
    status = manager.get_provider_status()
    assert found[("mainstay_route_healthy", "openai")] == 0
    assert found[("mainstay_route_healthy", "claude")] == 1
    assert found[("mainstay_route_state", "openai", "open")] == 1
    assert found[("mainstay_route_attempts_total", "claude")] == 3
    assert found[("mainstay_route_errors_total", "openai")] == 1
    assert found[("mainstay_route_success_ratio", "openai")] == 0
    assert found[("mainstay_route_duration_seconds", "claude", "0.95")] == status["claude"]["p95"]
    assert found[("mainstay_route_last_error", "openai", "quota")] == 1
    assert ("mainstay_route_reopens_timestamp_seconds", "claude") not in found  # what is not known is left out
    for label, values in (("mainstay_route_state", 5), ("mainstay_route_last_error", len(ErrorClass))):
        of_openai = [value for key, value in found.items() if key[:2] == (label, "openai")]
        assert (len(of_openai), sum(of_openai)) == (values, 1)


ROUTES = st.text(min_size=1, max_size=20).filter(lambda name: not any(0xD800 <= ord(c) <= 0xDFFF for c in name))


@given(names=st.lists(ROUTES, max_size=4, unique=True), probed=st.booleans())
def test_whatever_a_route_is_called_it_is_read_back(names: list[str], probed: bool) -> None:
    health = Health()
    stacks = [Stack([], Fallback(*(Route(name, lambda request: None) for name in names)))] if names else []
    for name in names if probed else ():
        health.probed(name, 0.5, Unavailable())
    found = samples(as_prometheus(health.status(*stacks)))
    assert {key[1] for key in found} == set(names)
    assert {key[1] for key in found if key[0] == "mainstay_route_probe_success"} == (set(names) if probed else set())


def test_what_there_is_not_is_said_and_nothing_is_posted(served: tuple[ProviderManager, StatusServer]) -> None:
    _, server = served
    missing = requests.get(f"{server.url}/nothing", timeout=20)
    assert (missing.status_code, "/metrics" in missing.text) == (404, True)
    assert requests.post(server.url, data="x", timeout=20).status_code == 501
    head = requests.head(f"{server.url}/metrics", timeout=20)
    assert (head.status_code, head.text) == (200, "")


def test_a_manager_serves_once_and_closes_it(serve: Serve) -> None:
    with ProviderManager() as manager:
        server = manager.serve_status()
        assert requests.get(server.url, timeout=20).json()["routes"] == {}
        with pytest.raises(RuntimeError, match=f"served already, at {server.url}"):
            manager.serve_status()
        server.close()
        server.close()
        other = manager.serve_status()
    for gone in (server, other):
        with pytest.raises(requests.ConnectionError):
            requests.get(gone.url, timeout=20)
    assert not [thread for thread in threading.enumerate() if thread.name == "mainstay-status"]


def test_the_port_can_be_had_again_at_once_and_one_that_is_taken_is_an_error() -> None:
    with serve_status(dict) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            serve_status(dict, port)
    with serve_status(dict, port) as server:
        assert requests.get(server.url, timeout=20).status_code == 200


def test_it_listens_on_this_machine_only_unless_told_otherwise() -> None:
    with serve_status(dict) as server:
        assert server._server.server_address[0] == "127.0.0.1"


@pytest.mark.skipif(not has_ipv6(), reason="needs IPv6 on loopback")
def test_it_listens_on_an_address_of_six_as_well() -> None:
    with serve_status(dict, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert requests.get(server.url, timeout=20).status_code == 200


def test_stacks_of_both_worlds_are_served_and_what_has_no_status_is_refused(either_world: Any) -> None:
    stack = either_world.stack([CircuitBreaker()], either_world.leaf(name="a"), observers=[Health()])
    assert isinstance(stack, (Stack, AsyncStack))
    either_world.run(stack, Request("m", "Hi"))
    with serve_status(stack) as server:
        assert requests.get(server.url, timeout=20).json()["routes"]["a"]["attempts"] == 1
    with pytest.raises(TypeError, match="takes what has a status"):
        serve_status("http://127.0.0.1")


def test_many_ask_at_once_and_those_that_say_nothing_stop_nobody() -> None:
    with serve_status(dict) as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(8)]
        connections = [http.client.HTTPConnection(host, int(port), timeout=20) for _ in range(8)]
        together = threading.Barrier(8)
        got: list[int] = []

        def ask(connection: http.client.HTTPConnection) -> None:
            together.wait()
            connection.request("GET", "/metrics")
            got.append(connection.getresponse().status)
            connection.close()

        threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in silent:
            one.close()
    assert got == [200] * 8


def test_a_status_that_fails_is_an_answer_and_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([ZeroDivisionError("mine"), {}])

    def status() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with serve_status(status) as server:
        failed = requests.get(server.url, timeout=20)
        assert (failed.status_code, "log says why" in failed.text, "mine" in failed.text) == (500, True, False)
        assert requests.get(server.url, timeout=20).json()["routes"] == {}
    assert "the status could not be told" in caplog.text


PROGRAM = """
import os, sys, urllib.request
from mainstay.providers import serve_status
server = serve_status(dict)
port = int(server.url.rpartition(":")[2])
ready, go = os.pipe()
child = os.fork()
if not child:
    os.read(ready, 1)  # the parent has closed its server: the port is free, though this process lives
    with serve_status(dict, port) as mine:
        ok = urllib.request.urlopen(mine.url, timeout=20).status == 200
    server.close()
    os._exit(0 if ok else 1)
assert urllib.request.urlopen(server.url, timeout=20).status == 200
server.close()
os.write(go, b"x")
_, status = os.waitpid(child, 0)
assert status == 0, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_port_to_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
