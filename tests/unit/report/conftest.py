"""Studies that are run once for all tests of reports, and a browser to look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.chromium import Browser, chromium
from tests.unit.report.studies import FASTER_WITH_SLOTS, run_study


@pytest.fixture(scope="package")
def gained(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """The state folder of study `case`, which ends with a proven gain: read it, change nothing."""
    folder = tmp_path_factory.mktemp("gained")
    return run_study(
        folder,
        tiny_model,
        changes={"launches: 3": "launches: 8"},  # on a busy host the first look may not be enough
        decode_tokens_per_s=FASTER_WITH_SLOTS,
        launch_noise=0.02,
    )


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with chromium() as found:
        yield found
