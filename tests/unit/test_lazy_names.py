"""A package that imports its names late: none of them may be the name of one of its modules.

Importing the module would put it in the name's place, whenever somebody else does.
"""

from __future__ import annotations

import importlib
import pkgutil

import pytest


@pytest.mark.parametrize("package", ["tuner.wiring", "tuner.study", "tuner.unattended"])
def test_no_name_is_also_a_modules(package: str) -> None:
    found = importlib.import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(found.__path__)}
    assert modules & set(found.__all__) == set()
