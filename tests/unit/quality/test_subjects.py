"""Which configurations answer the same, and what the reference is."""

from __future__ import annotations

import pytest

from tuner.model import Settings, TrialConfig
from tuner.quality import reference_config, subject_config


def _config(args: dict[str, str | int | bool], **env: str) -> TrialConfig:
    return TrialConfig(build=Settings(GGML_NATIVE=True), env=Settings(env), args=Settings(args))


def test_what_changes_no_answer_is_left_out() -> None:
    plain = _config({"flash-attn": "on"})
    busy = _config(
        {"flash-attn": "on", "parallel": 8, "threads": 2, "ubatch-size": 64, "cache-type-k": "f16"},
        OMP_NUM_THREADS="2",
    )
    assert subject_config(busy) == subject_config(plain) == plain


@pytest.mark.parametrize(
    "args",
    [{"cache-type-k": "q8_0"}, {"flash-attn": "off"}, {"rope-scale": 2}, {"n-gpu-layers": 0}, {"new-one": 1}],
)
def test_what_may_change_an_answer_stays(args: dict[str, str | int | bool]) -> None:
    assert subject_config(_config(args)).args == Settings(args)


def test_the_environment_may_change_an_answer() -> None:
    assert subject_config(_config({}, GGML_CUDA_CUBLAS_COMPUTE_TYPE="f16")).env


def test_the_reference_has_an_f16_cache_whatever_is_fixed() -> None:
    fixed = _config({"cache-type-k": "q4_0", "cache-type-v": "q4_0", "flash-attn": "on", "parallel": 4})
    assert reference_config(fixed) == _config({"flash-attn": "on"})
