"""Finalists and baselines, launched afresh in blocks: what is to be launched, and what the launches say.

The best of N noisy measurements is biased upward: it was chosen for having been lucky. So the difference
that a study reports comes from launches made after the choice, on which the choice did not depend. Which of
the finalists wins is decided on those launches as well, by intervals that hold for all of them together
(`tuner.stats.finalists`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuner.model import Direction, Objective, digest
from tuner.stats import Block, Comparison, Contest, Fate, Rules, compare_in_blocks, comparisons_of, judge
from tuner.storage import ProofTerms, TrialRecord
from tuner.study.ranking import preferred_position
from tuner.study.samplers import derive_seed

_KEY = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a study asks of its answer."""

    objectives: tuple[Objective, ...]
    prefer: str | None
    terms: ProofTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A configuration that is launched afresh."""

    record: TrialRecord
    """What the search or the measurement of the baselines made of it."""
    baseline: str | None
    """Its name, for a baseline."""

    @property
    def name(self) -> str:
        return self.baseline or self.record.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch that is to be made."""

    key: str
    contender: Contender
    block: int
    seed: int
    """The same within a block: everything in it answers the same prompts."""
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the fresh launches say about one objective of one finalist against one baseline."""

    objective: Objective
    against: str
    """The baseline's name."""
    baseline: tuple[float, ...]
    challenger: tuple[float, ...]
    """By block, in the same order; blocks that lack either are left out."""
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalist:
    """One finalist with all that its fresh launches say."""

    record: TrialRecord
    launches: int
    fate: Fate | None
    """None when it was put out: `out` says why."""
    out: str
    confirmations: tuple[Confirmation, ...]
    """Objectives of the default baseline first, then those of the other baselines."""


