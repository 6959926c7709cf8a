"""A study as pandas tables, for notebooks and for the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from tuner.config import load_study
from tuner.errors import TunerError
from tuner.model import Objective
from tuner.report.frames import figures_frame, records_frame
from tuner.report.samples import Samples, read_samples
from tuner.report.snapshot import Snapshot
from tuner.storage import ProofTerms, StudyStore, TrialRecord
from tuner.study import DEFAULT_BASELINE, Proof, Status, Summary, outcome_sentence, status_of, summarize
from tuner.study.answer import make_session


class Study:
    """Everything that is known of one study. Tables are read when they are first asked for, and kept."""

    def __init__(
        self,
        store: StudyStore,
        folder: Path,
        fetch: Callable[[Iterable[TrialRecord]], tuple[str, ...]] = lambda _: (),
    ) -> None:
        """`fetch` brings folders of records here that other hosts have measured, and says what it cannot."""
        self.store = Snapshot(store)
        self.folder = folder
        """Where raw samples and logs are."""
        self._fetch = fetch

    @property
    def name(self) -> str:
        return self.store.name

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        return self.store.objectives

    @cached_property
    def summary(self) -> Summary:
        """The answer, as `study best` has it: the only place where anything is decided."""
        return summarize(self.store)

    @cached_property
    def status(self) -> Status:
        """How far the study is, as `study status` has it."""
        return status_of(self.store)

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
        summary = self.summary
        if summary.baseline is None:
            return "Nothing to deploy yet: the baseline has not been measured."
        if summary.best is not None:
            return outcome_sentence(summary)
        if not summary.front:
            return "Nothing to deploy: no configuration has been measured that meets all constraints."
        return (
            f"{len(summary.front)} configurations of which none is beaten in every objective: there is no "
            "single best one. Name the objective that decides with prefer: in the study file."
        )

    @cached_property
    def file_text(self) -> str:
        """The study file as the study began with it."""
        return self.store.file_text

    @property
    def content_hash(self) -> str:
        """Of the study file without comments and budgets; empty where the file cannot be read any more."""
        try:
            return load_study(self.folder / "study.yaml").content_hash
        except (TunerError, OSError):
            return ""

    # --- tables of records: one row for each configuration -------------------------------------------

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Of the search."""
        return records_frame("trial", self.store.trials(), self.objectives)

    @cached_property
    def baselines(self) -> pd.DataFrame:
        """llama.cpp's defaults and those that the study file names, measured once each."""
        stored = self.store.baselines()
        return records_frame("baseline", [*stored.values()], self.objectives, extra={"baseline": [*stored]})

    @cached_property
    def anchors(self) -> pd.DataFrame:
        """The default baseline again and again; `after_trial` is the last trial before it."""
        stored = self.store.anchors()
        after = [int(key.split(":")[1]) for key in stored]
        return records_frame("anchor", [*stored.values()], self.objectives, extra={"after_trial": after})

    @cached_property
    def confirmations(self) -> pd.DataFrame:
        """Fresh launches, which alone decide: those in which `current` are the ones that the verdict is of.

        `contender` is the baseline's name or the trial's label, `block` the block.
        """
        stored = self.store.confirmations()
        keys = [key.split(":") for key in stored]
        names = {record.identity: record.label for record in reversed(self.store.trials())}
        names |= {record.identity: name for name, record in reversed([*self.store.baselines().items()])}
        extra: dict[str, list[object]] = {
            "contender": [names.get(key[3], "unknown") if len(key) == 4 else "unknown" for key in keys],
            "block": [int(key[2]) if len(key) == 4 else None for key in keys],
            "current": [len(key) == 4 and key[1] == self._session_key for key in keys],
        }
        return records_frame("confirmation", [*stored.values()], self.objectives, extra=extra)

    @cached_property
    def _session_key(self) -> str:
        proof = Proof(
            objectives=self.objectives,
            prefer=self.store.prefer,
            terms=self.store.proof_terms or ProofTerms(),
        )
        baselines = dict(sorted(self.store.baselines().items(), key=lambda item: item[0] != DEFAULT_BASELINE))
        return make_session(baselines, self.store.trials(), self.store.confirmations(), proof).key

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """All records: baselines, anchors, trials, confirmations."""
        store = self.store
        return (
            *store.baselines().values(),
            *store.anchors().values(),
            *store.trials(),
            *store.confirmations().values(),
        )

    @cached_property
    def figures(self) -> pd.DataFrame:
        """Every figure of every record, with its 95 % interval or why it is missing."""
        return figures_frame(self.records)

    # --- raw samples ---------------------------------------------------------------------------------

    def bring_here(self, records: Iterable[TrialRecord]) -> tuple[str, ...]:
        """Have the folders of these records on this host; sentences about those that cannot be had."""
        return self._fetch(records)

    def read_samples(self, records: Iterable[TrialRecord]) -> Samples:
        """The raw samples of some records only: of thousands of trials, all are slow to read."""
        wanted = tuple(records)
        unfetched = self.bring_here(wanted)
        samples = read_samples(self.folder, wanted)
        return replace(samples, missing=(*unfetched, *samples.missing))

    @cached_property
    def samples(self) -> Samples:
        """The raw samples of all records."""
        return self.read_samples(self.records)

    @property
    def repetitions(self) -> pd.DataFrame:
        """One row for each load run: times, the server's counters, its warm-up."""
        return self.samples.repetitions

    @property
    def requests(self) -> pd.DataFrame:
        """One row for each request, as its client saw it."""
        return self.samples.requests

    @property
    def probes(self) -> pd.DataFrame:
        """One row for each sample of a GPU or of the host."""
        return self.samples.probes

    @property
    def missing(self) -> tuple[str, ...]:
        """What of the raw samples is not there, and why."""
        return self.samples.missing

    # --- where it was measured -----------------------------------------------------------------------

    @cached_property
    def versions(self) -> pd.DataFrame:
        """Host, GPU, driver, versions: one row for each record that has a folder with them."""
        self.bring_here(self.records)
        return pd.DataFrame(
            {"label": record.label, "folder": record.folder, **found}
            for record in self.records
            if record.folder and (found := self.versions_of(record))
        )

    def versions_of(self, record: TrialRecord) -> dict[str, str]:
        """Of one record; empty where its folder has none, or is on another host and was not fetched."""
        try:
            found = json.loads((self.folder / record.folder / "versions.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
