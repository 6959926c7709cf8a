"""A study with a proven gain, run once for all tests of reports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.report.studies import FASTER_WITH_SLOTS, run_study


@pytest.fixture(scope="package")
def gained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The state folder of study `case`: read it, change nothing."""
    return run_study(
        tmp_path_factory.mktemp("gained"),
        tiny_model,
        decode_tokens_per_s=FASTER_WITH_SLOTS,
        launch_noise=0.02,
    )
