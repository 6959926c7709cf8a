"""What a study has shown, in sentences: for the terminal, an exported folder, a report."""

from __future__ import annotations

from tuner.storage import TrialRecord
from tuner.study.answer import Outcome
from tuner.study.summary import DEFAULT_BASELINE, Summary


def outcome_sentence(summary: Summary) -> str:
    """The answer, and what to keep where nothing was gained."""
    kept = _kept(summary)
    keep = "keep them" if summary.keep == DEFAULT_BASELINE else "keep that"
    if summary.best is not None and summary.outcome is not Outcome.PROVEN_GAIN:
        if summary.challenger is not None and summary.best.identity == summary.challenger.identity:
            keep = "but no baseline meets the constraints, and this does"
        elif summary.best.label != f"baseline {summary.keep}":
            keep = f"they break a constraint, so keep {summary.best.label}"
    match summary.outcome:
        case Outcome.PROVEN_GAIN:
            assert summary.challenger is not None  # noqa: S101  it is what gained
            return f"Proven gain: {summary.challenger.label} is better than {kept}."
        case Outcome.PROVEN_WORSE:
            return f"Proven worse: every finalist is worse than {kept}: {keep}."
        case Outcome.NO_PROVEN_GAIN:
            more = "" if summary.settled else " More launches might show one: run it again with more --hours."
            return f"No proven gain: nothing that was tried is shown to be better than {kept}: {keep}.{more}"
        case Outcome.NOT_CONFIRMED:
            return (
                f"Not confirmed: no finalist has been launched afresh beside {kept}, so nothing is proven: "
                f"{keep} until then."
            )


def is_proven(summary: Summary, record: TrialRecord) -> bool:
    """Whether fresh launches have shown this very configuration to be better than the baseline to keep."""
    return summary.outcome is Outcome.PROVEN_GAIN and _is_answer(summary, record)


def standing_sentence(summary: Summary, record: TrialRecord) -> str:
    """What the study has shown of one configuration, be it the answer or not."""
    if _is_answer(summary, record):
        return outcome_sentence(summary)
    if record.number is None:
        return f"{record.label} is a baseline: there is no gain in it."
    return f"{record.label} is not proven to be better than {_kept(summary)}: it was chosen by hand."


def _is_answer(summary: Summary, record: TrialRecord) -> bool:
    return summary.best is not None and record.identity == summary.best.identity


def _kept(summary: Summary) -> str:
    return "llama.cpp's defaults" if summary.keep == DEFAULT_BASELINE else f"baseline {summary.keep}"
