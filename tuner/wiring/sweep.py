"""A throughput-latency curve from the figures of several levels of load, and its knee."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.model import ClosedLoop, Figure, OpenLoop, Workload
from tuner.stats import Knee, KneeVerdict, LoadPoint, find_knee
from tuner.wiring.bench import BenchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One level of load with what came of it."""

    level: float
    """Clients, or requests a second."""
    workload: Workload
    throughput: Figure
    """Output tokens a second."""
    latency: Figure
    """Median end-to-end latency: from the scheduled time where there is one, else from sending."""
    result: BenchResult

    def figure(self, name: str) -> Figure:
        """One of `FIGURES` at this level."""
        return self.result.score.figures[f"{self.workload.name}.{name}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Levels in ascending order."""

    levels: tuple[Level, ...]
    knee: KneeVerdict


def curve(result: BenchResult) -> Curve:
    """The levels are the result's workloads; one without values is no point, and no knee."""
    levels = tuple(sorted((_level(result, one) for one in result.workloads), key=lambda one: one.level))
    points = [
        LoadPoint(level=one.level, throughput=one.throughput.value, latency_s=one.latency.value)
        for one in levels
        if one.throughput.value is not None and one.latency.value is not None
    ]
    return Curve(levels=levels, knee=find_knee(points))


def describe_knee(found: Curve) -> str:
    """The verdict as a sentence."""
    knee = found.knee
    what = "requests/s" if not _closed(found) else "client" if knee.level == 1 else "clients"
    level = "" if knee.level is None else f"{knee.level:g} {what}"
    match knee.verdict:
        case Knee.FOUND:
            return f"the knee is at {level}: there throughput / latency is highest"
        case Knee.BEYOND:
            return f"the knee is at {level} or beyond: more load still paid at the highest level"
        case Knee.BELOW:
            return f"the knee is at {level} or below: more load did not pay from the lowest level on"
        case Knee.FLAT:
            return "no knee: throughput / latency hardly depends on the load in this range"
        case Knee.TOO_FEW:
            return "no knee: it takes three levels with figures to look for one"


def _closed(found: Curve) -> bool:
    return all(isinstance(level.workload, ClosedLoop) for level in found.levels)


def _level(result: BenchResult, workload: Workload) -> Level:
    figures = result.score.figures
    match workload:
        case ClosedLoop(clients=clients):
            level: float = clients
        case OpenLoop(rate_rps=rate_rps):
            level = rate_rps
        case _:
            raise AssertionError("a trace has no level")
    latency = "scheduled_e2e_p50_s" if workload.scheduled else "e2e_p50_s"
    return Level(
        level=level,
        workload=workload,
        throughput=figures[f"{workload.name}.output_tokens_per_s"],
        latency=figures[f"{workload.name}.{latency}"],
        result=result,
    )
