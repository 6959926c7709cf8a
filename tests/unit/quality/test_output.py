"""llama-perplexity's statistics: what real programs printed, and whatever else a program may print."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.quality import parse_output

OUTPUTS = Path(__file__).with_name("outputs")
"""Printed by real programs: VERSION.txt of a synthetic model, gemma-q4_0.txt of Gemma 3 270M."""


@pytest.mark.parametrize(
    ("name", "mean", "p99", "p99_9", "most", "same"),
    [
        ("0.3.1", 0.000012, 0.000018, 0.000019, 0.000019, 0.92913),
        ("0.3.16", 0.000013, 0.000019, 0.000020, 0.000021, 0.87402),
        ("0.3.36", 0.000011, 0.000016, 0.000016, 0.000016, 0.89764),
        ("gemma-q4_0", 0.189402, 1.077937, 2.077963, 2.097931, 0.67717),
    ],
)
def test_what_real_programs_printed(
    name: str, mean: float, p99: float, p99_9: float, most: float, same: float
) -> None:
    found = parse_output((OUTPUTS / f"{name}.txt").read_text(), 127)
    assert found is not None
    assert (found.mean_kld, found.p99_kld, found.p99_9_kld, found.max_kld) == (mean, p99, p99_9, most)
    assert found.same_top == pytest.approx(same)
    assert 0 <= found.mean_kld_se < 0.02
    assert 0 < found.same_top_se < 0.04


def test_an_older_tree_repeats_a_label() -> None:
    """In August 2025 the lines of 95 % and 90 % were labelled 99.0 %, too: both hold the 99 % quantile."""
    assert (OUTPUTS / "0.3.16.txt").read_text().count("99.0%   KLD:") == 2


KLD = st.floats(0, 50).map(lambda value: round(value, 6))
NOISE = st.sampled_from(["", "\x1b[0m", "0.01.804.610 I ", "\t"])


def _printed(mean: float, doubt: float, most: float, same: float, noise: str) -> str:
    return (
        f"{noise}chunk  KL Divergence  Same top p\n   1  9.9 ± 9.9  8.8 ± 8.8\n"
        f"{noise}Mean    KLD: {mean:10.6f} ± {doubt:10.6f}\n{noise}Maximum KLD: {most:10.6f}\n"
        f"{noise}99.0%   KLD: {most:10.6f}\n{noise}Same top p: {same:6.3f} ± {doubt:6.3f} %\n"
    )


@given(mean=KLD, doubt=KLD, most=KLD, same=st.floats(0, 100).map(lambda v: round(v, 3)), noise=NOISE)
def test_what_is_printed_is_read(mean: float, doubt: float, most: float, same: float, noise: str) -> None:
    found = parse_output(_printed(mean, doubt, most, same, noise), 500)
    assert found is not None
    assert (found.mean_kld, found.mean_kld_se, found.max_kld) == (mean, doubt, most)
    assert found.same_top == pytest.approx(same / 100)
    assert found.p99_9_kld is None


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert parse_output(text, 500) is None


@pytest.mark.parametrize("lacking", ["Mean    KLD", "Maximum KLD", "Same top p"])
def test_a_line_that_is_missing_or_no_number_is_no_result(lacking: str) -> None:
    whole = _printed(0.1, 0.01, 1.0, 90.0, "")
    lines = whole.splitlines()
    assert parse_output("\n".join(line for line in lines if not line.startswith(lacking)), 500) is None
    spoiled = [f"{lacking}: nan ± nan" if line.startswith(lacking) else line for line in lines]
    assert parse_output("\n".join(spoiled), 500) is None


def test_below_zero_by_rounding_is_zero() -> None:
    found = parse_output("Mean KLD: -0.000002 ± 0.000001\nMaximum KLD: -0.0\nSame top p: 100.0 ± 0.0 %", 500)
    assert found is not None
    assert (found.mean_kld, found.max_kld, found.same_top) == (0.0, 0.0, 1.0)
