"""Records as a study would store them, for what a report makes of them."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.model import Figure, Settings, TrialConfig, digest
from tuner.model.settings import Scalar
from tuner.storage import TrialRecord
from tuner.trial import TrialState


def record_of(
    number: int,
    figures: Mapping[str, float | Figure],
    *,
    build: Mapping[str, Scalar] | None = None,
    args: Mapping[str, Scalar] | None = None,
    build_key: str = "",
) -> TrialRecord:
    """A complete trial whose objectives are `figures`, in their order."""
    known = {n: f if isinstance(f, Figure) else Figure(value=f, samples=(f,)) for n, f in figures.items()}
    return TrialRecord(
        label=f"trial {number}",
        number=number,
        state=TrialState.COMPLETE,
        config=TrialConfig(build=Settings(build), args=Settings(args)),
        identity=digest(str(number)),
        figures=known,
        objectives=tuple(figure.value for figure in known.values() if figure.value is not None),
        build_key=build_key,
    )
