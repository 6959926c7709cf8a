"""The bound over HTTP, on a server that answers with known distributions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.quality.talking import Talk, talking
from tuner.clock import SystemClock
from tuner.errors import HostError, LaunchFailed, QualityFailed, UserError
from tuner.model import Settings, TrialConfig
from tuner.model.quality import QualityPlan
from tuner.quality import Divergence, HttpMethod, Reference, Subject

PLAN = QualityPlan(chunks=2, context=64)
REFERENCE = TrialConfig(build=Settings(), env=Settings(), args=Settings())
SUBJECT = TrialConfig(build=Settings(), env=Settings(), args=Settings({"cache-type-k": "q4_0"}))


def _compare(
    folder: Path, reference: Talk, subject: Talk, *, words: int = 200, plan: QualityPlan = PLAN
) -> Divergence:
    text = folder / "text.txt"
    text.write_text("one three seventeen " * (words // 3))

    @contextmanager
    def serve(config: TrialConfig, _log: Path) -> Iterator[str]:
        with talking(subject if config == SUBJECT else reference) as base_url:
            yield base_url

    method = HttpMethod(plan, serve=serve, clock=SystemClock())
    return method.compare(
        Subject(config=SUBJECT, folder=folder / "trial"),
        Reference(config=REFERENCE, text=text, folder=folder / "reference"),
    )


def test_each_position_of_llama_perplexity_is_asked_once_on_each_side(tmp_path: Path) -> None:
    reference, subject = Talk(), Talk()
    found = _compare(tmp_path, reference, subject)
    assert (found.positions, found.bound, found.same_top) == (2 * 31, True, 1.0)
    assert found.mean_kld == pytest.approx(0, abs=1e-12)
    for talk in (reference, subject):
        prompts = [body["prompt"] for path, body in talk.asked if path == "/completion"]
        assert [len(prompt) for prompt in prompts] == [*range(33, 64)] * 2
        assert {prompt[0] for prompt in prompts} == {1}  # BOS


def test_another_distribution_is_found(tmp_path: Path) -> None:
    assert 0.01 < _compare(tmp_path, Talk(), Talk(sharpness=1.5)).mean_kld < 0.2


@pytest.mark.parametrize(
    "fault", [(500, b"Compute error."), (200, b"{}"), (200, b'{"completion_probabilities": [{}]}')]
)
def test_a_subject_that_answers_something_else_has_a_reason(tmp_path: Path, fault: tuple[int, bytes]) -> None:
    with pytest.raises(QualityFailed, match="could not be asked for") as failure:
        _compare(tmp_path, Talk(), Talk(faults={"/completion": fault}))
    assert failure.value.reason == "quality-unknown"


def test_a_reference_that_has_no_log_probabilities_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="put a llama-perplexity beside it, or write `quality: off`"):
        _compare(tmp_path, Talk(faults={"/completion": (200, b"{}")}), Talk())


def test_a_text_that_is_too_short(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 99 tokens of this model, and 128"):
        _compare(tmp_path, Talk(), Talk(), words=99)


def test_one_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"quality\.timeout_minutes"):
        _compare(tmp_path, Talk(), Talk(), plan=QualityPlan(chunks=2, context=64, timeout_s=0))


def test_a_reference_that_does_not_start_is_the_hosts_trouble(tmp_path: Path) -> None:
    def serve(_config: TrialConfig, _log: Path) -> Iterator[str]:
        raise LaunchFailed("out of memory", reason="out-of-host-memory")

    (tmp_path / "text.txt").write_text("word " * 200)
    method = HttpMethod(PLAN, serve=contextmanager(serve), clock=SystemClock())
    with pytest.raises(HostError, match="out of memory"):
        method.compare(
            Subject(config=SUBJECT, folder=tmp_path),
            Reference(config=REFERENCE, text=tmp_path / "text.txt", folder=tmp_path),
        )
