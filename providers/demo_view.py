"""What the demo shows: a live table on a terminal, plain lines elsewhere, and the score at the end."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from . import trace_view
from .demo import PROMPTS, Play, Played, Score

__all__ = ["show"]

_COLOURS = {"closed": "green", "half-open": "yellow", "resting": "yellow", "open": "red", "isolated": "red"}


def show(console: Console | None = None) -> int:
    """Runs the demo and shows it; gives 0 if no prompt was lost, 1 otherwise."""
    console = console or Console(highlight=False)
    with Play() as play:
        console.print(str(play.chain), end="\n\n", markup=False)
        if console.is_terminal:
            _live(play, console)
        else:
            play.run(lambda played: _line(played, console))
        console.print()
        _score(play, console)
        return 0 if not play.stacked.lost and play.stacked.asked == PROMPTS else 1


def _live(play: Play, console: Console) -> None:
    act = ""
    with Live(console=console, refresh_per_second=12) as live:

        def after(played: Played) -> None:
            nonlocal act
            act = played.act or act
            head = Text(f"prompt {played.number}/{PROMPTS}   {act}", style="bold")
            live.update(Group(head, _table(play), Text(_said(played))))

        play.run(after)


def _line(played: Played, console: Console) -> None:
    if played.act:
        console.print(f"-- {played.act}", markup=False)
    for change in played.changes:
        console.print(f"   breaker of {change.route}: {change.before} -> {change.after}", markup=False)
    console.print(f"{played.number:3}  {_said(played)}", markup=False, soft_wrap=True)


def _said(played: Played) -> str:
    tried = ", ".join(
        attempt.route if attempt.outcome == "ok" else f"{attempt.route} {attempt.reason or attempt.error_class}"
        for attempt in played.attempts
    )
    return f"{played.outcome}  [{tried}]"


def _table(play: Play) -> Table:
    table = Table()
    for column in ("provider", "breaker", "attempts", "errors", "last error", "p50", "admits again in"):
        table.add_column(column, justify="left" if column in ("provider", "breaker", "last error") else "right")
    for name, status in play.chain.status().items():
        state = status["state"]
        p50, again = status["p50"], status["reopens_at"]
        table.add_row(
            name,
            Text(state, style=_COLOURS[state]),
            str(status["attempts"]),
            str(status["errors"]),
            status["last_error"] or "",
            "" if p50 is None else f"{p50 * 1000:.0f} ms",
            "" if again is None else f"{max(0.0, again - time.time()):.1f} s",
        )
    return table


def _score(play: Play, console: Console) -> None:
    table = Table(title=f"{PROMPTS} prompts, the same faults at the same moments", title_justify="left")
    for column in ("", "whole", "cut", "lost", "attempts each", "answered by"):
        table.add_column(column, justify="left" if column in ("", "answered by") else "right", overflow="fold")
    table.add_row("with the stack", *_cells(play.stacked))
    table.add_row("OpenAI, called directly", *_cells(play.direct))
    console.print(table)
    console.print("cut: the stream broke after its first token, and the error said so, with the partial text")
    console.print("\nthe call with the most attempts, as its trace tells it:")
    trace_view.show(play.spans, console)


def _cells(score: Score) -> list[str]:
    answers = score.whole + score.cut
    lost = sum(score.lost.values())
    each = f"{score.attempts / answers:.2f}" if score.attempts and answers else ""
    by = ", ".join(f"{name} {times}" for name, times in score.by.most_common())
    return [str(score.whole), str(score.cut), str(lost), each, by]
