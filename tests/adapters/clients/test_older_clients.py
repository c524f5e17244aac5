"""The same with the clients that came before: OpenAI's 2 and Anthropic's 0.x and 1.x, over httpx.

They cannot be installed beside their successors: see `support.older`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support.older import SETS, run_with

HERE = Path(__file__).parent
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
    chosen = " or ".join(f"({words})" for words in CHOSEN)
    files = [HERE / f"test_{what}.py" for what in ("wrapped_clients", "client_manners")]
    assert run_with(name, tmp_path_factory, files, f"({chosen}) and ({SETS[name].dialects})") > 50
