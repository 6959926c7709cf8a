"""What a study has found so far, from its storage alone."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tuner.model import Objective
from tuner.storage import StudyStore, TrialRecord
from tuner.study.answer import find_answer
from tuner.study.budget import charged
from tuner.study.confirmation import Confirmation
from tuner.study.ranking import pareto_front

DEFAULT_BASELINE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The answer of a study so far."""

    name: str
    objectives: tuple[Objective, ...]
    baseline: TrialRecord | None
    best: TrialRecord | None
    """The default baseline or the challenger; None when nothing is feasible, or several objectives have no
    `prefer`."""
    challenger: TrialRecord | None
    """The best feasible configuration besides the default baseline."""
    front: tuple[TrialRecord, ...]
    """The Pareto front with several objectives; empty with one."""
    confirmations: tuple[Confirmation, ...]
    """The challenger against the baseline."""
    command: str | None
    """The shell command that starts the best server, without harness-only arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a study is."""

    name: str
    file_text: str
    charged: int
    """Trials that count against the budget."""
    running: int
    counts: Mapping[str, int]
    """Ended trials by state; those that shared a measurement as `reused`."""
    reasons: Mapping[str, int]
    elapsed_s: float
    seconds: Mapping[str, float]
    """Where the time went: building, launching, measuring, other."""


def summarize(store: StudyStore) -> Summary:
    """Raises StorageUnavailable."""
    objectives = store.objectives
    baselines = store.baselines()
    records = (*baselines.values(), *store.trials())
    baseline = baselines.get(DEFAULT_BASELINE)
    answer = find_answer(baseline, records, store.confirmations(), objectives, store.prefer)
    return Summary(
        name=store.name,
        objectives=objectives,
        baseline=baseline,
        best=answer.best,
        challenger=answer.challenger,
        front=pareto_front(records, objectives) if len(objectives) > 1 else (),
        confirmations=answer.confirmations,
        command=shell_command(answer.best) if answer.best else None,
    )


def status_of(store: StudyStore) -> Status:
    """Raises StorageUnavailable."""
    records = store.trials()
    everything = (*records, *store.baselines().values(), *store.confirmations().values())
    fresh = [record for record in everything if record.reused_from is None]
    seconds = {
        "building": sum(record.durations.build_s for record in fresh),
        "launching": sum(record.durations.launch_s for record in fresh),
        "measuring": sum(record.durations.measure_s for record in fresh),
    }
    elapsed_s = store.elapsed_s
    return Status(
        name=store.name,
        file_text=store.file_text,
        charged=charged(records),
        running=len(store.running()),
        counts=dict(Counter("reused" if r.reused_from else r.state.value for r in records)),
        reasons=dict(Counter(r.reason.value for r in records if r.reason and not r.reused_from)),
        elapsed_s=elapsed_s,
        seconds={**seconds, "other": max(0.0, elapsed_s - sum(seconds.values()))},
    )


def shell_command(record: TrialRecord) -> str:
    """The deployable command with its environment, quoted for a POSIX shell."""
    environment = [f"{name}={shlex.quote(str(value))}" for name, value in record.config.env.items()]
    return " ".join([*environment, shlex.join(record.deploy_command)])
