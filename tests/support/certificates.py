"""Clients without certificates, for tests that make many."""

from __future__ import annotations

import ssl

import pytest

__all__ = ["no_certificates"]


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each client reads all certificates when it is made, for 40 ms of CPU; on loopback nobody looks at them."""
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *files, **more: None)
