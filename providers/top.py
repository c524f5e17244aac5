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
# Each with the side to which it is set.
_COLUMNS = {
    "route": "left",
    "": "left",
    "breaker": "left",
    "sick for": "right",
    "admits in": "right",
    "attempts": "right",
    "errors": "right",
    "good": "right",
    "p50": "right",
    "p95": "right",
    "last error": "left",
    "reason": "left",
    "probe": "left",
}
# What is left out first where the terminal is narrow.
_SPARE = ("reason", "p50", "attempts", "probe", "admits in", "errors", "p95", "good")
_WIDE = 200  # columns, where no terminal sets a limit


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
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    address = url if "://" in url else f"http://{url}"
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no password from ~/.netrc
        try:
            answer = fetch(session, address)
            if once or not console.is_terminal:
                console.print(frame(answer, address, console))
                return 0
            with Live(frame(answer, address, console), console=console, screen=True, auto_refresh=False) as live:
                while True:
                    sleep(interval)
                    trouble = ""
                    try:
                        answer = fetch(session, address)
                    except Silent as silent:
                        trouble = str(silent)
                    live.update(frame(answer, address, console, trouble), refresh=True)
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
        if response.status_code != 200:
            raise ValueError(response.status_code)
        now = float(answer["time"])
        for path, entry in answer["routes"].items():
            _row(path, entry, now)
    except (ValueError, TypeError, LookupError, AttributeError, json.JSONDecodeError):
        raise Silent(
            f"what answers at {url} is no status of Mainstay's (HTTP {response.status_code}): {hint}"
        ) from None
    return dict(answer)


def frame(answer: Mapping[str, Any], url: str, console: Console, trouble: str = "") -> RenderableType:
    """One picture of the status, as wide as the console at most; `trouble` says why it is an old one."""
    routes, now = answer["routes"], answer["time"]
    sick = sum(not row["healthy"] for row in routes.values())
    moment = time.strftime("%H:%M:%S", time.localtime(now))
    head = Text(f"{url}   {moment}   {len(routes)} routes, ", style="bold").append(
        f"{sick} sick" if sick else "all well", "bold red" if sick else "bold green"
    )
    if trouble:
        head.append(f"\n{trouble}", "bold red")
    rows = [_row(path, entry, now) for path, entry in routes.items()]
    shown = list(_COLUMNS)
    table = _table(rows, shown)
    for spare in _SPARE:
        if console.measure(table, options=console.options.update(width=_WIDE)).maximum <= console.width:
            break
        shown.remove(spare)
        table = _table(rows, shown)
    table.style = "dim" if trouble else ""
    return Group(head, "", table)


def _table(rows: list[dict[str, Text]], shown: list[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for title in shown:
        side = "right" if _COLUMNS[title] == "right" else "left"
        table.add_column(title, justify=side, no_wrap=True, header_style="dim")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(row[title] for title in shown))
    return table


def _row(path: str, entry: Mapping[str, Any], now: float) -> dict[str, Text]:
    since, again, probe, rate = entry["since"], entry["reopens_at"], entry["probe"], entry["success_rate"]
    found = ("", "") if probe is None else ("ok", "green") if probe["ok"] else (probe["error"], "red")
    return {
        "route": _plain(path),
        "": Text("well", "green") if entry["healthy"] else Text("sick", "bold red"),
        "breaker": _plain(entry["state"], _COLOURS.get(entry["state"], "")),
        "sick for": Text("" if since is None else _span(now - since)),
        "admits in": Text("" if again is None else _span(again - now)),
        "attempts": Text(str(entry["attempts"])),
        "errors": Text(str(entry["errors"])),
        "good": Text("" if rate is None else f"{rate * 100:.1f} %"),
        "p50": Text(_seconds(entry["p50"])),
        "p95": Text(_seconds(entry["p95"])),
        "last error": _plain(entry["last_error"] or ""),
        "reason": _plain(entry["reason"]),
        "probe": _plain(*found),
    }


def _plain(told: str, style: str = "") -> Text:
    """What the other process tells, in which an escape sequence would be obeyed by this terminal."""
    return Text("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in told), style)


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
