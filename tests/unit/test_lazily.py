"""Packages that import their names when they are asked for have all that they name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest


@pytest.mark.parametrize("package", ["tuner.study", "tuner.unattended", "tuner.wiring"])
def test_every_name_is_there(package: str) -> None:
    module = import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


def test_reading_a_study_imports_nothing_that_launches() -> None:
    program = "import sys, tuner.cli.study_read; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"docker", "httpx", "pynvml", "pandas", "tuner.trial.runner", "tuner.build", "boto3"} & set(
        done.stdout.split()
    )
