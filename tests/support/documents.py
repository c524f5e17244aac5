"""Examples in documents: each is run, and prints what the document says that it prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
# A Python block, and the block of plain text that follows it at once, if one does: its output. What is marked `py` is a
# fragment, and not run.
_BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)


class Example(NamedTuple):
    """One Python block of a document, and what it is said to print."""

    document: str
    number: int
    code: str
    output: str

    def __str__(self) -> str:
        return f"{self.document} example {self.number}"

    def check(self) -> None:
        """Runs it in a process of its own, where every warning is an error."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", self.code], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        if self.output:
            assert done.stdout == self.output
        assert done.stderr == ""


def examples(path: Path) -> list[Example]:
    """The examples of a document, in order."""
    name = str(path.relative_to(ROOT))
    return [Example(name, n, *block) for n, block in enumerate(_BLOCK.findall(path.read_text()), 1)]
