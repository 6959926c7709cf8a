"""Figures of a comparison, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.model.quality import QUALITY_FIGURES
from tuner.quality import Divergence, DivergenceStore
from tuner.quality.divergence import from_json

A = Divergence(
    positions=500,
    mean_kld=0.02,
    mean_kld_se=0.001,
    p99_kld=0.3,
    p99_9_kld=0.5,
    max_kld=0.6,
    same_top=0.95,
    same_top_se=0.01,
)
SHARE = st.floats(0, 1)
ANY = st.builds(
    Divergence,
    positions=st.integers(1, 10**6),
    mean_kld=SHARE,
    mean_kld_se=SHARE,
    p99_kld=st.none() | SHARE,
    p99_9_kld=st.none() | SHARE,
    max_kld=SHARE,
    same_top=SHARE,
    same_top_se=SHARE,
    bound=st.booleans(),
)


def test_figures_have_intervals_where_there_is_a_doubt_and_reasons_where_there_is_no_value() -> None:
    figures = A.figures()
    assert set(figures) == {f"quality.{name}" for name in QUALITY_FIGURES}
    mean = figures["quality.mean_kld"]
    assert (mean.value, mean.over) == (0.02, "positions")
    assert [mean.low, mean.high] == pytest.approx([0.01804, 0.02196])
    assert figures["quality.p99_kld"].value == 0.3
    tail = figures["quality.p99_9_kld"]
    assert tail.value is None
    assert tail.missing == "500 positions; it needs 1000 (`quality.chunks`)"


@given(ANY)
def test_kept_and_read_again(divergence: Divergence) -> None:
    assert from_json(divergence.to_json()) == divergence


@pytest.mark.parametrize("change", [{"version": 2}, {"version": None}])
def test_another_version_is_measured_again(change: dict[str, object]) -> None:
    assert from_json({**A.to_json(), **change}) is None
    assert from_json({name: value for name, value in A.to_json().items() if name != "max_kld"}) is None


def test_a_store_forgets_what_is_damaged(tmp_path: Path) -> None:
    store = DivergenceStore(folder=tmp_path / "quality")
    assert store.load("a") is None
    store.save("a", A)
    assert store.load("a") == A
    for damaged in ("", "[]", "{", '{"version": 1}', "\x00"):
        (tmp_path / "quality" / "a.json").write_text(damaged)
        assert store.load("a") is None
