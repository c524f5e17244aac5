"""The benchmark runs, and what it tells has the shape that report and plot rely on. No number is believed here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="the sources are not here")


@pytest.fixture(scope="module")
def results() -> Any:
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import run

        return run.run(["complete", "burst", "faults"], ["mainstay"], quick=True, say=lambda words: None)
    finally:
        sys.path.remove(str(ROOT))


@pytest.mark.parametrize("section", ["complete", "burst"])
def test_both_stacks_are_measured(results: Any, section: str) -> None:
    assert set(results[section]) == {"requests", "mainstay"}
    assert results[section]["requests"]["cpu_ratio"] == 1.0
    assert all(value > 0 for row in results[section].values() for value in row.values())


def test_faults_are_counted(results: Any) -> None:
    good = results["faults"]["good, for comparison"]
    assert {name: (row["ok"], row["wrong"], row["requests"]) for name, row in good.items()} == {
        "requests": (20, 0, 20),
        "mainstay": (20, 0, 20),
    }
    dead = results["faults"]["dead primary"]
    assert (dead["requests"]["ok"], dead["mainstay"]["ok"], dead["mainstay"]["per_answer"]) == (0, 20, 1.0)


def test_it_can_be_told(results: Any) -> None:
    from benchmarks import report

    told = report.text(results)
    assert "| mainstay | " in told
    assert "### dead primary" in told


def test_every_stack_has_its_file() -> None:
    from benchmarks.peers import PEERS

    assert all((ROOT / "benchmarks" / "peers" / f"{module}.py").is_file() for module, _, _ in PEERS.values())
