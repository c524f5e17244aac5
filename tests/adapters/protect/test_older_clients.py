"""The same with the clients that came before."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.older import SETS, run_with

HERE = Path(__file__).parent
CHOSEN = (
    "test_equal and (unicode or parallel or reasoning or length or filter or helper)",
    "test_faults and test_alone and (401 or late or 500 or cut or malformed or event or 200 or reset)",
    "test_foreign and helper",
    "test_streams",
    "test_errors",
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SETS)
def test_older_clients(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    chosen = " or ".join(f"({words})" for words in CHOSEN)
    files = [HERE / f"test_{what}.py" for what in ("equal", "faults", "foreign", "streams", "errors")]
    assert run_with(name, tmp_path_factory, files, f"({chosen}) and ({SETS[name].dialects} or anthropic)") > 50
