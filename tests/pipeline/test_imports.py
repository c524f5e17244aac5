"""What importing costs, and which way the arrows point."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mainstay.pipeline

ROOT = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "pipeline": set(),
    "middleware": {"pipeline"},
    "adapters": {"pipeline"},
    "providers": {"pipeline", "middleware", "adapters"},
}
HEAVY = (
    "requests",
    "urllib3",
    "tenacity",
    "pybreaker",
    "opentelemetry",
    "structlog",
    "msgspec",
    "asyncio",
    "concurrent",
)
FRESH = """
import sys
before = set(sys.modules)
import mainstay.pipeline
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
print(*sorted(name for name in sys.modules if name.startswith("mainstay.")))
print(*sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def fresh() -> list[set[str]]:
    """What a new interpreter has: new top-level names, our own modules, everything."""
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True, cwd="/")
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_the_pipeline_brings_in_nothing_but_the_standard_library(fresh: list[set[str]]) -> None:
    assert fresh[0] - sys.stdlib_module_names == {"mainstay"}


def test_the_pipeline_brings_in_nothing_heavy(fresh: list[set[str]]) -> None:
    assert not fresh[0] & set(HEAVY)
    assert not fresh[2] & {"asyncio", "concurrent", "ssl", "socket"}


def test_the_pipeline_brings_in_none_of_the_other_folders(fresh: list[set[str]]) -> None:
    assert {name for name in fresh[1] if not name.startswith("mainstay.pipeline")} == set()


def arrows(file: Path, folder: str) -> set[str]:
    """Folders that one file imports from, wherever in the file it does so."""
    depth = len(file.relative_to(ROOT / folder).parts)  # 1: the folder itself
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level > depth:
            names = [f"mainstay.{node.module or alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("mainstay.")}
    return found - {folder}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_arrows_between_folders_run_one_way(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {str(file.relative_to(ROOT)): arrows(file, folder) - MAY_IMPORT[folder] for file in files}
    assert {file: where for file, where in wrong.items() if where} == {}


def test_an_arrow_is_found_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    file = tmp_path / "adapters" / "sandbox" / "one.py"
    file.parent.mkdir(parents=True)
    for text, found in {
        "from ...pipeline import Reply": {"pipeline"},
        "from ...pipeline.reply import Reply": {"pipeline"},
        "from ... import middleware": {"middleware"},
        "def f():\n    import mainstay.providers.cli": {"providers"},
        "from mainstay import providers": {"providers"},
        "from mainstay.middleware import Retry": {"middleware"},
        "from ..codec import Codec\nfrom .two import x\nimport os\nfrom os import path": set(),
        "from mainstay.adapters import codec": set(),
    }.items():
        file.write_text(text)
        assert arrows(file, "adapters") == found, text


def test_everything_that_is_promised_is_there_and_in_order() -> None:
    names = mainstay.pipeline.__all__
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted(name for name in names if hasattr(mainstay.pipeline, name))
    assert "Stack" in names
