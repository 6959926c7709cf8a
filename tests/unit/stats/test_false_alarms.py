"""What comparisons make of noise: how often equals are told apart, and whether a true 3 % is found.

The noise is fitted to recorded launches (benchmarks/noise/model.py), and made worse than they were.
benchmarks/verdicts.py does the same with every noise at 2,000 runs each; docs/verdicts.md has its table.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.noise.model import TABLES, NoiseModel, fit, neighbours_sd, recorded, resampled
from benchmarks.noise.simulation import at_least, at_most, simulate, tally
from tuner.stats import ComparisonPlan

RECORDED = TABLES / "noise-synthetic-tiny.jsonl"
BLOCK_SD = 0.025
"""Of a quiet host; the shape is that of the recording. Only its ratio to the difference sought counts."""

HARSH = NoiseModel(sd=0.1, slow_share=0.7, memory=0.95, freedom=3.0, drift=0.001).scaled(BLOCK_SD)


def test_equals_are_told_apart_in_at_most_one_of_a_hundred_of_2000_runs() -> None:
    model = fit(recorded(RECORDED)).scaled(BLOCK_SD)
    rng = np.random.default_rng(41)
    found = tally(simulate(model.series(rng, 2000, 160), ComparisonPlan(block_sd=BLOCK_SD), rng))
    assert at_most(found.claims, found.runs, 0.01), found
    assert at_most(found.missed, found.runs, 0.01), found
    # Neither side is favoured.
    assert abs(found.faster - found.slower) <= 4 * math.sqrt(found.claims + 1)


@pytest.mark.parametrize("noise", ["drift, memory and heavy tails", "the recording itself"])
def test_nor_under_worse_noise(noise: str) -> None:
    rng = np.random.default_rng(43)
    if noise == "the recording itself":
        logs = recorded(RECORDED)
        series = resampled(logs, rng, 2000, 160) * (BLOCK_SD / neighbours_sd(logs))
    else:
        series = HARSH.series(rng, 2000, 160)
    found = tally(simulate(series, ComparisonPlan(block_sd=BLOCK_SD), rng))
    assert at_most(found.claims, found.runs, 0.01), found
    assert at_most(found.missed, found.runs, 0.01), found


def test_nor_after_a_calibration_whose_floor_no_claim_is_below() -> None:
    rng = np.random.default_rng(44)
    runs = simulate(HARSH.series(rng, 2000, 160), ComparisonPlan(), rng, calibrated=12)
    assert at_most(tally(runs).claims, len(runs), 0.01)


@pytest.mark.parametrize("tails", ["as recorded", "heavy"])
def test_three_percent_is_found_within_the_launches_that_were_named(tails: str) -> None:
    model = fit(recorded(RECORDED))
    if tails == "heavy":
        model = replace(model, slow_share=min(model.slow_share, 0.5), freedom=3.0)
    plan = ComparisonPlan(block_sd=BLOCK_SD, known_blocks=12, smallest=0.03)
    rng = np.random.default_rng(47)
    runs = simulate(model.scaled(BLOCK_SD).series(rng, 2000, 160), plan, rng, gain=0.03)
    found = sum(run.answer.verdict == "faster" and run.blocks <= run.named for run in runs)
    assert at_least(found, len(runs), 0.9), found
    assert tally(runs).slower == 0
    assert plan.named == 21
