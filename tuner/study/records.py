"""From outcomes to records, and from records to what Optuna is told."""

from __future__ import annotations

from collections.abc import Mapping

from optuna.trial import TrialState as OptunaState

from tuner.errors import TrialError
from tuner.model import Blame, ConstraintValue, Figure, Reason, Score, TrialConfig
from tuner.storage import TrialRecord
from tuner.trial import Outcome, TrialState

UNMEASURED = ConstraintValue(expression="runs", violation=1.0)
"""The constraint that a configuration violates which could not be measured."""


def how_to_tell(record: TrialRecord) -> tuple[OptunaState, tuple[ConstraintValue, ...]]:
    """The state and constraints that teach Optuna's samplers most.

    A measured trial is COMPLETE with its constraints, feasible or not. One that could not be measured
    because of its configuration is PRUNED with a violated constraint: told as FAIL, samplers ignore it and
    propose the same region again. FAIL is left for the host's doing, from which there is nothing to learn.
    """
    if record.measured:
        return OptunaState.COMPLETE, record.constraints
    if spoiled_by_host(record):
        return OptunaState.FAIL, ()
    return OptunaState.PRUNED, record.constraints or (UNMEASURED,)


def ended_unrun(
    label: str, number: int | None, config: TrialConfig, reason: Reason, message: str, ended: str
) -> TrialRecord:
    """The record of a configuration that was never measured."""
    failed = reason.blame is Blame.HOST or reason in (Reason.BUILD_FAILED, Reason.BUILD_TIMEOUT)
    return TrialRecord(
        label=label,
        number=number,
        state=TrialState.FAILED if failed else TrialState.INFEASIBLE,
        reason=reason,
        message=message,
        config=config,
        identity="",
        ended=ended,
    )


def spoiled_by_host(record: TrialRecord) -> bool:
    """Whether the host is to blame for this end."""
    return record.reason is not None and record.reason.blame is Blame.HOST


def record_of(
    outcome: Outcome, label: str, number: int | None, config: TrialConfig, identity: str
) -> TrialRecord:
    """The record of a run configuration, without folder and times."""
    score = outcome.score
    figures: Mapping[str, Figure] = score.figures if score else {}
    return TrialRecord(
        label=label,
        number=number,
        state=outcome.state,
        config=config,
        identity=identity,
        reason=outcome.reason,
        message=outcome.message,
        figures=dict(figures),
        objectives=score.objectives if score else (),
        constraints=score.constraints if score else (),
        flags=score.flags if score else (),
        client_bound=score.client_bound if score else False,
        command=outcome.server.command if outcome.server else (),
        deploy_command=outcome.server.deploy_command if outcome.server else (),
        build_key=outcome.artifact.key if outcome.artifact else "",
        durations=outcome.durations,
    )


def versions_of(outcome: Outcome) -> dict[str, str]:
    """Versions that only the launched server tells."""
    found = {}
    if outcome.artifact is not None:
        found["llama_server"] = outcome.artifact.version
    if outcome.server is not None and outcome.server.build_info:
        found["build_info"] = outcome.server.build_info
    return found


def score_of(record: TrialRecord) -> Score:
    """The score that a record was made from."""
    return Score(
        figures=record.figures,
        objectives=record.objectives,
        constraints=record.constraints,
        flags=record.flags,
        client_bound=record.client_bound,
    )


def baseline_failed(record: TrialRecord) -> TrialError:
    """Without its baseline a study has nothing to compare with."""
    return TrialError(
        f"the default baseline could not be measured ({record.reason}): {record.message}",
        reason=str(record.reason),
    )
