"""What should I deploy?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from tuner.report.material import DEFAULTS, Material, typical_text
from tuner.report.parts import Bullets, Code, Missing, Part, Section, Text, Verdict
from tuner.study import DEFAULT_BASELINE, Confirmation, Outcome, Summary
from tuner.study.wording import describe_config, interval_text
from tuner.units import format_duration, format_percent


def answer(material: Material) -> Section:
    """The verdict in one paragraph, and the command."""
    return Section(key="answer", title="What should I deploy?", parts=tuple(_parts(material)))


def _parts(material: Material) -> Iterator[Part]:
    study, summary = material.study, material.study.summary
    if summary.best is None:
        yield Verdict(study.verdict, "neutral" if summary.baseline is None or summary.front else "bad")
        yield from _progress(material)
        return
    tone = "good" if summary.outcome is Outcome.PROVEN_GAIN else "neutral"
    yield Verdict(" ".join([study.verdict, *_numbers(summary)]), tone)
    yield from _progress(material)
    yield Text(f"Settings of {summary.best.label}: {describe_config(summary.best)}.")
    if summary.command:
        yield Code("Start it with", summary.command)
    else:
        yield Missing(f"{summary.best.label} was never launched, so there is no command.")
    yield Code("Write what deploys it", f"tuner export {shlex.quote(summary.name)} --out deploy")
    if flags := material.measured(summary.best).flags:
        yield Text(f"What to know of the measurement of {summary.best.label}:")
        yield Bullets(tuple(flags))


def _numbers(summary: Summary) -> Iterator[str]:
    """Of the finalist against each baseline, from the fresh launches."""
    if summary.challenger is None:
        return
    for confirmation in summary.confirmations:
        yield number_sentence(summary.challenger.label, confirmation)
    if summary.confirmations:
        yield "All intervals of one objective hold together, with 99 % confidence."


def number_sentence(label: str, confirmation: Confirmation) -> str:
    """One comparison with its values, ratio and interval."""
    objective, found = confirmation.objective, confirmation.comparison
    against = DEFAULTS if confirmation.against == DEFAULT_BASELINE else f"baseline {confirmation.against}"
    launches = len(confirmation.challenger)
    interval = interval_text(found) or ", too few launches for an interval"
    return (
        f"In {launches} fresh launches each, {label} measured "
        f"{typical_text(objective, confirmation.challenger)} in "
        f"{objective.figure} and {against} {typical_text(objective, confirmation.baseline)}: "
        f"{format_percent(found.ratio - 1, signed=True)}{interval}."
    )


def _progress(material: Material) -> Iterator[Part]:
    """What is not finished."""
    status = material.study.status
    if status.running:
        yield Text(
            f"The study is not finished: {status.running} trials have begun and not ended, "
            f"{status.charged} count so "
            f"far, after {format_duration(status.elapsed_s)}. This page is of one moment; write it again "
            "later."
        )
    elif material.study.summary.outcome is Outcome.NOT_CONFIRMED and status.charged:
        yield Text(
            "Figures are of the search itself, and the best of many noisy measurements was lucky: run the "
            "same "
            "command again to have finalists launched afresh."
        )
