"""The plot for the README: what a call and an event cost, beside raw requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bench import title

__all__ = ["draw", "replace"]

_NAMES = ("overhead.png", "overhead.svg")
_OURS, _THEIRS = "#1f6f8b", "#b8bec4"


def replace(results: dict[str, Any], folder: Path) -> None:
    """Puts the plots of these results in place of those of an earlier run, as far as there is something to draw."""
    for name in _NAMES:
        (folder / name).unlink(missing_ok=True)
    if {"complete", "burst"} <= set(results):
        draw(results, folder)


def draw(results: dict[str, Any], folder: Path) -> list[Path]:
    """Draws `overhead.png` and `overhead.svg` into the folder; needs the sections "complete" and "burst"."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "mainstay"  # the same picture for the same numbers
    mpl.rcParams["font.size"] = 9
    from matplotlib import pyplot

    parts = [
        ("complete", "CPU time of a complete call (log scale)"),
        ("burst", "CPU time of an event of a stream (log scale)"),
    ]
    figure, places = pyplot.subplots(1, len(parts), figsize=(10, 3.6))
    for place, (section, heading) in zip(places, parts, strict=True):
        rows = sorted(results[section].items(), key=lambda item: -item[1]["cpu_ratio"])
        names, values = [title(name) for name, _ in rows], [row["cpu_ratio"] for _, row in rows]
        colours = [_OURS if name.startswith("mainstay") else _THEIRS for name, _ in rows]
        bars = place.barh(names, values, color=colours)
        place.bar_label(bars, [f"{value:.2f}" if value < 10 else f"{value:.0f}" for value in values], padding=3)
        place.set_xscale("log")
        place.set_xlim(min(values) / 2, max(values) * 4)
        place.axvline(1.0, color="#666666", linewidth=0.8, linestyle=":")
        place.set_title(heading, fontsize=10, loc="left")
        place.spines[["top", "right", "bottom"]].set_visible(False)
        place.xaxis.set_visible(False)  # the numbers stand at the bars
        place.tick_params(axis="y", length=0)
    figure.tight_layout()
    paths = [folder / name for name in _NAMES]
    for path in paths:
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
    return paths
