"""Figures as people read them."""

from __future__ import annotations

import pytest

from tuner.cli.figure_rows import figure_table, interval_text, roof_text, value_text
from tuner.model import Figure, Roof


@pytest.mark.parametrize(
    ("figure", "value", "interval"),
    [
        (Figure(value=61.23, low=59.8, high=63.0), "61.2 tok/s", "59.8 tok/s – 63.0 tok/s"),
        (Figure(value=61.23, low=59.8), "61.2 tok/s", "59.8 tok/s – ?"),
        (Figure(value=61.23), "61.2 tok/s", ""),
        (Figure(value=None, missing="it was not measured"), "–", ""),
    ],
)
def test_values_and_intervals(figure: Figure, value: str, interval: str) -> None:
    assert value_text(figure, "tok/s") == value
    assert interval_text(figure, "tok/s") == interval


def test_what_is_missing_is_told_by_reason() -> None:
    none = Figure(value=None, missing="no driver")
    rows, missing = figure_table(
        {
            "a.gpu_power_w": none,
            "a.output_tokens_per_s": Figure(value=1.0, low=0.5, high=2.0, over="launches"),
            "a.vram_peak_bytes": none,
        }
    )
    assert rows == [("a.output_tokens_per_s", "1.0 tok/s", "0.5 tok/s – 2.0 tok/s", "over launches")]
    assert missing == {"no driver": ["a.gpu_power_w", "a.vram_peak_bytes"]}


def test_the_roof() -> None:
    roof = Roof(
        weights_bytes=1 << 20,
        expert_bytes=1 << 20,
        expert_count=4,
        expert_used_count=2,
        cache=(),
        bandwidth_bytes_per_s=3.35e12,
        bandwidth_source="measured: read by 2 threads",
    )
    assert roof_text(roof) == (
        "the roof: 1.5 MiB for each step of one sequence, at 3350 GB/s (measured: read by 2 threads)"
    )
