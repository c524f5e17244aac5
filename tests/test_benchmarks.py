"""The benchmark runs, and what it tells has the shape that report and plot rely on. No number is believed here."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="the sources are not here")


SECTIONS = ["complete", "layers", "burst", "faults"]


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    sys.path.insert(0, str(ROOT))
    yield
    sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def kept() -> list[list[str]]:
    return []


@pytest.fixture(scope="module")
def results(kept: list[list[str]]) -> Any:
    from benchmarks import run

    def keep(found: dict[str, Any]) -> None:
        kept.append([*found])

    return run.run(SECTIONS, ["mainstay"], quick=True, say=lambda words: None, keep=keep)


@pytest.mark.parametrize("section", ["complete", "burst"])
def test_both_stacks_are_measured(results: Any, section: str) -> None:
    assert set(results[section]) == {"requests", "mainstay"}
    assert results[section]["requests"]["cpu_ratio"] == 1.0
    assert all(value > 0 for row in results[section].values() for value in row.values())


def test_the_layers_are_measured_alone(results: Any) -> None:
    from benchmarks.layers import TITLES

    rows = results["layers"]
    assert list(rows) == list(TITLES.values())
    assert rows[TITLES["requests"]]["percent"] == 100.0
    # Recording, they make the spans as well. No other order is sure in so short a run.
    assert rows[TITLES["recording"]]["us"] > rows[TITLES["silent"]]["us"]


def test_faults_are_counted(results: Any) -> None:
    good = results["faults"]["good, for comparison"]
    assert {name: (row["ok"], row["wrong"], row["requests"]) for name, row in good.items()} == {
        "requests": (20, 0, 20),
        "mainstay": (20, 0, 20),
    }
    dead = results["faults"]["dead primary"]
    assert (dead["requests"]["ok"], dead["mainstay"]["ok"], dead["mainstay"]["per_answer"]) == (0, 20, 1.0)


def test_what_there_is_is_kept_after_each_section(results: Any, kept: list[list[str]], tmp_path: Path) -> None:
    from benchmarks import run

    assert [names[3:] for names in kept] == [SECTIONS[:number] for number in range(1, len(SECTIONS) + 1)]
    (tmp_path / "results.json").write_text("of an earlier run")
    run._write(results, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.json", "results.md"]
    assert json.loads((tmp_path / "results.json").read_text())["faults"] == results["faults"]
    assert "## Faults" in (tmp_path / "results.md").read_text()


def test_it_can_be_told(results: Any) -> None:
    from benchmarks import report

    told = report.text(results)
    assert "| mainstay | " in told
    assert "### dead primary" in told


def test_a_profile_names_files(results: Any) -> None:
    from benchmarks.bench import Bench

    with Bench(pin=False, say=lambda words: None) as bench:
        url = bench.url("good", "profile")
        job = {"do": "profiled", "peer": "mainstay", "primary": url, "backup": url, "stream": False, "seconds": 0.5}
        found = bench.ask("mainstay", **job)
    assert found["us"] > 0
    assert sum(found["shares"].values()) == pytest.approx(1.0)
    assert any(name.startswith("mainstay/pipeline/") for name in found["shares"])
    assert not any(name.startswith(("/", "..")) for name in found["shares"])


def test_every_stack_has_its_file() -> None:
    from benchmarks.peers import PEERS

    assert all((ROOT / "benchmarks" / "peers" / f"{module}.py").is_file() for module, _, _ in PEERS.values())


# -- where others are ahead ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("good", "calls", "low", "high"),
    [
        (0, 10, 0.0, 0.278),
        (10, 10, 0.722, 1.0),
        (5, 10, 0.237, 0.763),
        (98, 100, 0.930, 0.994),
        (81, 263, 0.255, 0.366),
    ],
)
def test_the_interval_is_wilson_s(good: int, calls: int, low: float, high: float) -> None:
    """The last row is the example of E. B. Wilson's interval in R. G. Newcombe (1998), the others are its limits."""
    from benchmarks.report import interval

    assert interval(good, calls) == pytest.approx((low, high), abs=0.0005)
    assert interval(good, calls)[0] <= good / calls <= interval(good, calls)[1]


def row(ok: int, calls: int = 100, per_answer: float = 1.2, p99_ms: float = 10.0, **more: Any) -> dict[str, Any]:
    return {
        "ok": ok,
        "calls": calls,
        "rate": ok / calls,
        "wrong": 0,
        "p50_ms": 1.0,
        "p99_ms": p99_ms,
        "per_answer": per_answer if ok else None,
        "second": True,
        **more,
    }


def told(name: str = "anything", **rows: dict[str, Any]) -> list[str]:
    """What stands below the table of one scenario."""
    from benchmarks import report

    lines = report.text({"faults": {name: rows}}).splitlines()
    return [line for line in lines if line and not line.startswith(("|", "#"))]


def test_a_share_and_its_interval_stand_in_the_table() -> None:
    from benchmarks import report

    rows = {"mainstay": row(98), "pydantic-ai": row(15, 15, threads=1), "openai": row(0, second=False)}
    lines = report.text({"faults": {"anything": rows}}).splitlines()
    assert "| mainstay | 98.0% | 93.0-99.4 | 0 | 1.0 | 10 | 1.20 | 100 |" in lines
    assert "| pydantic-ai FallbackModel (one thread) | 100.0% | 79.6-100.0 | 0 | 1.0 | 10 | 1.20 | 15 |" in lines
    assert "| openai SDK (no second provider) | 0.0% | 0.0-3.7 | 0 | 1.0 | 10 | - | 100 |" in lines


def test_nothing_is_said_where_nobody_is_ahead() -> None:
    assert told(mainstay=row(100), openai=row(100), litellm=row(90, per_answer=1.0)) == []
    assert told(openai=row(100)) == []


def test_more_answers_are_told_and_whether_it_may_be_chance() -> None:
    (sentence,) = told(mainstay=row(98), naive=row(30, 30), openai=row(97))
    assert sentence.startswith("More answers, but by no more than chance: tenacity + pybreaker (30 calls). ")
    assert told(mainstay=row(80), naive=row(100)) == ["More answers: tenacity + pybreaker (100.0%)."]


def test_fewer_requests_are_told_of_those_that_give_as_many_answers() -> None:
    fewer = {"naive": row(100, per_answer=1.05), "openai": row(99, per_answer=1.1), "litellm": row(60, per_answer=1.0)}
    assert told(mainstay=row(100), **fewer) == ["Fewer requests for an answer: tenacity + pybreaker (1.05)."]
    assert told(mainstay=row(98, per_answer=1.2), openai=row(97, per_answer=1.199)) == []  # the table shows no less


def test_a_reason_is_told_where_the_figures_have_it_so_and_nowhere_else() -> None:
    from benchmarks.report import REASONS

    for name, key in REASONS:
        behind = {"per_answer": row(100, per_answer=1.1), "p99_ms": row(100, p99_ms=9.0)}[key]
        (sentence,) = told(name, mainstay=row(100), openai=behind)
        assert sentence.endswith(REASONS[name, key])
        assert told(name, mainstay=row(100), openai=row(100)) == []


def test_every_reason_is_of_a_scenario_that_there_is() -> None:
    from benchmarks.faults import SCENARIOS
    from benchmarks.report import REASONS

    assert {name for name, _ in REASONS} <= {scenario.title for scenario in SCENARIOS}
