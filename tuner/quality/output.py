"""llama-perplexity's statistics, as text and as values.

Printed by `kl_divergence` in tools/perplexity/perplexity.cpp (examples/perplexity until 2025). The wording
of the lines that are read is the same in the trees of October 2024, August 2025 and November 2026; numbers of
blanks, a log prefix in front and colours are tolerated. Below 100 positions it prints no statistics at all,
and after an error inside it still exits with 0: what counts is that the lines are there.
"""

from __future__ import annotations

import math
import re

from tuner.quality.divergence import Divergence

_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def parse_output(text: str, positions: int) -> Divergence | None:
    """The comparison over `positions`; None when the lines that matter are missing or are not numbers.

    Log-probabilities of the reference are kept in 16 bits, so that a configuration compared with itself may
    show a mean just below zero: the divergence itself cannot be negative, and 0 is what is told.
    """
    plain = _ESCAPE.sub("", text)
    mean = _pair(r"Mean\s+KLD:", plain)
    same = _pair(r"Same\s+top\s+p:", plain)
    most = _single(r"Maximum\s+KLD:", plain)
    if mean is None or same is None or most is None:
        return None
    return Divergence(
        positions=positions,
        mean_kld=max(0.0, mean[0]),
        mean_kld_se=mean[1],
        p99_kld=_tail(_single(r"99(?:\.0)?%\s+KLD:", plain)),
        p99_9_kld=_tail(_single(r"99\.9%\s+KLD:", plain)),
        max_kld=max(0.0, most),
        same_top=same[0] / 100,
        same_top_se=same[1] / 100,
    )


def _tail(value: float | None) -> float | None:
    return None if value is None else max(0.0, value)


def _pair(label: str, text: str) -> tuple[float, float] | None:
    """`LABEL value ± uncertainty`, the last one printed."""
    found = re.findall(rf"{label}\s*{_NUMBER}\s*(?:±|\+/-|\S{{1,3}})\s*{_NUMBER}", text)
    if not found:
        return None
    value, uncertainty = float(found[-1][0]), float(found[-1][1])
    return (value, uncertainty) if math.isfinite(value) and math.isfinite(uncertainty) else None


def _single(label: str, text: str) -> float | None:
    found = re.findall(rf"{label}\s*{_NUMBER}", text)
    if not found or not math.isfinite(float(found[-1])):
        return None
    return float(found[-1])
