"""Samplers by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import optuna

from tuner.errors import NameUnknown


def _tpe(seed: int, startup_trials: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # `group` lets conditional parameters be modelled jointly with those that they depend on.
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=startup_trials, multivariate=True, group=True
        )


def _random(seed: int, startup_trials: int) -> optuna.samplers.BaseSampler:
    del startup_trials
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, int], optuna.samplers.BaseSampler]] = {"tpe": _tpe, "random": _random}


def make_sampler(
    name: str, *, seed: int, worker: int, history: int, startup_trials: int
) -> optuna.samplers.BaseSampler:
    """The sampler `name`.

    Its seed is derived from (seed, worker, trials so far): with one seed alone a resumed study repeats its
    first proposals, and workers repeat each other's. Raises NameUnknown.
    """
    if name not in SAMPLERS:
        raise NameUnknown(f"no sampler {name!r}: there are {', '.join(sorted(SAMPLERS))}")
    return SAMPLERS[name](derive_seed(seed, worker, history), startup_trials)


def derive_seed(*parts: int) -> int:
    """32 bits that depend on every part."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
