from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mainstay.adapters.sandbox import Sandbox
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Reply, Request, Route, Secret, Stack
from mainstay.providers import export
from support.collector import Collector

KEY = "Bearer sk-the-key-itself"
# An application, as a process of its own; it says when it has done its work, so that only its end is measured.
APPLICATION = """
import sys
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Reply, Request, Route, Stack
from mainstay.providers import export

{before}
telemetry = export({arguments})
stack = Stack(standard(), Fallback(Route("a", lambda request: Reply("fine"))))
for _ in range(600):
    stack(Request("m", "hi"))
print(telemetry, flush=True)
print("done", flush=True)
"""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Without any variable of OpenTelemetry's."""
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def collector(environment: Any) -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def application(arguments: str, before: str = "", **environment: str) -> tuple[str, float, subprocess.Popen[str]]:
    """Runs the application; gives what it printed, the seconds that its end took, and the process that it was."""
    import os

    process = subprocess.Popen(
        [sys.executable, "-c", APPLICATION.format(arguments=arguments, before=before)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if line == "done\n":
                break
        over = time.monotonic()
        process.wait(60)
        return "".join(lines), time.monotonic() - over, process
    finally:
        process.kill()
        process.communicate()


def ask(telemetry: Any) -> None:
    layers = standard(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    Stack(layers, Fallback(Route("a", lambda request: Reply("fine"))))(Request("m", "hi"))


# -- an application's whole set-up -----------------------------------------------------------------------------


def test_one_line_is_enough_and_the_end_of_the_process_hands_over_the_rest(collector: Collector) -> None:
    printed, _, process = application(repr(collector.url) + ", service='shop'")
    assert process.returncode == 0, printed
    assert printed == f"<Telemetry to {collector.url}>\ndone\n"
    assert len(collector.spans("INTERNAL")) == len(collector.spans("CLIENT")) == 600
    assert sum(collector.totals("mainstay.attempts").values()) == 600
    assert {resource["service.name"] for resource in collector.resources} == {"shop"}


def test_a_dead_collector_costs_about_a_second_at_the_end_of_the_process(
    collector: Collector, deaf: str, closed: str
) -> None:
    _, alive, _ = application(repr(collector.url))
    for dead in (deaf, closed):
        printed, seconds, process = application(repr(dead))
        assert (process.returncode, printed) == (0, f"<Telemetry to {dead}>\ndone\n")
        # Left to itself the SDK takes 6 s and more for each signal.
        assert seconds - alive < 3.0


def test_the_environment_says_what_is_not_given(collector: Collector) -> None:
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=from%20outside",
        "OTEL_SERVICE_NAME": "from-outside",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
        "OTEL_METRICS_EXPORTER": "none",
    }
    printed, _, process = application("", **variables)
    assert (process.returncode, printed) == (0, f"<Telemetry to {collector.url}>\ndone\n")
    for resource in collector.resources:
        assert (resource["service.name"], resource["deployment.environment"]) == ("from-outside", "test")
    assert {headers["x-key"] for headers in collector.headers} == {"from outside"}
    assert len(collector.spans("CLIENT")) == 600
    assert collector.telemetry.metric_requests == []


def test_an_argument_goes_before_the_environment(environment: Any, collector: Collector) -> None:
    environment.setenv("OTEL_SERVICE_NAME", "from-outside")
    environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=from-outside")
    headers = {"x-key": Secret(KEY)}
    with export(collector.url, service="shop", headers=headers, install=False, exit_timeout=30.0) as telemetry:
        ask(telemetry)
    assert telemetry.delivered
    assert {resource["service.name"] for resource in collector.resources} == {"shop"}
    assert {headers["x-key"] for headers in collector.headers} == {KEY}


def test_switched_off_nothing_is_set_up(environment: Any) -> None:
    environment.setenv("OTEL_SDK_DISABLED", "true")
    with export("http://127.0.0.1:1") as telemetry:
        assert (telemetry.tracer_provider, telemetry.meter_provider, telemetry.endpoint) == (None, None, "")
    assert telemetry.shutdown()
    assert repr(telemetry) == "<Telemetry, switched off>"


def test_an_application_s_own_set_up_is_left_alone(closed: str) -> None:
    before = (
        "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())"
    )
    program = APPLICATION.format(arguments=repr(closed), before=before)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "RuntimeError: OpenTelemetry is set up already, with a opentelemetry TracerProvider" in done.stderr
    assert "install=False" in done.stderr


def test_the_global_providers_are_set_once_and_a_second_time_is_refused(closed: str) -> None:
    printed, _, process = application(f"{closed!r}, exit_timeout=0.1", before=f"export({closed!r}, exit_timeout=0.1)")
    assert (process.returncode, printed) == (1, "")


def test_a_fork_takes_the_set_up_along(collector: Collector) -> None:
    program = f"""
import os, sys
from mainstay.middleware import Fallback, standard
from mainstay.pipeline import Reply, Request, Route, Stack
from mainstay.providers import export

telemetry = export({collector.url!r}, exit_timeout=20.0)
child = os.fork()
stack = Stack(standard(), Fallback(Route("child" if child == 0 else "parent", lambda request: Reply("fine"))))
stack(Request("m", "hi"))
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert telemetry.shutdown()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(span["attributes"]["mainstay.route"] for span in collector.spans("CLIENT")) == ["child", "parent"]
    assert set(collector.totals("mainstay.attempts", "mainstay.route")) >= {("child",), ("parent",)}


# -- the end ---------------------------------------------------------------------------------------------------


def test_the_end_of_the_block_hands_over_and_a_second_end_does_nothing(collector: Collector) -> None:
    with export(collector.url, install=False, exit_timeout=30.0) as telemetry:
        ask(telemetry)
        assert collector.spans() == []
    assert len(collector.spans("CLIENT")) == 1
    requests = len(collector.raw)
    assert telemetry.shutdown()
    telemetry.close()
    assert len(collector.raw) == requests


def test_no_thread_is_left(collector: Collector) -> None:
    import threading

    before = set(threading.enumerate())
    with export(collector.url, install=False, exit_timeout=30.0):
        assert len(set(threading.enumerate()) - before) >= 4
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("Thread-"):  # the collector's
            thread.join(20)
            assert not thread.is_alive(), thread


def test_what_is_not_handed_over_in_time_is_told(environment: Any, deaf: str) -> None:
    telemetry = export(deaf, install=False)
    ask(telemetry)
    assert not telemetry.shutdown(0.05)
    assert not telemetry.delivered
    assert not telemetry.shutdown()


def test_a_collector_that_refuses_is_told(environment: Any) -> None:
    with Sandbox("openai", key="sk-right") as server:  # answers, but with 404
        telemetry = export(server.url, install=False)
        ask(telemetry)
        assert not telemetry.shutdown(30.0)
        assert {seen.path for seen in server.seen} == {"/v1/v1/traces", "/v1/v1/metrics"}


# -- what is refused, and what is never shown ------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:4318", "localhost", "ftp://host", "http://", "http://host:port", "http://host:99999", "", 4318,
     "http://host/v1/traces", "http://host/v1/metrics/", "http://host?key=sk-1", "http://host#here"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(environment: Any, endpoint: Any) -> None:
    with pytest.raises(ValueError, match="base URL") as raised:
        export(endpoint, install=False)
    assert "sk-1" not in str(raised.value)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x key": "a"}, "no name of a header"),
        ({"x-key\n": "a"}, "no name of a header"),
        ({1: "a"}, "no name of a header"),
        ({"x-key": KEY + "\n"}, "x-key has a line break"),
        ({"x-key": KEY + "€"}, "x-key has a line break"),
        ({"x-key": 5}, "x-key must be text"),
        ([("x-key", KEY)], "must map names"),
        (KEY, "must map names"),
    ],
)
def test_headers_that_are_none_are_refused_without_showing_them(environment: Any, headers: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as raised:
        export("http://127.0.0.1:1", headers=headers, install=False)
    assert "sk-the-key" not in str(raised.value)


@pytest.mark.parametrize("seconds", [0, -1, True, "1", None, float("nan"), float("inf")])
def test_an_end_without_end_is_refused(environment: Any, seconds: Any) -> None:
    with pytest.raises(ValueError, match="exit_timeout"):
        export("http://127.0.0.1:1", exit_timeout=seconds, install=False)


def test_the_other_protocol_is_refused_rather_than_spoken_to(environment: Any) -> None:
    environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ValueError, match="4318"):
        export(install=False)


def test_the_extra_is_named_if_it_is_missing(environment: Any) -> None:
    import mainstay.providers

    environment.delattr(mainstay.providers, "otlp", raising=False)
    environment.delitem(sys.modules, "mainstay.providers.otlp", raising=False)
    environment.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ImportError, match=r"pip install 'mainstay\[otlp\]'"):
        export("http://127.0.0.1:1", install=False)


def test_no_key_is_shown(environment: Any, collector: Collector) -> None:
    address = collector.url.replace("://", "://user:sk-password@")
    with export(address, headers={"authorization": KEY}, install=False, exit_timeout=30.0) as telemetry:
        ask(telemetry)
    shown = repr(telemetry) + repr(vars(telemetry)) + telemetry.endpoint
    assert telemetry.endpoint == collector.url
    assert "sk-" not in shown
    assert b"sk-" not in b"".join(collector.raw)


# -- the command line ------------------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    import os

    environment = {"PATH": os.environ["PATH"], "OLLAMA_HOST": "http://127.0.0.1:1", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, "-m", "mainstay.providers.cli", "ask", "--provider", "sandbox", *arguments, "hi"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )


@pytest.mark.parametrize("stream", [(), ("--stream",)])
def test_ask_hands_its_call_over(collector: Collector, stream: tuple[str, ...]) -> None:
    done = command("--otlp", collector.url, *stream)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello from the sandbox, all is well.\n", "")
    assert [span["name"].partition(" ")[0] for span in collector.spans("CLIENT")] == ["chat"]
    assert len(collector.spans("INTERNAL")) == 1
    assert {resource["service.name"] for resource in collector.resources} == {"mainstay"}
    assert sum(collector.totals("mainstay.attempts").values()) == 1


def test_ask_hands_over_what_it_draws(collector: Collector) -> None:
    done = command("--otlp", collector.url, "--trace")
    assert done.returncode == 0
    assert "mainstay chat" in done.stderr
    assert len(collector.spans("CLIENT")) == len(collector.spans("INTERNAL")) == 1


def test_ask_says_in_one_line_that_the_collector_is_dead_and_answers_all_the_same(closed: str) -> None:
    done = command("--otlp", closed)
    assert (done.returncode, done.stdout) == (0, "Hello from the sandbox, all is well.\n")
    assert done.stderr == f"mainstay: the collector at {closed} did not take everything\n"


def test_ask_refuses_what_is_no_address() -> None:
    done = command("--otlp", "localhost")
    assert (done.returncode, done.stdout) == (2, "")
    assert "base URL" in done.stderr
