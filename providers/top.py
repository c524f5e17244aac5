"""`mainstay top`: how each route of a running process is doing, live, as its `serve_status` tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["Silent", "fetch", "frame", "show"]

_TIMEOUT = 3.0
_COLOURS = {"closed": "green", "half-open": "yellow", "resting": "yellow", "open": "red", "isolated": "red"}
_COLUMNS = (
    *(("route", "left"), ("", "left"), ("breaker", "left"), ("sick for", "right"), ("admits in", "right")),
    *(("attempts", "right"), ("errors", "right"), ("good", "right"), ("p50", "right"), ("p95", "right")),
    *(("last error", "left"), ("probe", "left")),
)


class Silent(Exception):
    """No status is served there; the text says why."""


def show(
    url: str,
    interval: float = 1.0,
    once: bool = False,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Shows the status until Ctrl-C; where there is no terminal, or if asked to, once.

    Args:
        url: as `serve_status` tells it; "http://" may be left out.
        interval: seconds between two looks.
        once: whether one look is enough.
        console: where to show it; standard output unless given.
        sleep: waits between two looks.

    Returns:
        0, or 1 if no status is served there when it begins. One that goes away later is waited for.
    """
    console = console or Console(highlight=False)
    address = url if "://" in url else f"http://{url}"
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no password from ~/.netrc
        try:
            answer = fetch(session, address)
            if once or not console.is_terminal:
                console.print(frame(answer, address))
                return 0
            with Live(frame(answer, address), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    sleep(interval)
                    trouble = ""
                    try:
                        answer = fetch(session, address)
                    except Silent as silent:
                        trouble = str(silent)
                    live.update(frame(answer, address, trouble), refresh=True)
        except Silent as silent:
            Console(stderr=True, highlight=False).print(f"mainstay: {silent}", markup=False, soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            return 0


def fetch(session: requests.Session, url: str) -> Mapping[str, Any]:
    """What is served there.

    Raises:
        Silent: if that is no status.
    """
    hint = "is that the URL that serve_status() told?"
    try:
        response = session.get(url, timeout=_TIMEOUT, allow_redirects=False)
    except requests.ConnectionError:
        raise Silent(f"nothing answers at {url}: {hint}") from None
    except requests.Timeout:
        raise Silent(f"no answer from {url} within {_TIMEOUT:g} s") from None
    except requests.RequestException as error:
        raise Silent(f"{url} cannot be asked ({type(error).__name__}): {hint}") from None
    try:
        answer = response.json()
        if response.status_code != 200 or not all(
            isinstance(row["healthy"], bool) for row in answer["routes"].values()
        ):
            raise ValueError(response.status_code)
    except (ValueError, TypeError, LookupError, AttributeError, json.JSONDecodeError):
        raise Silent(
            f"what answers at {url} is no status of Mainstay's (HTTP {response.status_code}): {hint}"
        ) from None
    return dict(answer)


def frame(answer: Mapping[str, Any], url: str, trouble: str = "") -> RenderableType:
    """One picture of the status; `trouble` says why it is an old one."""
    routes, now = answer["routes"], answer["time"]
    sick = sum(not row["healthy"] for row in routes.values())
    moment = time.strftime("%H:%M:%S", time.localtime(now))
    head = Text(f"{url}   {moment}   {len(routes)} routes, ", style="bold").append(
        f"{sick} sick" if sick else "all well", "bold red" if sick else "bold green"
    )
    if trouble:
        head.append(f"\n{trouble}", "bold red")
    table = Table(box=None, padding=(0, 2, 0, 0), style="dim" if trouble else "")
    for title, side in _COLUMNS:
        table.add_column(title, justify="right" if side == "right" else "left", no_wrap=True, header_style="dim")
    for path, row in routes.items():
        table.add_row(*_cells(path, row, now))
    return Group(head, "", table)


def _cells(path: str, row: Mapping[str, Any], now: float) -> list[Text | str]:
    well = row["healthy"]
    since, again, probe = row["since"], row["reopens_at"], row["probe"]
    rate, error, reason = row["success_rate"], row["last_error"], row["reason"]
    return [
        Text(path),
        Text("well", "green") if well else Text("sick", "bold red"),
        Text(row["state"], _COLOURS.get(row["state"], "")),
        "" if since is None else _span(now - since),
        "" if again is None else _span(again - now),
        str(row["attempts"]),
        str(row["errors"]),
        "" if rate is None else f"{rate * 100:.1f} %",
        _seconds(row["p50"]),
        _seconds(row["p95"]),
        Text(f"{error} ({reason})" if error and reason else error or ""),
        "" if probe is None else Text("ok", "green") if probe["ok"] else Text(probe["error"], "red"),
    ]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _span(seconds: float) -> str:
    """A length of time in its two largest units, as people say it."""
    whole = max(0, round(seconds))
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= length:
            return f"{whole // length} {unit} {whole % length // part} {smaller}"
    return f"{whole} s"