class Session:
    """The launches of one set of contenders. Another set is another session: nothing is carried over.

    Launches of one block belong together; a finalist chosen later has no part in earlier blocks.
    """

    def __init__(
        self,
        baselines: Mapping[str, TrialRecord],
        finalists: Sequence[TrialRecord],
        stored: Mapping[str, TrialRecord],
        proof: Proof,
    ) -> None:
        """`baselines`: the default first; `stored`: all confirmation launches of the study by their keys."""
        self._proof = proof
        distinct: dict[str, Contender] = {}
        for name, record in baselines.items():
            if record.measured:
                distinct.setdefault(record.identity, Contender(record=record, baseline=name))
        self.baselines = tuple(distinct.values())
        self.finalists = tuple(Contender(record=record, baseline=None) for record in finalists)
        everyone = (*self.baselines, *self.finalists)
        self.key = digest(*sorted(contender.record.identity for contender in everyone))[:16]
        self._blocks: list[dict[str, TrialRecord]] = []
        prefix = f"{_KEY}:{self.key}:"
        for key in sorted(key for key in stored if key.startswith(prefix)):
            block, identity = key.removeprefix(prefix).split(":")
            while len(self._blocks) <= int(block):
                self._blocks.append({})
            self._blocks[int(block)][identity] = stored[key]

    # --- what is to be launched --------------------------------------------------------------------

    def next_launch(self) -> Launch | None:
        """The next launch of the current block, or the first of a new one; None when it is settled."""
        if not self.finalists or not self.baselines or self._position is None:
            return None
        for block in (len(self._blocks) - 1, len(self._blocks)):
            if block < 0 or (block == len(self._blocks) and self.settled):
                continue
            for contender in self._order(block):
                identity = contender.record.identity
                if block == len(self._blocks) or identity not in self._blocks[block]:
                    return self._launch(contender, block)
        return None

    def add(self, launch: Launch, record: TrialRecord) -> None:
        """A launch that has been made and stored."""
        if launch.block == len(self._blocks):
            self._blocks.append({})
        self._blocks[launch.block][launch.contender.record.identity] = record

    def _launch(self, contender: Contender, block: int) -> Launch:
        identity = contender.record.identity
        return Launch(
            key=f"{_KEY}:{self.key}:{block:04d}:{identity}",
            contender=contender,
            block=block,
            seed=derive_seed(self._proof.terms.seed, 3, int(self.key[:8], 16), block),
            folder=f"{self.key[:8]}-{block:02d}-{identity[:12]}",
        )

    def _order(self, block: int) -> list[Contender]:
        """Everyone who takes part in a block, in an order by chance that is the same after a kill."""
        earlier = self._blocks[:block]
        still = {name for name, fate in self._fates(earlier).items() if fate is Fate.RUNNING}
        order = [c for c in self.finalists if c.record.identity in still] + list(self.baselines)
        chance = random.Random(derive_seed(self._proof.terms.seed, 5, int(self.key[:8], 16), block))  # noqa: S311
        chance.shuffle(order)
        return order

    # --- what the launches say ---------------------------------------------------------------------

    @property
    def _position(self) -> int | None:
        return preferred_position(self._proof.objectives, self._proof.prefer)

    @property
    def settled(self) -> bool:
        """Whether more launches would not change the answer."""
        contest = self.contest()
        return self.launched if contest is None else contest.settled

    @property
    def launches(self) -> int:
        """How many were made."""
        return sum(len(block) for block in self._blocks)

    @property
    def launches_left(self) -> int:
        """At most, if everybody stays in."""
        if not self.finalists or self.settled:
            return 0
        block = len(self._complete())
        begun = self._blocks[block] if block < len(self._blocks) else {}
        return len(self._order(block)) * (self._proof.terms.launches - block) - len(begun)

    @property
    def launched(self) -> bool:
        """Whether there is any launch to judge by."""
        return bool(self._blocks)

    def contest(self) -> Contest | None:
        """By the deciding objective; None without one, or when no finalist is left that could be judged."""
        position = self._position
        if position is None:
            return None
        return self._contest(self._complete(), position)

    def judged(self) -> tuple[Finalist, ...]:
        """All finalists, in their order."""
        fates, out = self._fates(self._complete()), self._out(self._blocks)
        return tuple(
            Finalist(
                record=contender.record,
                launches=sum(contender.record.identity in block for block in self._blocks),
                fate=fates.get(contender.record.identity),
                out=out.get(contender.record.identity, ""),
                confirmations=tuple(self._confirmations(contender)),
            )
            for contender in self.finalists
        )

    def _complete(self) -> list[dict[str, TrialRecord]]:
        """Without a block that is still being worked on."""
        for contender in self._order(len(self._blocks) - 1) if self._blocks else ():
            if contender.record.identity not in self._blocks[-1]:
                return self._blocks[:-1]
        return self._blocks

    def _out(self, blocks: Sequence[Mapping[str, TrialRecord]]) -> dict[str, str]:
        """Finalists that failed, broke a constraint or were bound by the client, and why."""
        found: dict[str, str] = {}
        for contender in self.finalists:
            for block in blocks:
                record = block.get(contender.record.identity)
                if record is not None and (not record.feasible or record.client_bound):
                    what = record.message or "the client was the bottleneck"
                    found.setdefault(contender.record.identity, what)
        return found

    def _fates(self, blocks: Sequence[Mapping[str, TrialRecord]]) -> dict[str, Fate]:
        """By identity; finalists that are out have none."""
        contest = None if self._position is None else self._contest(blocks, self._position)
        return {} if contest is None else {s.name: s.fate for s in contest.standings}

    def _contest(self, blocks: Sequence[Mapping[str, TrialRecord]], position: int) -> Contest | None:
        """Judged with those that are out taking no part, but counted among the comparisons."""
        out = self._out(blocks)
        running = [c.record.identity for c in self.finalists if c.record.identity not in out]
        if not running or not self.baselines:
            return None
        return judge(
            [_values(block, position) for block in blocks],
            baselines=[contender.record.identity for contender in self.baselines],
            finalists=running,
            rules=self._rules(self._proof.objectives[position]),
            entered=len(self.finalists),
        )

    def _rules(self, objective: Objective) -> Rules:
        return Rules(
            blocks=self._proof.terms.launches,
            higher_is_better=objective.direction is Direction.MAXIMIZE,
            floor=self._proof.terms.floors.get(objective.figure, 0.0),
        )

    def _confirmations(self, contender: Contender) -> Iterator[Confirmation]:
        """Over the blocks after which it was last looked at."""
        contest, mine = self.contest(), contender.record.identity
        standing = next((s for s in contest.standings if s.name == mine), None) if contest else None
        if standing is None:
            return
        records = self._complete()[: standing.blocks]
        for baseline in self.baselines:
            theirs = baseline.record.identity
            for position, objective in enumerate(self._proof.objectives):
                blocks = [_values(block, position) for block in records]
                comparison = compare_in_blocks(
                    blocks,
                    theirs,
                    mine,
                    rules=self._rules(objective),
                    comparisons=comparisons_of(len(self.finalists), len(self.baselines)),
                )
                both = [block for block in blocks if mine in block and theirs in block]
                if comparison is not None:
                    yield Confirmation(
                        objective=objective,
                        against=baseline.name,
                        baseline=tuple(block[theirs] for block in both),
                        challenger=tuple(block[mine] for block in both),
                        comparison=comparison,
                    )


def _values(block: Mapping[str, TrialRecord], position: int) -> Block:
    """What was measured of the server, by identity."""
    return {
        identity: record.objectives[position]
        for identity, record in block.items()
        if record.measured and not record.client_bound
    }
