"""Alerts: what they tell, what they never tell, and that nobody waits for them."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog.testing

from mainstay.middleware import HealthChange
from mainstay.pipeline import Secret
from mainstay.providers import LogAlert, WebhookAlert
from support.hooks import Receiver

SICK = HealthChange("openai", False, True, "open", "closed", "overloaded", "unavailable", 1000.0, 1005.0, 1001.0)
PROBING = dataclasses.replace(SICK, was_healthy=False, state="half-open", was_state="open")
WELL = dataclasses.replace(SICK, healthy=True, was_healthy=False, state="closed", since=None, reopens_at=None)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_what_a_change_says() -> None:
    assert str(SICK) == "openai is sick: unavailable (overloaded), its breaker is open"
    assert str(WELL) == "openai is well again"


# -- to the log ------------------------------------------------------------------------------------------------


def test_the_log_has_one_line_when_it_begins_and_one_when_it_is_over() -> None:
    with structlog.testing.capture_logs() as lines:
        alert = LogAlert(structlog.get_logger())
        for change in (SICK, PROBING, WELL):
            alert(change)
    assert [(line["log_level"], line["event"], line["route"]) for line in lines] == [
        ("error", "route sick", "openai"),
        ("info", "route well", "openai"),
    ]
    assert (lines[0]["state"], lines[0]["error"], lines[0]["reason"]) == ("open", "unavailable", "overloaded")


def test_without_a_configuration_the_line_goes_to_the_standard_logger(caplog: pytest.LogCaptureFixture) -> None:
    LogAlert()(SICK)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("mainstay", logging.ERROR)
    assert record.getMessage() == "route sick route=openai state=open error=unavailable reason=overloaded"
    assert (record.route, record.reason) == ("openai", "overloaded")  # type: ignore[attr-defined]


def test_a_standard_logger_of_one_s_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "mine"):
        LogAlert(logging.getLogger("mine"))(WELL)
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("mine", "route well route=openai")]


# -- to a webhook ----------------------------------------------------------------------------------------------


def test_the_webhook_gets_json_when_it_begins_and_when_it_is_over() -> None:
    with Receiver() as receiver, WebhookAlert(receiver.url, headers={"X-Key": Secret("sk-hook")}) as alert:
        for change in (SICK, PROBING, WELL):
            alert(change)
        headers, body = receiver.got.get(timeout=20)
        assert receiver.next()["text"] == "openai is well again"
    assert receiver.got.empty()
    assert (headers["Content-Type"], headers["X-Key"]) == ("application/json", "sk-hook")
    assert body == {
        "text": "openai is sick: unavailable (overloaded), its breaker is open",
        "route": "openai",
        "healthy": False,
        "state": "open",
        "reason": "overloaded",
        "error": "unavailable",
        "since": 1000.0,
        "reopens_at": 1005.0,
        "at": 1001.0,
    }


def test_a_body_of_one_s_own() -> None:
    with Receiver() as receiver, WebhookAlert(receiver.url, body=lambda change: {"content": str(change)}) as alert:
        alert(WELL)
        assert receiver.next() == {"content": "openai is well again"}


def quiet(url: str, **options: Any) -> WebhookAlert:
    """One whose steps are done by hand."""
    alert = WebhookAlert(url, **options)
    alert._background.close(20)
    return alert


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_go_better_is_sent_again_later_and_not_for_ever(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(status) as receiver:
        alert = quiet(receiver.url)
        alert(SICK)
        pauses = [alert._step() for _ in range(3)]
        assert receiver.got.qsize() == 3
    assert pauses[2] is None
    assert 1.0 <= pauses[0] <= 1.25 < 2.0 <= pauses[1] <= 2.5  # type: ignore[operator]
    (record,) = caplog.records
    assert f"not taken (HTTP {status}, tries: 3): openai is sick" in record.getMessage()
    assert "very-secret" not in record.getMessage()


def test_the_second_try_may_be_taken_and_the_next_alert_begins_anew() -> None:
    with Receiver(503, 204, 503, 204) as receiver:
        alert = quiet(receiver.url, tries=2)
        for change in (SICK, WELL):
            alert(change)
            assert alert._step() is not None
            assert alert._step() is None
        assert [receiver.next()["healthy"] for _ in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("status", [302, 400, 404, 410])
def test_what_will_not_go_better_is_told_and_not_sent_again(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(status) as receiver:
        alert = quiet(receiver.url)
        alert(SICK)
        assert alert._step() is None
        assert receiver.got.qsize() == 1  # a redirect is not followed
    assert f"HTTP {status}" in caplog.text


def test_nobody_there_is_told_without_the_address(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        alert = quiet(f"http://127.0.0.1:{free.getsockname()[1]}/very-secret", tries=1)
        alert(SICK)
        assert alert._step() is None
    assert "to 127.0.0.1 was not taken (ConnectionError, tries: 1)" in caplog.text
    assert "very-secret" not in caplog.text
    assert "very-secret" not in repr(alert) + str(vars(alert))


def test_a_body_that_fails_is_told_and_the_next_alert_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    bodies = iter([ZeroDivisionError(), {"text": "fine"}])

    def body(change: HealthChange) -> Any:
        made = next(bodies)
        if isinstance(made, Exception):
            raise made
        return made

    with Receiver() as receiver, WebhookAlert(receiver.url, body=body) as alert:
        alert(SICK)
        alert(WELL)
        assert receiver.next() == {"text": "fine"}
    assert "ZeroDivisionError" in caplog.text


def test_alerts_that_wait_have_a_bound_and_the_latest_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    with Receiver() as receiver:
        alert = quiet(receiver.url, pending=2)
        for route in ("a", "b", "c", "d"):
            alert(dataclasses.replace(SICK, route=route))
        assert alert._step() is None
        assert [receiver.next()["route"] for _ in range(2)] == ["c", "d"]
    assert "2 webhook alerts to 127.0.0.1 were dropped" in caplog.text


def test_nobody_waits_for_a_webhook_that_hangs_and_closing_does_so_for_a_second_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Receiver() as receiver:
        receiver.hold.clear()
        alert = WebhookAlert(receiver.url)
        for route in ("a", "b", "c"):
            alert(dataclasses.replace(SICK, route=route))  # returns though the first is not answered
        assert receiver.next()["route"] == "a"
        thread = alert._background._thread
        alert.close()
        assert "closed with 3 alerts unsent" in caplog.text
        receiver.hold.set()
        assert thread is not None
        thread.join(20)
        assert not thread.is_alive()


def test_many_threads_tell_and_each_alert_is_sent_once() -> None:
    with Receiver() as receiver, WebhookAlert(receiver.url, pending=200) as alert:
        together = threading.Barrier(8)

        def tell(number: int) -> None:
            together.wait()
            for n in range(10):
                alert(dataclasses.replace(SICK, route=f"{number}-{n}"))

        threads = [threading.Thread(target=tell, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = sorted(receiver.next()["route"] for _ in range(80))
    assert got == sorted(f"{number}-{n}" for number in range(8) for n in range(10))
    assert receiver.got.empty()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"url": "hooks.example.com/very-secret"}, "must begin with http:// or https://"),
        ({"url": "ftp://very-secret"}, "must begin with http:// or https://"),
        ({"url": "http://host:very-secret/"}, "must begin with http:// or https://"),
        ({"timeout": 0}, "timeout=...\\) must be a positive number of seconds"),
        ({"tries": 0}, "tries=...\\) must be a whole number from 1 on"),
        ({"pending": 1.5}, "pending=...\\) must be a whole number from 1 on"),
    ],
)
def test_a_wrong_option_is_refused_without_telling_the_address(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        WebhookAlert(**{"url": "http://127.0.0.1:1/", **options})
    assert "very-secret" not in str(raised.value)


PROGRAM = """
import os, sys, dataclasses
sys.path.insert(0, sys.argv[2])
from mainstay.middleware import HealthChange
from mainstay.providers import WebhookAlert
alert = WebhookAlert(sys.argv[1])
change = HealthChange("parent", False, True, "open", "closed", "", None, None, None, 1.0)
def told(name):
    alert(dataclasses.replace(change, route=name))
told("before")
child = os.fork()
told("child" if not child else "parent")
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
alert._background.close(20)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_sends_its_own_alerts_and_its_parent_s_none() -> None:
    with Receiver() as receiver:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, receiver.url, os.getcwd()],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert sorted(receiver.next()["route"] for _ in range(3)) == ["before", "child", "parent"]
    assert receiver.got.empty()


def test_the_body_is_plain_json() -> None:
    from mainstay.providers.alerts import _body

    assert json.loads(json.dumps(_body(WELL)))["healthy"] is True
