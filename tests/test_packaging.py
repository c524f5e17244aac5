"""What is shipped: a wheel and an sdist with everything they need and nothing else, and bounds that are real."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("pipeline", "middleware", "adapters", "providers")

pytestmark = pytest.mark.timeout(300)


def _sources() -> set[str]:
    found = {str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    return found | {f"{folder}/py.typed" for folder in FOLDERS}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, built from a copy of the tree, and the wheel, built from that sdist, as an index would get them."""
    out = tmp_path_factory.mktemp("dist")
    tree = tmp_path_factory.mktemp("tree")
    for name in (*_sources(), "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(out), str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_has_every_module_and_the_marker_of_types_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {f"mainstay/{name}" for name in _sources()}
    assert "mainstay/__init__.py" not in names  # a namespace: other distributions may add to it


def test_the_sdist_has_the_sources_the_licence_and_the_readme(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert _sources() | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_the_metadata_names_the_distribution_its_extras_and_its_command() -> None:
    about = metadata.metadata("mainstay")
    assert about["Name"] == "mainstay"
    assert about["Requires-Python"] == ">=3.11"
    assert set(about.get_all("Provides-Extra") or ()) == {"async", "cli", "otlp", "prices", "redis", "test"}
    (command,) = metadata.entry_points(group="console_scripts", name="mainstay")
    assert command.value == "mainstay.providers.cli:main"


def test_every_dependency_has_a_lower_bound_that_the_oldest_run_installs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = (ROOT / "tests" / "oldest.txt").read_text().split()
    lowest = dict(pin.split("==") for pin in oldest)
    for requirement in (*project["dependencies"], *project["optional-dependencies"]["cli"]):
        name, _, bounds = requirement.partition(">=")
        assert lowest[name] == bounds.partition(",")[0], f"{name}: tests/oldest.txt should install the lower bound"


def test_the_installed_package_is_what_is_tested() -> None:
    from mainstay.pipeline import Stack

    home = Path(sys.modules[Stack.__module__].__file__ or "")
    assert "site-packages" in str(home) or metadata.distribution("mainstay").read_text("direct_url.json")
