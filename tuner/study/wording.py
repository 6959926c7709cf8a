"""What was found, in words: the same for the terminal, an exported folder and a report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tuner.model import Direction, Objective
from tuner.stats import Comparison, Fate
from tuner.storage import TrialRecord
from tuner.study.confirmation import Finalist
from tuner.units import format_percent

FATES = {
    Fate.RUNNING: "",
    Fate.WORSE: "proven worse than a baseline",
    Fate.BEHIND: "proven worse than another finalist",
    Fate.TOO_SMALL: "its gain, if any, is below this host's noise floor",
    Fate.HOPELESS: "the launches that were left would hardly have shown a gain",
}


def verdict(comparison: Comparison) -> str:
    """'proven better [+6.0 %, +10.3 %]', 'cannot tell', … as a sentence fragment."""
    interval = interval_text(comparison)
    match comparison.verdict:
        case "faster":
            return f"proven better{interval}"
        case "slower":
            return f"proven worse{interval}"
        case _:
            return f"cannot tell{interval}"


def interval_text(comparison: Comparison) -> str:
    """' [+6.0 %, +10.3 %]' with its blank; empty where there is none."""
    if comparison.low is None or comparison.high is None:
        return ""
    ends = (format_percent(end - 1, signed=True) for end in (comparison.low, comparison.high))
    return f" [{', '.join(ends)}]"


def finalist_line(finalist: Finalist) -> str:
    """'Finalist trial 3, 5 launches: +8.1 % …' with why it is out."""
    found = finalist.confirmations[0] if finalist.confirmations else None
    told = "not launched afresh" if not finalist.launches else f"{finalist.launches} launches"
    if found is not None:
        difference = format_percent(found.comparison.ratio - 1, signed=True)
        told += f", {found.objective.figure} {difference}{interval_text(found.comparison)}"
    why = f"it broke a constraint or failed: {finalist.out}" if finalist.out else ""
    if finalist.fate is not None:
        why = FATES[finalist.fate]
    return f"Finalist {finalist.record.label}: {told}{f'; out, {why}' if why else ''}."


def wanted(objective: Objective) -> str:
    """'load.output_tokens_per_s (higher is better)'."""
    direction = "higher" if objective.direction is Direction.MAXIMIZE else "lower"
    return f"{objective.figure} ({direction} is better)"


def typical(values: Sequence[float]) -> float:
    """What a comparison's ratio is of."""
    return statistics.geometric_mean(values) if min(values) > 0 else statistics.fmean(values)


def describe_config(record: TrialRecord) -> str:
    """'GGML_OPENMP=false, ubatch-size=256', or 'llama.cpp's defaults'."""
    layers = (record.config.build, record.config.env, record.config.args)
    parts = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for layer in layers
        for name, value in layer.items()
    ]
    return ", ".join(parts) or "llama.cpp's defaults"
