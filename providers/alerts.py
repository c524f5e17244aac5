"""Alerts: ready callbacks for `on_change` that tell people when a route becomes sick or well.

    manager.on_change(LogAlert())
    with WebhookAlert("https://hooks.example.com/...") as alert:
        manager.on_change(alert)

They tell of sick and well only, not of each state that a breaker goes through in an outage: one alert when it begins,
and one when it is over.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..middleware import HealthChange
from ..middleware.log import bound
from ..pipeline import Secret
from ..pipeline.closing import Closing
from ..pipeline.complaints import logger
from .background import Background

__all__ = ["LogAlert", "WebhookAlert"]

_log = logger()
_FIRST_PAUSE = 1.0  # seconds; each further one is twice as long


class LogAlert:
    """Writes one line when a route becomes sick (error) or well (info).

    Args:
        logger: a standard logger, or one of structlog's; structlog's "mainstay" if the application has configured
            structlog, else the standard one, unless given.
    """

    def __init__(self, logger: Any = None) -> None:
        self._logger = logger

    def __call__(self, change: HealthChange) -> None:
        """Tells of one change."""
        if not change.turned:
            return
        event, fields = "route well", {"route": change.route}
        if not change.healthy:
            event = "route sick"
            told = {"state": change.state, "error": change.error, "reason": change.reason}
            fields |= {name: value for name, value in told.items() if value}
        logger = bound(self._logger)
        (logger.info if change.healthy else logger.error)(event, **fields)


class WebhookAlert(Closing):
    """Posts JSON when a route becomes sick or well, from a thread of its own: no call waits for it.

    The body is `{"text": "openai is sick: ...", "route": ..., "healthy": ..., "state": ..., "reason": ...,
    "error": ..., "since": ..., "reopens_at": ..., "at": ...}`; Slack and Mattermost show `text`. It holds neither keys
    nor prompts.
    The address is taken for a secret, and is told nobody: many a webhook has no other one.

    Args:
        url: where to post to.
        headers: more headers; a value may be a Secret.
        body: makes the body of a change in place of that; for Discord, `lambda change: {"content": str(change)}`.
        timeout: seconds to connect, and to wait for each part of an answer.
        tries: how often an alert is sent until it is taken; after a 429, a 5xx or no answer it is sent again 1 s later,
            then 2 s, and so on.
        pending: alerts that may wait; of more, the oldest are dropped, and the log says so.

    Raises:
        ValueError: if the URL is none, or an option is out of its range.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        headers: Mapping[str, str | Secret] | None = None,
        body: Callable[[HealthChange], Any] | None = None,
        timeout: float = 5.0,
        tries: int = 3,
        pending: int = 100,
    ) -> None:
        self._url = Secret(url.reveal() if isinstance(url, Secret) else url)
        self._host = _host(self._url.reveal())
        self._headers = dict(headers or {})
        self._body = body or _body
        if not 0 < timeout < float("inf"):
            raise ValueError(f"WebhookAlert(timeout=...) must be a positive number of seconds, not {timeout!r}")
        for name, value in (("tries", tries), ("pending", pending)):
            if type(value) is not int or value < 1:
                raise ValueError(f"WebhookAlert({name}=...) must be a whole number from 1 on, not {value!r}")
        self._timeout = timeout
        self._tries = tries
        # With the process that an alert belongs to: a forked child does not send its parent's once more.
        self._pending: deque[tuple[int, HealthChange]] = deque(maxlen=pending)
        self._dropped = 0
        self._current: HealthChange | None = None
        self._failed = 0
        self._background = Background("webhook", self._step)
        self._background.start()

    def __call__(self, change: HealthChange) -> None:
        """Takes one change on; never waits."""
        if change.turned:
            if len(self._pending) == self._pending.maxlen:
                self._dropped += 1
            self._pending.append((os.getpid(), change))
            self._background.wake()

    def close(self) -> None:
        """Ends the thread; what can be sent within a second still is, and what cannot is told in the log."""
        self._background.close()
        left = len(self._pending) + (self._current is not None)
        if left:
            _log.warning("a webhook alert to %s was closed with %d alerts unsent", self._host, left)

    def _step(self) -> float | None:
        """Sends what there is; gives the seconds until it is to be tried again."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            _log.warning("%d webhook alerts to %s were dropped: it does not keep up", dropped, self._host)
        while self._current is not None or self._take():
            assert self._current is not None
            problem, again = self._post(self._current)
            if problem:
                self._failed += 1
                if again and self._failed < self._tries:
                    return _FIRST_PAUSE * 2.0 ** (self._failed - 1) * random.uniform(1.0, 1.25)
                _log.warning(
                    "a webhook alert to %s was not taken (%s, tries: %d): %s",
                    self._host,
                    problem,
                    self._failed,
                    self._current,
                )
            self._current, self._failed = None, 0
        return None

    def _take(self) -> bool:
        while self._pending:
            process, change = self._pending.popleft()
            if process == os.getpid():
                self._current, self._failed = change, 0
                return True
        return False

    def _post(self, change: HealthChange) -> tuple[str, bool]:
        """Sends one alert; gives what went wrong, or "", and whether it may go better another time."""
        import requests

        headers = {
            name: value.reveal() if isinstance(value, Secret) else value for name, value in self._headers.items()
        }
        try:
            # With an auth that does nothing, no password is looked up in ~/.netrc. The answer's body is of no interest.
            with requests.post(
                self._url.reveal(),
                json=self._body(change),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                auth=_unchanged,
                stream=True,
            ) as response:
                status = response.status_code
        except requests.RequestException as error:
            return type(error).__name__, True  # its text has the address
        except Exception as error:  # noqa: BLE001 - the caller's `body`
            return type(error).__name__, False
        if 200 <= status < 300:
            return "", False
        return f"HTTP {status}", status == 429 or status >= 500

    def __repr__(self) -> str:
        return f"WebhookAlert({self._host!r})"


def _body(change: HealthChange) -> dict[str, Any]:
    return {
        "text": str(change),
        "route": change.route,
        "healthy": change.healthy,
        "state": change.state,
        "reason": change.reason,
        "error": change.error,
        "since": change.since,
        "reopens_at": change.reopens_at,
        "at": change.at,
    }


def _host(url: str) -> str:
    """The host of a URL, which alone is shown; the URL is not quoted in an error either."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("WebhookAlert(url=...) must begin with http:// or https:// and name a host")
    return host


def _unchanged(request: Any) -> Any:
    return request
