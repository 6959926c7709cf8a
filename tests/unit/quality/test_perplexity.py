"""llama-perplexity as a program: what it is asked, what it answers, and every way in which it fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import install_fake_perplexity, perplexity_calls
from tuner.errors import DiskFull, HostError, QualityFailed, UserError
from tuner.model import Settings, TrialConfig
from tuner.model.quality import QualityPlan
from tuner.quality import PerplexityMethod, Reference, Subject
from tuner.wiring.quality import explain, invoke

VOCAB = 320
PLAN = QualityPlan(chunks=2, context=128, timeout_s=60)


class Case:
    """A method on a fake program, with a reference and subjects."""

    def __init__(self, folder: Path, plan: QualityPlan = PLAN, *, words: int = 300, **behaviour: Any) -> None:
        self.program = install_fake_perplexity(folder / "bin", vocab_size=VOCAB, **behaviour)
        self.folder = folder
        text = folder / "text.txt"
        text.write_text("word " * words)
        self.reference = Reference(config=_config(), text=text, folder=folder / "reference")
        self.method = PerplexityMethod(
            folder / "model.gguf",
            VOCAB,
            plan,
            obtain=lambda _config, _folder: self.program,
            invoke=lambda program, config: invoke(program, config, Settings(threads=3)),
            explain=explain,
        )

    def compare(self, **args: str) -> float:
        folder = self.folder / "trial"
        folder.mkdir(exist_ok=True)
        return self.method.compare(Subject(config=_config(**args), folder=folder), self.reference).mean_kld

    @property
    def base(self) -> Path:
        return self.folder / "reference" / "reference.kld"


def _config(**args: str) -> TrialConfig:
    named = {name.replace("_", "-"): value for name, value in args.items()}
    return TrialConfig(build=Settings(), env=Settings(), args=Settings(named))


def test_one_pass_of_the_reference_and_one_of_each_subject(tmp_path: Path) -> None:
    case = Case(tmp_path)
    assert case.compare(cache_type_v="q4_0", flash_attn="on") == 0.05
    assert case.compare(cache_type_v="q8_0") == 0.001
    written, first, second = perplexity_calls(case.program)
    assert written[written.index("--save-all-logits") + 1] == str(case.base)
    assert written[written.index("--chunks") + 1] == "2"
    assert "--cache-type-v" not in written
    for call in (first, second):
        assert call[call.index("--kl-divergence-base") + 1] == str(case.base)
        assert call[call.index("--threads") + 1] == "3"
        assert (call[call.index("-c") + 1], call[call.index("-b") + 1]) == ("128", "128")
    assert first[first.index("--flash-attn") + 1] == "on"
    assert "llama-perplexity" in (tmp_path / "trial" / "quality.log").read_text()
    case.method.close()
    assert not case.base.exists()


def test_what_a_killed_run_left_is_not_taken_for_the_reference(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.base.parent.mkdir()
    case.base.write_bytes(b"another reference")
    case.compare()
    assert len(perplexity_calls(case.program)) == 2


def test_lines_that_were_lost_at_its_exit_are_asked_for_again(tmp_path: Path) -> None:
    case = Case(tmp_path, fault="silent", fault_when="comparing and number < 3")
    assert case.compare() == 0.001
    assert len(perplexity_calls(case.program)) == 4


@pytest.mark.parametrize(
    ("behaviour", "reason", "said", "passes"),
    [
        ({"fault": "crash"}, "crashed", "exit code 134", 1),
        ({"fault": "garbage"}, "quality-unknown", "without its statistics", 4),
        ({"fault": "silent"}, "quality-unknown", "says nothing of why", 4),
        (
            {"fault": "exit", "log": "ggml_backend_cuda: CUDA error: out of memory"},
            "out-of-device-memory",
            "out of memory",
            1,
        ),
        (
            {"fault": "exit", "log": "llama_init_from_model: V cache quantization requires flash_attn"},
            "kv-type-needs-flash-attention",
            "exit code 1",
            1,
        ),
    ],
)
def test_failures_of_a_subject_have_a_reason(
    tmp_path: Path, behaviour: dict[str, Any], reason: str, said: str, passes: int
) -> None:
    case = Case(tmp_path, PLAN, words=300, fault_when="comparing", **behaviour)
    with pytest.raises(QualityFailed, match=said) as failure:
        case.compare(cache_type_v="q4_0")
    assert failure.value.reason == reason
    assert str(tmp_path / "trial" / "quality.log") in str(failure.value)
    assert len(perplexity_calls(case.program)) == 1 + passes


def test_one_that_hangs_is_stopped(tmp_path: Path) -> None:
    plan = QualityPlan(chunks=2, context=128, timeout_s=2)
    case = Case(tmp_path, plan, fault="hang", fault_when="comparing")
    with pytest.raises(QualityFailed, match=r"longer than 2 s and was stopped: raise `quality\.timeout_min"):
        case.compare()


@pytest.mark.parametrize("fault", ["crash", "exit", "garbage", "silent", "cut"])
def test_a_reference_that_fails_stops_the_study_and_says_what_to_do(tmp_path: Path, fault: str) -> None:
    case = Case(tmp_path, fault=fault, fault_when="not comparing", log="failed to load model, '/m.gguf'")
    with pytest.raises(HostError, match="quality: off"):
        case.compare()
    assert not case.base.exists()


@pytest.mark.parametrize("words", [20, 280])
def test_a_text_that_is_too_short_is_the_users(tmp_path: Path, words: int) -> None:
    case = Case(tmp_path, QualityPlan(chunks=4, context=128), words=words)
    with pytest.raises(UserError, match=r"text\.txt, is too short: 512 tokens"):
        case.compare()


def test_a_disk_without_room_is_told_before_the_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Callable[[int], Path]
) -> None:
    folder = small_disk(1 << 20)
    case = Case(tmp_path)
    case.reference = Reference(config=_config(), text=case.reference.text, folder=folder / "reference")
    with pytest.raises(DiskFull, match=r"lower `quality\.chunks`"):
        case.compare()
    assert perplexity_calls(case.program) == []
    shutil.rmtree(folder / "reference")
