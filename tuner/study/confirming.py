"""Makes the launches that prove the answer: every finalist and every baseline, block by block."""

from __future__ import annotations

from dataclasses import replace

from tuner.storage import ProofTerms
from tuner.study.anchors import spread_seen
from tuner.study.confirmation import Session
from tuner.study.measurer import Measurer
from tuner.study.ranking import preferred_position


class Confirming:
    """The last part of a run."""

    def __init__(self, measurer: Measurer) -> None:
        self._measurer = measurer
        self.launched_now = False
        """Whether this run made a launch."""

    def run(self) -> None:
        """Launch what is not stored yet, until the answer is sure, the launches are made or the time is up.

        Each launch has exactly what an export of it has, and is stored as it ends. Raises HostError.
        """
        measurer = self._measurer
        session = self._session()
        while (launch := session.next_launch()) is not None:
            measurer.history.confirmation_left = session.launches_left
            if (why := measurer.out_of_time()) is not None:
                measurer.watcher.on_note(
                    f"{why} before the answer is sure: the same command with more time goes on from here",
                    warning=True,
                )
                return
            subject = launch.contender
            record = measurer.measure(
                f"confirmation {launch.block + 1} of {subject.name}",
                None,
                subject.record.config,
                subject.record.identity,
                ("confirmations", launch.folder),
                launch.seed,
                as_deployed=True,
            )
            measurer.raise_for_host(record)
            measurer.store.store_confirmation(launch.key, record)
            session.add(launch, record)
            measurer.history.confirmation_spans_s.append(
                record.durations.launch_s + record.durations.measure_s
            )
            self.launched_now = True
            measurer.watcher.on_record(record)
            measurer.account()

    def _session(self) -> Session:
        """The one that was begun, on its own terms, while its finalists are the ones that lead.

        A host that was calibrated since has told of a noise floor that holds for what was launched, too.
        """
        measurer, now = self._measurer, self._terms()
        stored = measurer.store.confirmations()
        begun = measurer.store.proof_terms
        if begun is not None:
            begun = replace(begun, floors={**begun.floors, **now.floors})
            if (session := measurer.history.session(stored, begun)).launched:
                measurer.store.store_proof_terms(begun)
                return session
        measurer.store.store_proof_terms(now)
        return measurer.history.session(stored, now)

    def _terms(self) -> ProofTerms:
        """Those of the plan; a host that was noisier than usual during the search has more finalists."""
        plan = self._measurer.plan
        position = preferred_position(plan.objectives, plan.prefer)
        seen = spread_seen(self._measurer.history, position or 0, plan.spread)
        if seen is None or plan.spread is not None:
            return plan.proof.terms
        return replace(plan.proof.terms, log_sd=max(plan.proof.terms.log_sd, seen.log_sd))
