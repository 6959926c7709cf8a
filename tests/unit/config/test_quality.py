"""`quality` in the study file: when it is judged without being said, its limit, its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.study_text import VALID, load, write
from tuner.config import load_study
from tuner.config.layers import Layer
from tuner.config.quality import changes_results
from tuner.errors import StudyFileError
from tuner.model.quality import QualityPlan

KV = '    cache-type-v: {values: [f16, q8_0], when: {flash-attn: "on"}}\n'
NOTHING = (KV, "")
LIMIT = "quality.mean_kld <= 0.01"


def _with(folder: Path, line: str, *changes: tuple[str, str]) -> StudyFileError:
    text = VALID + line
    for old, new in changes:
        text = text.replace(old, new)
    with pytest.raises(StudyFileError) as failure:
        load_study(write(folder, text))
    return failure.value


def _limits(study: object) -> list[str]:
    return [text for text in map(str, getattr(study, "constraint_expressions", ())) if "quality." in text]


def test_judged_with_a_limit_where_the_space_changes_results(tmp_path: Path) -> None:
    study = load(tmp_path)
    assert study.result_changers == ("space.args.cache-type-v",)
    assert study.quality_plan == QualityPlan()
    assert _limits(study) == [LIMIT]


def test_not_judged_where_nothing_changes_results(tmp_path: Path) -> None:
    study = load(tmp_path, NOTHING)
    assert (study.result_changers, study.quality_plan, _limits(study)) == ((), None, [])


def test_a_baseline_that_changes_results_counts_too(tmp_path: Path) -> None:
    study = load(tmp_path, NOTHING, ("mlock: false}", "mlock: false, cache-type-k: q4_0}"))
    assert study.result_changers == ("baselines.today.args.cache-type-k",)
    assert study.quality_plan is not None


def test_a_limit_of_ones_own_replaces_the_default(tmp_path: Path) -> None:
    own = "quality.same_top >= 0.98"
    study = load(tmp_path, ('constraints: ["', f'constraints: ["{own}", "'))
    assert _limits(study) == [own]
    study = load(tmp_path, NOTHING, ('constraints: ["', f'constraints: ["{own}", "'))
    assert study.quality_plan == QualityPlan()


@pytest.mark.parametrize("word", ["off", "false", '"off"', "{judge: false}"])
def test_off_is_off(tmp_path: Path, word: str) -> None:
    study = load_study(write(tmp_path, f"{VALID}quality: {word}\n"))
    assert (study.quality_plan, _limits(study)) == (None, [])
    assert study.result_changers  # a study that goes without says so


def test_everything_may_be_said(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("a text")
    line = "quality: {text: own.txt, chunks: 8, context: 1024, method: http, timeout_minutes: 2}\n"
    study = load_study(write(tmp_path, VALID + line))
    assert study.quality_plan == QualityPlan(
        text=str(tmp_path / "own.txt"), chunks=8, context=1024, method="http", timeout_s=120
    )
    before = study.content_hash
    (tmp_path / "own.txt").write_text("another text")
    assert load_study(tmp_path / "study.yaml").content_hash != before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("quality: on\n", "write off, or a mapping"),
        ("quality: {method: perplexty}\n", "did you mean 'perplexity'"),
        ("quality: {chunk: 2}\n", "chunks"),
        ("quality: {chunks: 1, context: 128}\n", "63 positions, and 100 are needed"),
        ("quality: {text: none.txt}\n", "quality.text: none.txt"),
        ("quality: {text: .}\n", "is not a regular file"),
        ("quality: {timeout_minutes: 0}\n", "timeout_minutes"),
    ],
)
def test_mistakes_are_told_with_line_and_key(tmp_path: Path, line: str, said: str) -> None:
    error = _with(tmp_path, line)
    assert said in str(error)
    assert f"study.yaml:{VALID.count(chr(10)) + 1}: quality" in str(error)


@pytest.mark.parametrize(
    ("constraint", "line", "said"),
    [
        ("quality.mean_kdl <= 1", "", "did you mean 'mean_kld'"),
        ("quality.mean_kld <= 1", "quality: off\n", "quality is off; remove one"),
        ("quality.p99_9_kld <= 1", "quality: {chunks: 1}\n", "needs 1000 positions"),
    ],
)
def test_a_constraint_that_cannot_be_judged_is_refused(
    tmp_path: Path, constraint: str, line: str, said: str
) -> None:
    assert said in str(_with(tmp_path, line, ('constraints: ["', f'constraints: ["{constraint}", "')))


def test_no_workload_is_called_quality(tmp_path: Path) -> None:
    assert "quality" in str(_with(tmp_path, "", ("name: chat", "name: quality")))


@pytest.mark.parametrize(
    ("layer", "name", "values", "changes"),
    [
        ("args", "cache-type-k", ["f16", "q8_0"], True),
        ("args", "cache-type-v", ["f16"], False),
        ("args", "ubatch-size", [64, 128], False),
        ("args", "flash-attn", ["on", "off"], False),
        ("build", "GGML_CUDA_F16", [True, False], True),
        ("build", "GGML_CUDA_FORCE_CUBLAS", [False, True], True),
        ("build", "GGML_CUDA_FORCE_CUBLAS", [False, "OFF"], False),
        ("build", "GGML_CUDA_FORCE_MMQ", [True], True),
        ("build", "GGML_OPENMP", [True, False], False),
        ("build", "CMAKE_CUDA_FLAGS", ["", "-use_fast_math"], True),
        ("build", "CMAKE_CXX_FLAGS_RELEASE", ["-O3", "-Ofast"], True),
        ("build", "CMAKE_CXX_FLAGS", ["-O3", "-march=x86-64-v3"], False),
        ("env", "GGML_CUDA_MMQ_PREC", ["auto", "q4"], True),
        ("env", "GGML_CUDA_CUBLAS_COMPUTE_TYPE", ["f16"], True),
        ("env", "OMP_NUM_THREADS", [1, 2], False),
    ],
)
def test_what_changes_results(layer: Layer, name: str, values: list[object], changes: bool) -> None:
    assert changes_results(layer, name, values) is changes
