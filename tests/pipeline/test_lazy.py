from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("package", ["adapters", "adapters.clients", "middleware", "providers"])
def test_a_package_hands_on_every_name_that_it_promises_and_no_other(package: str) -> None:
    module = importlib.import_module(f"mainstay.{package}")
    assert set(module.__all__) == set(module._HOMES) <= set(dir(module))
    for name, home in module._HOMES.items():
        there = importlib.import_module(f"mainstay.{package}.{home}")
        assert name in there.__all__
        assert getattr(module, name) is getattr(there, name)
    with pytest.raises(AttributeError, match=f"module 'mainstay.{package}' has no attribute 'Retyr'"):
        _ = module.Retyr
