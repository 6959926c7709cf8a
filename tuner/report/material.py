"""What the sections of a report draw on: the study, and the configurations that the answer is between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tuner.model import Figure, Objective, kind_of
from tuner.report.palette import BASELINE, OTHER, WINNER
from tuner.report.samples import Samples
from tuner.report.study import Study
from tuner.stats import median
from tuner.storage import TrialRecord
from tuner.study import DEFAULT_BASELINE, preferred_position
from tuner.study.lines import objective_text
from tuner.study.wording import typical
from tuner.units import format_figure

DEFAULTS = "llama.cpp's defaults"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One configuration that the answer is between, with the launches that speak for it."""

    name: str
    colour: str
    record: TrialRecord
    launches: tuple[TrialRecord, ...]
    """Its confirmation launches; before the confirmation its own measurement."""

    def figures(self, name: str) -> tuple[Figure, ...]:
        """One for each launch."""
        return tuple(launch.figures[name] for launch in self.launches if name in launch.figures)

    def values(self, name: str) -> list[float]:
        """Of the launches that have one."""
        return [figure.value for figure in self.figures(name) if figure.value is not None]

    def missing(self, name: str) -> str:
        """Why there is no value."""
        reasons = [figure.missing for figure in self.figures(name) if figure.missing]
        return reasons[0] if reasons else f"{self.name} has not been measured"

    def cell(self, name: str) -> str:
        """'1,346 tok/s [1,317, 1,380]': the median of its launches, the lowest and the highest."""
        values = self.values(name)
        if not values:
            return "–"
        kind = kind_of(name)
        unit = kind.unit if kind else "1"
        middle = format_figure(median(values), unit)
        if len(values) < 2:
            return middle
        ends = [format_figure(end, unit) for end in (min(values), max(values))]
        return middle if ends == [middle, middle] else f"{middle} [{', '.join(ends)}]"


class Material:
    """Derived once, used by all sections."""

    def __init__(self, study: Study) -> None:
        self.study = study

    @cached_property
    def position(self) -> int | None:
        """Which objective decides; None when that was left open."""
        return preferred_position(self.study.objectives, self.study.store.prefer)

    @cached_property
    def objective(self) -> Objective:
        """The deciding one, or the first."""
        return self.study.objectives[self.position or 0]

    def text(self, value: float) -> str:
        """A value of the objective with its unit."""
        return objective_text(self.objective, value)

    @cached_property
    def contenders(self) -> tuple[Contender, ...]:
        """The defaults, the other baselines, then the finalist that won or came closest."""
        return tuple(self._contenders())

    @cached_property
    def challenger(self) -> Contender | None:
        """The finalist among them."""
        return next((one for one in self.contenders if one.colour == WINNER), None)

    @cached_property
    def samples(self) -> Samples:
        """Raw samples of the contenders' launches: those of all trials would not fit everywhere."""
        return self.study.read_samples(
            launch for contender in self.contenders for launch in contender.launches
        )

    @cached_property
    def workloads(self) -> tuple[str, ...]:
        """As the figures name them, in the study file's order."""
        names = (name for record in self.study.records for name in record.figures)
        return tuple(
            dict.fromkeys(where for name in names if (where := name.rpartition(".")[0]) != "quality")
        )

    def measured(self, record: TrialRecord) -> TrialRecord:
        """Itself, or the record whose measurement it shares."""
        return self._by_label.get(record.reused_from or record.label, record)

    @cached_property
    def _by_label(self) -> dict[str, TrialRecord]:
        return {record.label: record for record in reversed(self.study.records)}

    @cached_property
    def _launches(self) -> dict[str, list[TrialRecord]]:
        """Confirmation launches that the verdict is of, by identity."""
        table = self.study.confirmations
        stored = list(self.study.store.confirmations().values())
        found: dict[str, list[TrialRecord]] = {}
        if not table.empty:
            for index in table.index[table["current"]]:
                record = stored[int(index)]
                if record.measured:
                    found.setdefault(record.identity, []).append(record)
        return found

    def _contenders(self) -> Iterator[Contender]:
        baselines = sorted(self.study.store.baselines().items(), key=lambda item: item[0] != DEFAULT_BASELINE)
        for name, record in baselines:
            default = name == DEFAULT_BASELINE
            yield self._contender(
                DEFAULTS if default else f"baseline {name}", BASELINE if default else OTHER, record
            )
        challenger = self.study.summary.challenger
        if challenger is not None:
            yield self._contender(challenger.label, WINNER, challenger)

    def _contender(self, name: str, colour: str, record: TrialRecord) -> Contender:
        fresh = tuple(self._launches.get(record.identity, ()))
        own = self.measured(record)
        launches = fresh or ((own,) if own.measured else ())
        return Contender(name=name, colour=colour, record=record, launches=launches)


def typical_text(objective: Objective, values: tuple[float, ...]) -> str:
    """The mean that a comparison's ratio is of."""
    return objective_text(objective, typical(values))
