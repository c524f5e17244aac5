"""The same with the clients that came before: OpenAI's 2 and Anthropic's 0.x and 1.x, over httpx.

They cannot be installed beside their successors. So each set is installed into a folder of its own, once in a session,
and the tests of this folder run again in a process that finds that folder first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Besides the clients only what they import that their successors do not; the rest is there.
SETS = {
    "openai 2, anthropic 0": (
        ("openai>=2,<3", "anthropic>=0.40,<1"),
        ("openai 2.", "anthropic 0."),
        "openai or claude",
    ),
    "anthropic 1": (("anthropic>=1,<2",), ("anthropic 1.",), "claude"),
}
HELP = ("distro", "jiter", "sniffio", "tqdm", "docstring-parser")
# One of each kind: the other ones differ in what the server says, which is the codec's business.
CHOSEN = (
    "test_good_answers and (unicode or parallel or two or encrypted or filter)",
    "test_faults and (401 or late or 500 or stall or pings or cut or malformed or event or 200 or reset or hang)",
    "test_what_is_sent and (results or picture)",
    "test_client_manners",
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SETS)
def test_older_clients(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    wanted, versions, dialects = SETS[name]
    folder = tmp_path_factory.mktemp("older")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder)]
    installed = subprocess.run([*install, *wanted, *HELP], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"NOT TESTED with {name}: they could not be installed: {installed.stderr.strip()[-300:]}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", "")))}

    show = "import openai, anthropic; print('openai', openai.__version__, 'anthropic', anthropic.__version__)"
    shown = subprocess.run(
        [sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert all(version in shown for version in versions), shown

    chosen = " or ".join(f"({words})" for words in CHOSEN)
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", f"({chosen}) and ({dialects})"]
    files = [str(HERE / f"test_{what}.py") for what in ("wrapped_clients", "client_manners")]
    ran = subprocess.run([*tests, *files], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-1000:]
    assert int(ran.stdout.rpartition(" passed")[0].rpartition("\n")[2].split()[-1]) > 50, ran.stdout[-500:]
