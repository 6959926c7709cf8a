"""docs/measuring.md defines every figure, with its unit, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuner.model import FIGURES, QUALITY_FIGURES, FigureKind

_TEXT = (Path(__file__).parents[2] / "docs" / "measuring.md").read_text(encoding="utf-8")
_ROWS = [line for line in _TEXT.splitlines() if line.startswith("| `")]
_KINDS = {**FIGURES, **QUALITY_FIGURES}


def _written(kind: FigureKind) -> str:
    """`ttft_*_s` stands for its four quantiles."""
    return re.sub(r"_p\d+_s$", "_*_s", kind.name) if kind.probability is not None else kind.name


@pytest.mark.parametrize("name", _KINDS)
def test_every_figure_is_defined_once_with_its_unit(name: str) -> None:
    kind = _KINDS[name]
    rows = [row for row in _ROWS if f"`{_written(kind)}`" in row.split(" | ")[0]]
    assert len(rows) == 1, f"{name} has {len(rows)} rows in docs/measuring.md"
    if kind.probability is None:
        assert rows[0].split(" | ")[1] == kind.unit
    else:
        assert kind.unit == "s", "the table of latencies says so once"


def test_nothing_is_defined_that_does_not_exist() -> None:
    written = {_written(kind) for kind in _KINDS.values()}
    defined = {name for row in _ROWS for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}
    assert defined == written
