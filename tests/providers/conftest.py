from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mainstay.adapters.sandbox import Sandbox


@pytest.fixture
def serve() -> Iterator[Callable[..., Sandbox]]:
    """Makes sandboxes, closed at the end."""
    with ExitStack() as stack:
        yield lambda dialect, **options: stack.enter_context(Sandbox(dialect, **options))
