"""The noise that comparisons are simulated under: its fit, and what it takes from recordings."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.noise.model import TABLES, NoiseModel, fit, recorded, resampled
from benchmarks.noise.simulation import at_least, at_most, share_interval


def test_a_fit_finds_what_a_series_was_made_of() -> None:
    truth = NoiseModel(sd=0.05, slow_share=0.6, memory=0.9, freedom=6.0, drift=1e-5)
    series = truth.series(np.random.default_rng(5), 1, 60_000)[0]
    found = fit(series.tolist())
    assert found.sd == pytest.approx(truth.sd, rel=0.05)
    assert found.slow_share == pytest.approx(truth.slow_share, abs=0.05)
    assert found.memory == pytest.approx(truth.memory, abs=0.02)
    assert found.freedom == pytest.approx(truth.freedom, abs=1.5)
    assert found.drift == pytest.approx(truth.drift, rel=0.1)
    differences = series[1::2] - series[::2]
    assert float(np.std(differences)) == pytest.approx(truth.block_sd, rel=0.05)


def test_independent_normal_noise_has_neither_memory_nor_tails() -> None:
    found = fit(np.random.default_rng(6).normal(3, 0.1, 20_000).tolist())
    assert found.slow_share < 0.05
    assert found.freedom > 20
    with pytest.raises(ValueError, match="too few"):
        fit([1.0] * 49)


def test_scaling_keeps_the_shape() -> None:
    model = NoiseModel(sd=0.5, slow_share=0.4, memory=0.8, freedom=4.0, drift=0.01)
    quiet = model.scaled(0.03)
    assert quiet.block_sd == pytest.approx(0.03)
    assert (quiet.slow_share, quiet.memory, quiet.freedom) == (0.4, 0.8, 4.0)
    assert quiet.drift / quiet.sd == pytest.approx(model.drift / model.sd)


def test_stretches_of_a_recording_keep_their_neighbours() -> None:
    values = [float(place) for place in range(100)]
    series = resampled(values, np.random.default_rng(7), 50, 400, stretch=20)
    assert set(series.ravel()) <= set(values)
    follows = np.mean((series[:, 1:] - series[:, :-1]) % 100 == 1)
    assert 0.92 < follows < 0.98


@pytest.mark.parametrize("table", sorted(TABLES.glob("noise-*.jsonl")), ids=lambda path: path.stem)
def test_recordings_are_read(table: Path) -> None:
    logs = recorded(table)
    assert len(logs) >= 100
    assert all(math.isfinite(value) for value in logs)
    assert fit(logs).sd > 0


def test_counts_are_judged_by_the_binomial() -> None:
    assert at_most(28, 2000, 0.01)
    assert not at_most(29, 2000, 0.01)
    assert at_least(343, 400, 0.9) or not at_least(300, 400, 0.9)
    assert not at_least(340, 400, 0.9)
    low, high = share_interval(20, 2000)
    assert low < 0.01 < high
