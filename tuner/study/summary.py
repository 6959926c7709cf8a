"""What a study has found so far, from its storage alone."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tuner.model import Objective, Reason
from tuner.storage import Outlined, ProofTerms, StudyStore, TrialRecord, Worker, has_ended, list_workers
from tuner.study.answer import Outcome, find_answer
from tuner.study.budget import charged
from tuner.study.confirmation import Confirmation, Finalist, Proof
from tuner.study.ranking import pareto_front

DEFAULT_BASELINE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The answer of a study so far."""

    name: str
    objectives: tuple[Objective, ...]
    baseline: TrialRecord | None
    """The default one."""
    outcome: Outcome
    best: TrialRecord | None
    """A finalist that is proven better, else a baseline; None when nothing is feasible, or several objectives
    have no `prefer`."""
    keep: str
    """The name of the baseline that a finalist had to beat."""
    challenger: TrialRecord | None
    """The finalist that won or came closest; before the confirmation the one that leads the search."""
    finalists: tuple[Finalist, ...]
    settled: bool
    """Whether more launches would not change the answer."""
    floors: Mapping[str, float]
    """By figure, no relative difference below it is called one; absent where the host was not calibrated."""
    front: tuple[TrialRecord, ...]
    """The Pareto front with several objectives; empty with one."""
    confirmations: tuple[Confirmation, ...]
    """The challenger against every baseline, the default one's first; empty until it was launched afresh."""
    rejected: tuple[TrialRecord, ...]
    """Trials that were not measured because their quality breaks a constraint; reused ones not."""
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
    anchors: int
    """Launches of drift anchors."""
    drifts: int
    """How often the host was found to have changed."""
    drifted: int
    """Trials that were measured meanwhile."""
    client_bound: int
    """Trials that the client was the bottleneck of."""
    workers: tuple[Worker, ...]
    """Those that work on it, the leader first."""
    leader: int | None
    elapsed_s: float
    seconds: Mapping[str, float]
    """Where the time went: building, judging quality, launching, measuring, other."""


def summarize(store: StudyStore) -> Summary:
    """Raises StorageUnavailable."""
    return _summarize(store, store.baselines(), store.trials(), store.confirmations())


def summarize_outlines(store: StudyStore, seen: Outlined) -> Summary:
    """The same with records in outline, and so without a command. Raises StorageUnavailable."""
    found = _summarize(store, seen.baselines, seen.trials, seen.confirmations)
    return replace(found, command=None)


def _summarize(
    store: StudyStore,
    stored: Mapping[str, TrialRecord],
    trials: tuple[TrialRecord, ...],
    confirmations: Mapping[str, TrialRecord],
) -> Summary:
    objectives = store.objectives
    baseline = stored.get(DEFAULT_BASELINE)
    baselines = dict(sorted(stored.items(), key=lambda item: item[0] != DEFAULT_BASELINE))
    records = (*baselines.values(), *trials)
    terms = store.proof_terms or ProofTerms()
    proof = Proof(objectives=objectives, prefer=store.prefer, terms=terms)
    answer = find_answer(baselines, trials, confirmations, proof)
    return Summary(
        name=store.name,
        objectives=objectives,
        baseline=baseline,
        outcome=answer.outcome,
        best=answer.best,
        keep=answer.keep,
        challenger=answer.challenger,
        finalists=answer.finalists,
        settled=answer.settled,
        floors=terms.floors,
        front=pareto_front(records, objectives) if len(objectives) > 1 else (),
        confirmations=next((f.confirmations for f in answer.finalists if f.record is answer.challenger), ()),
        rejected=rejected(records),
        command=shell_command(answer.best) if answer.best else None,
    )


def rejected(records: Iterable[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Those that ended before they were measured because they break a constraint; reused ones not."""
    return tuple(
        record
        for record in records
        if record.reason is Reason.CONSTRAINT and not record.measured and record.reused_from is None
    )


def status_of(store: StudyStore, seen: Outlined | None = None) -> Status:
    """`seen`: what `store.outlined()` has just said. Raises StorageUnavailable."""
    seen = seen or store.outlined()
    records = seen.trials
    outside = (seen.baselines, seen.anchors, seen.confirmations)
    everything = (*records, *(record for kind in outside for record in kind.values()))
    fresh = [record for record in everything if record.reused_from is None]
    seconds = {
        "building": sum(record.durations.build_s for record in fresh),
        "judging quality": sum(record.durations.quality_s for record in fresh),
        "launching": sum(record.durations.launch_s for record in fresh),
        "measuring": sum(record.durations.measure_s for record in fresh),
    }
    elapsed_s = store.elapsed_s
    workers, leader = list_workers(store.storage, store.study._study_id, store.url)
    present = [worker for worker in workers if worker.gone is None and not has_ended(worker)]
    return Status(
        name=store.name,
        file_text=store.file_text,
        charged=charged(records),
        running=store.count_running(),
        counts=dict(Counter("reused" if r.reused_from else r.state.value for r in records)),
        reasons=dict(Counter(r.reason.value for r in records if r.reason and not r.reused_from)),
        anchors=len(seen.anchors),
        drifts=sum(window.is_drift for window in store.drifts()),
        drifted=sum(record.drifted and record.reused_from is None for record in records),
        client_bound=sum(record.client_bound and record.reused_from is None for record in records),
        workers=tuple(sorted(present, key=lambda worker: worker.number != leader)),
        leader=leader,
        elapsed_s=elapsed_s,
        seconds={**seconds, "other": max(0.0, elapsed_s - sum(seconds.values()))},
    )


def shell_command(record: TrialRecord) -> str:
    """The deployable command with its environment, quoted for a POSIX shell."""
    if record.deploy_command[:2] == ("docker", "run"):
        return shlex.join(record.deploy_command)  # a container's environment is in its options
    environment = [f"{name}={shlex.quote(str(value))}" for name, value in record.config.env.items()]
    return " ".join([*environment, shlex.join(record.deploy_command)])
