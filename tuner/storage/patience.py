"""Waiting for a database that has gone away: restarted, failed over, or locked by another process for long.

A measurement that has taken minutes must not be lost because its database was restarted meanwhile.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    ProgrammingError,
)

from tuner.clock import Clock, SystemClock
from tuner.storage.stored_records import Shared, hide_records, other_attributes
from tuner.units import format_duration

PATIENCE_S = 300.0
"""How long a storage may be away in the middle of a study."""
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_ATTEMPTS = 8
_MADE_MEANWHILE = ("already exists", "duplicate key", "UNIQUE")

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Patience:
    """Repeats an operation that the storage did not answer."""

    def __init__(self, wait_s: float, clock: Clock | None = None) -> None:
        """`wait_s`: after so long the operation's own error is raised."""
        self._wait_s = wait_s
        self._clock = clock or SystemClock()
        self._gave_up = False

    def call(self, operation: Callable[[], T], *, repeated: Callable[[Exception], T] | None = None) -> T:
        """What `operation` returns, once the storage answers.

        An operation whose answer was lost has perhaps been done: `repeated` makes a result of the error that
        a repetition gets then, or raises it. Raises what `operation` raises.
        """
        began_s, pause_s, attempts = self._clock.monotonic_s(), _FIRST_PAUSE_S, 0
        while True:
            try:
                result = operation()
            except Exception as error:
                spent_s = self._clock.monotonic_s() - began_s
                if not passes(error):
                    if attempts and repeated is not None:
                        return repeated(error)
                    raise
                if self._gave_up or spent_s + pause_s > self._wait_s:
                    # What ends the run now (its trial, its time, its place) does not wait as long again.
                    self._gave_up = True
                    raise
                attempts += 1
                if attempts == 3:  # a collision of two writers is over by then
                    logger.warning(
                        "the study's storage does not answer: waiting up to %s for it",
                        format_duration(self._wait_s),
                    )
                try:
                    self._clock.sleep(pause_s)
                except KeyboardInterrupt:
                    self._gave_up = True
                    raise
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._gave_up = False
                if attempts >= 3:
                    logger.warning("the study's storage answers again")
                return result


def passes(error: Exception) -> bool:
    """Whether the same operation may succeed a little later: nobody answers, or another holds a lock."""
    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    if isinstance(cause, PendingRollbackError):
        # Optuna's "slower alternative", asked on a connection that was just lost. The next one is a new one.
        return True
    if not isinstance(cause, DBAPIError):
        return False
    if type(cause.orig).__module__.startswith("sqlite3"):
        return "locked" in str(cause.orig)
    return isinstance(cause, OperationalError | InterfaceError) or cause.connection_invalidated


def at_once(make: Callable[[], T]) -> T:
    """What `make` returns, when several processes make the same tables at one time.

    'Is it there? then make it' is no transaction: whoever loses is told that it exists, and looks again.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return make()
        except (IntegrityError, ProgrammingError, OperationalError) as error:
            told = str(error.orig)
            if attempt == _ATTEMPTS or not any(word in told for word in _MADE_MEANWHILE):
                raise
            time.sleep(random.uniform(0.05, 0.3) * attempt)  # noqa: S311  only to come apart
    raise AssertionError("the last attempt returns or raises")


class PatientStorage(optuna.storages.RDBStorage):
    """Optuna's storage, each of whose operations is patient.

    A subclass and not a wrapper, because Optuna caches finished trials only for its own class. Every
    operation is one transaction; done twice it does no harm: what `ask` created and never got is a running
    trial that nobody has, and what is enqueued twice is answered from the first one's measurement.
    """

    def __init__(self, url: str, *, engine_kwargs: dict[str, Any], patience: Patience) -> None:
        """Opening is not patient: a wrong address shall be told at once."""
        super().__init__(url, engine_kwargs=engine_kwargs)
        hide_records(self.scoped_session)
        self._shared = Shared()
        self.patience = patience

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Without records, which are a thousand times as long as what is asked for often."""
        return other_attributes(self.engine, study_id) or super().get_study_user_attrs(study_id)

    def _build_frozen_trial_from_trial_model(self, trial: Any) -> FrozenTrial:
        return self._shared.share(super()._build_frozen_trial_from_trial_model(trial))


def _patiently(operation: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(operation)
    def call(storage: PatientStorage, *args: Any, **named: Any) -> Any:
        if not hasattr(storage, "patience"):  # it is being opened
            return operation(storage, *args, **named)
        return storage.patience.call(lambda: operation(storage, *args, **named), repeated=_ended_already)

    return call


def _ended_already(error: Exception) -> bool:
    """Telling a trial's end again: the first time was heard."""
    if isinstance(error, optuna.exceptions.UpdateFinishedTrialError):
        return True
    raise error


# The operations that Optuna's cache and studies use, private ones of its cache included.
for _name in (
    "_create_new_trial",
    "_get_trials",
    "_set_trial_param",
    "create_new_study",
    "delete_study",
    "get_all_studies",
    "get_study_directions",
    "get_study_id_from_name",
    "get_study_name_from_id",
    "get_study_system_attrs",
    "get_study_user_attrs",
    "get_trial",
    "get_trial_id_from_study_id_trial_number",
    "set_study_system_attr",
    "set_study_user_attr",
    "set_trial_state_values",
    "set_trial_system_attr",
    "set_trial_user_attr",
):
    setattr(PatientStorage, _name, _patiently(getattr(PatientStorage, _name)))
