"""Asks Optuna for the next trial, on grounds of what holds."""

from __future__ import annotations

import optuna

from tuner.model import TrialConfig
from tuner.storage import StudyStore
from tuner.study.history import History
from tuner.study.plan import StudyPlan
from tuner.study.samplers import derive_seed, make_sampler

_REPEATS_BEFORE_RANDOM = 3


class Proposals:
    """What is tried next: enqueued trials first, then what the sampler says, or chance."""

    def __init__(self, plan: StudyPlan, store: StudyStore, history: History, worker: int) -> None:
        """Raises NameUnknown for a sampler that there is not."""
        self._plan = plan
        self._store = store
        self._history = history
        self._worker = worker
        self._sampler = self._make_sampler()
        self._explorer = optuna.samplers.RandomSampler(
            seed=derive_seed(plan.seed, worker, len(history.trials), 2)
        )

    def next(self, repeats: int, *, leads: bool) -> tuple[optuna.Trial, TrialConfig]:
        """A trial that is open in Optuna until it is told; `repeats` proposals in a row held nothing new.

        A sampler that has found its favourite keeps proposing it: chance then looks elsewhere. Who leads has
        drifted trials proposed again.
        """
        explore = repeats >= _REPEATS_BEFORE_RANDOM
        self._store.study.sampler = self._explorer if explore else self._sampler
        if leads:
            self._enqueue_repeats()
        stale = self._history.superseded()
        if stale and not explore and not self._store.waiting():
            # Optuna cannot take back what it was told of a trial: so the sampler is asked in a copy without.
            # A sampler knows one study only, hence another one.
            numbers = {t.number for t in self._history.trials if t.label in stale and t.number is not None}
            asked = self._store.view_without(numbers, self._make_sampler()).ask()
            self._plan.space.suggest(asked)
            self._store.enqueue(asked.params)
        trial = self._store.ask()
        return trial, self._plan.space.suggest(trial)

    def _make_sampler(self) -> optuna.samplers.BaseSampler:
        return make_sampler(
            self._plan.sampler,
            seed=self._plan.seed,
            worker=self._worker,
            history=len(self._history.trials),
            startup_trials=self._plan.startup_trials,
        )

    def _enqueue_repeats(self) -> None:
        """Have every drifted trial proposed again, once; what is enqueued already is left."""
        to_repeat = self._history.to_repeat()
        if not to_repeat:
            return
        waiting = list(self._store.waiting())
        for record in to_repeat:
            assert record.number is not None  # noqa: S101  trials have numbers
            params = self._store.params(record.number)
            if params not in waiting:
                self._store.enqueue(params)
                waiting.append(params)
