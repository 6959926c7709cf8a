"""What mattered, and what did not?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import pandas as pd
from matplotlib.figure import Figure as Canvas

from tuner.model import Direction
from tuner.report.effects import TOLERANCE, Effect, Finding, effects_of
from tuner.report.frames import LAYERS
from tuner.report.importance import importances
from tuner.report.material import Material
from tuner.report.palette import OTHER, WINNER
from tuner.report.parts import Bullets, Layout, Missing, Part, Picture, Section, Table, Text
from tuner.report.shown import short
from tuner.units import format_percent

_SHOWN = 12


def matters(material: Material) -> Section:
    """Importance beside measured effect, and a plain list of what need not be thought about."""
    return Section(key="matters", title="What mattered, and what did not?", parts=tuple(_parts(material)))


def tolerance_of(material: Material) -> float:
    """What is too small to matter."""
    return max(TOLERANCE, material.study.summary.floors.get(material.objective.figure, 0.0))


def _parts(material: Material) -> Iterator[Part]:
    trials = _comparable(material)
    tolerance = tolerance_of(material)
    found = _effects(material, trials, tolerance)
    if not found:
        yield Missing(f"{len(trials)} trials that can be trusted do not differ in anything that was searched")
        return
    told = importances(material)
    by_name = told if isinstance(told, Mapping) else {}
    if isinstance(told, str):
        yield Missing(f"no importances: {told}")
    names = sorted(found, key=lambda name: -by_name.get(name, 0.0))
    yield Table(
        caption=f"Settings that were searched, and what each did to {material.objective.figure}",
        columns=("setting", "values", "importance", "best", "worst", "measured effect", "finding"),
        rows=tuple(_row(found[name], by_name.get(name)) for name in names),
    )
    drawn = [found[name] for name in names if found[name].ratio is not None][:_SHOWN]
    if drawn:
        yield _picture(material, drawn, by_name)
    yield Text(
        f"Over {len(trials)} trials that can be trusted. Importance is Optuna's (PED-ANOVA): which "
        "parameters set "
        "the best tenth of the trials apart; it sums to 1, also where nothing matters, and it is blind to "
        "what "
        "all good trials share. The measured effect is how much better the best value is than the worst, "
        "other "
        "settings being equal, in a model in which settings multiply, with an interval of 95 % over all "
        "values of "
        "the setting. Neither is a proof: tuner compare is one."
    )
    idle = [effect for effect in found.values() if effect.finding is Finding.DOES_NOT_MATTER]
    yield Text(
        f"Does not matter here (no value differs from another by {format_percent(tolerance)} or more):"
    )
    if idle:
        yield Bullets(tuple(_idle(effect) for effect in idle))
    else:
        yield Missing("no setting was shown to make no difference: these trials are too few or too noisy")
    yield from _equal(material)


def _comparable(material: Material) -> pd.DataFrame:
    """One row for each measurement of the search that can be trusted."""
    trials = material.study.trials
    if trials.empty or material.objective.figure not in trials:
        return trials.iloc[:0]
    positive = trials[material.objective.figure] > 0
    return trials[trials["trusted"] & trials["reused_from"].isna() & positive]


def _effects(material: Material, trials: pd.DataFrame, tolerance: float) -> dict[str, Effect]:
    if len(trials) < 2:
        return {}
    # A workload may have a layer's name: settings are what configurations hold.
    effects = effects_of(
        trials[sorted(_searched(material))],
        trials[material.objective.figure].tolist(),
        maximize=material.objective.direction is Direction.MAXIMIZE,
        tolerance=tolerance,
    )
    return {effect.name: effect for effect in effects}


def _searched(material: Material) -> set[str]:
    return {
        f"{layer}.{name}"
        for record in material.study.store.trials()
        for layer in LAYERS
        for name in getattr(record.config, layer)
    }


def _row(effect: Effect, importance: float | None) -> tuple[str, ...]:
    return (
        effect.name,
        str(effect.values),
        "–" if importance is None else f"{importance:.2f}",
        effect.best,
        effect.worst,
        _effect_text(effect),
        effect.finding.value,
    )


def _effect_text(effect: Effect) -> str:
    if effect.ratio is None:
        return "– (never varied apart from other settings)"
    text = format_percent(effect.ratio - 1, signed=True)
    if effect.low is None or effect.high is None or math.isinf(effect.high):
        return f"{text} (too few trials for an interval)"
    ends = (format_percent(end - 1, signed=True) for end in (effect.low, effect.high))
    return f"{text} [{', '.join(ends)}]"


def _idle(effect: Effect) -> str:
    return (
        f"{effect.name}: {effect.values} values, {_effect_text(effect)} from {effect.worst} to {effect.best}"
    )


def _equal(material: Material) -> Iterator[Part]:
    """Settings in which a trial differs from the one whose measurement it shares."""
    found: dict[str, int] = {}
    for record in material.study.store.trials():
        if record.reused_from is None:
            continue
        source = material.measured(record)
        for layer in LAYERS:
            mine, theirs = getattr(record.config, layer), getattr(source.config, layer)
            for name in {*mine, *theirs}:
                if mine.get(name) != theirs.get(name):
                    found[f"{layer}.{name}"] = found.get(f"{layer}.{name}", 0) + 1
    if found:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(found.items(), key=lambda i: -i[1]))
        yield Text(
            "Without effect for certain: proposals that differed from an earlier one in these, and were "
            "the same "
            f"program with the same settings all the same (how many): {listed}."
        )


def _picture(material: Material, rows: list[Effect], told: Mapping[str, float]) -> Picture:
    def draw(canvas: Canvas, layout: Layout) -> None:
        left, right = canvas.subplots(2, 1) if layout.narrow else canvas.subplots(1, 2, sharey=True)
        places = range(len(rows))
        names = [short(effect.name) for effect in reversed(rows)]
        left.barh(places, [told.get(effect.name, 0.0) for effect in reversed(rows)], color=OTHER, height=0.6)
        left.set_xlabel("importance (Optuna, PED-ANOVA)")
        for axes in (left, right):
            axes.set_yticks(places, names)
            axes.grid(visible=False, axis="y")
            axes.margins(y=0.08)
        for place, effect in enumerate(reversed(rows)):
            middle = ((effect.ratio or 1) - 1) * 100
            if effect.low is not None and effect.high is not None and math.isfinite(effect.high):
                right.plot([(effect.low - 1) * 100, (effect.high - 1) * 100], [place, place], color=WINNER)
            right.plot([middle], [place], "D", color=WINNER)
        right.axvspan(-100 * tolerance_of(material), 100 * tolerance_of(material), color=OTHER, alpha=0.15)
        right.set_xlabel("best value over worst, %")

    return Picture(
        name="importance",
        title="Importance and measured effect",
        alt="; ".join(
            f"{effect.name}: importance {told.get(effect.name, 0):.2f}, effect {_effect_text(effect)}"
            for effect in rows
        ),
        caption=(
            "Left, what Optuna makes of the trials; right, how much the best value gained over the worst, "
            "with "
            "its interval. In the band a difference is too small to matter."
        ),
        draw=draw,
        height=0.14 + 0.055 * max(2, len(rows)),
        narrow_height=0.5 + 0.18 * max(2, len(rows)),
    )
