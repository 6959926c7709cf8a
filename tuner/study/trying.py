"""One proposal, from what is known or from a launch to what Optuna is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import optuna
from optuna.trial import TrialState as OptunaState

from tuner.errors import HostError, TrialError, TunerError
from tuner.model import ConstraintValue, Reason, TrialConfig
from tuner.storage import TrialRecord
from tuner.study.budget import counts
from tuner.study.crew import Crew
from tuner.study.measurer import Measurer
from tuner.study.records import ended_unrun, how_to_tell, spoiled_by_host
from tuner.study.samplers import derive_seed
from tuner.trial import Durations

logger = logging.getLogger(__name__)

_RETRIES = 2


class Trying:
    """Runs trials that the crew has admitted."""

    def __init__(self, measurer: Measurer, crew: Crew, catch_up: Callable[[], None]) -> None:
        """`catch_up` learns what the others have done."""
        self._measurer = measurer
        self._crew = crew
        self._catch_up = catch_up
        self.new = 0
        """Trials that counted."""

    def run(self, trial: optuna.Trial, config: TrialConfig) -> TrialRecord:
        """One proposal, run or answered from what is known, and told. Raises HostError, KeyboardInterrupt."""
        label, measurer = f"trial {trial.number}", self._measurer
        try:
            record = self._without_running(label, trial.number, config)
            if record is None:
                identity = measurer.identify(config)
                repeat_of = measurer.history.repeats(identity)
                record = measurer.measure(
                    label,
                    trial.number,
                    config,
                    identity,
                    ("trials", f"{trial.number:04d}"),
                    derive_seed(measurer.plan.seed, 0, trial.number),
                )
                record = replace(record, repeat_of=repeat_of)
        except TrialError as error:  # from identify: the build cannot even be configured
            record = ended_unrun(
                label, trial.number, config, Reason(error.reason), str(error), measurer.clock.timestamp()
            )
        except (KeyboardInterrupt, HostError, TunerError) as error:
            reason = Reason.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Reason.HOST
            self._spoiled(trial, label, config, reason, str(error))
            raise
        if self._tell(trial, record):
            if record.reused_from is None:
                self.new += counts(record)
            if spoiled_by_host(record):
                self.again(trial.params, config)
        measurer.account()
        measurer.raise_for_host(record)
        return record

    def again(self, params: Mapping[str, object], config: TrialConfig) -> None:
        """Enqueue a trial that the host spoiled, unless that has happened too often to be chance."""
        if params and self._measurer.history.times_spoiled(config) <= _RETRIES:
            self._measurer.store.enqueue(params)

    def _without_running(self, label: str, number: int, config: TrialConfig) -> TrialRecord | None:
        """A record for a proposal that breaks a requirement or equals a known configuration."""
        measurer = self._measurer
        violations = measurer.plan.space.violated_requirements(config)
        if violations:
            record = ended_unrun(
                label,
                number,
                config,
                Reason.REQUIREMENT,
                "does not hold: " + "; ".join(text for text, _ in violations),
                measurer.clock.timestamp(),
            )
            return replace(
                record,
                constraints=tuple(
                    ConstraintValue(expression=text, violation=violation) for text, violation in violations
                ),
            )
        identity = measurer.identify(config)
        while measurer.history.known(identity) is None and self._crew.measured_elsewhere(identity):
            self._crew.rest()
            self._catch_up()
        # Whoever measured it may have ended since we last looked.
        self._catch_up()
        known = measurer.history.known_whole(identity)
        if known is None:
            return None
        return replace(
            known, label=label, number=number, config=config, reused_from=known.label, durations=Durations()
        )

    def _tell(self, trial: optuna.Trial, record: TrialRecord) -> bool:
        """Whether it is this record that the trial ended with."""
        measurer = self._measurer
        if not self._crew.decide(record):
            measurer.watcher.on_note(
                f"{record.label} was given to another worker, because this one was not heard of: what was "
                "measured here is dropped",
                warning=True,
            )
            return False
        measurer.store.tell(trial, record, *how_to_tell(record))
        self._crew.told(trial.number)
        measurer.history.add_trial(record)
        measurer.watcher.on_record(record)
        return True

    def _spoiled(
        self, trial: optuna.Trial, label: str, config: TrialConfig, reason: Reason, message: str
    ) -> None:
        """End a trial that is not to blame, and have it proposed again."""
        measurer = self._measurer
        record = ended_unrun(label, trial.number, config, reason, message, measurer.clock.timestamp())
        try:
            if not self._crew.decide(record):
                return
            measurer.store.tell(trial, record, OptunaState.FAIL, ())
            self._crew.told(trial.number)
            measurer.history.add_trial(record)
            self.again(trial.params, config)
        except HostError:
            # The storage itself is what failed: the trial stays open and is found abandoned next time.
            logger.warning("%s could not be ended in the storage; the next run will do it", label)
