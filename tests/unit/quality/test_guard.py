"""Each configuration that answers the same is compared once, and never with another reference."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tuner.errors import HostError, LaunchFailed, UserError
from tuner.model import Settings, TrialConfig
from tuner.model.quality import QualityPlan
from tuner.quality import Divergence, DivergenceStore, QualityGuard, Reference, Subject, Unjudged

FOUND = Divergence(
    positions=500,
    mean_kld=0.02,
    mean_kld_se=0.001,
    p99_kld=0.3,
    p99_9_kld=None,
    max_kld=0.6,
    same_top=0.95,
    same_top_se=0.01,
)


class CountingMethod:
    """Answers the same for all, and keeps what it was asked."""

    name = "counting"

    def __init__(self, found: Divergence = FOUND) -> None:
        self.found = found
        self.asked: list[tuple[Subject, Reference]] = []
        self.closed = False

    def compare(self, subject: Subject, reference: Reference) -> Divergence:
        self.asked.append((subject, reference))
        return self.found

    def close(self) -> None:
        self.closed = True


def _config(**args: str | int) -> TrialConfig:
    named = {name.replace("_", "-"): value for name, value in args.items()}
    return TrialConfig(build=Settings(), env=Settings(), args=Settings(named))


def _no_server(_config: TrialConfig, log: Path) -> AbstractContextManager[str]:
    raise LaunchFailed("the port is in use", reason="port-in-use", log=str(log))


def _guard(
    folder: Path, method: CountingMethod, *, text: str | None = "a text", model: str = "m", chunks: int = 4
) -> QualityGuard:
    path = folder / "text.txt"
    if text is not None:
        path.write_text(text)
    return QualityGuard(
        QualityPlan(text=None if text is None else str(path), chunks=chunks),
        method,
        baseline=_config(flash_attn="on", cache_type_k="q8_0"),
        model_key=model,
        identify=lambda config: config.build.to_json(),
        serve=_no_server,
        store=DivergenceStore(folder=folder / "store"),
        texts=folder / "texts",
        folder=folder / "study",
        on_note=lambda _text: None,
    )


def test_equal_in_effect_is_compared_once_and_remembered(tmp_path: Path) -> None:
    method = CountingMethod()
    guard = _guard(tmp_path, method)
    first = guard.check(_config(flash_attn="on", cache_type_v="q4_0", threads=1), tmp_path)
    assert first.figures["quality.mean_kld"].value == 0.02
    assert guard.check(_config(flash_attn="on", cache_type_v="q4_0", parallel=8), tmp_path) == first
    assert _guard(tmp_path, method).check(_config(flash_attn="on", cache_type_v="q4_0"), tmp_path) == first
    assert len(method.asked) == 1
    subject, reference = method.asked[0]
    assert subject.config == _config(flash_attn="on", cache_type_v="q4_0")
    assert reference.config == _config(flash_attn="on")  # an f16 cache, whatever the baseline has
    guard.check(_config(flash_attn="on", cache_type_v="q8_0"), tmp_path)
    assert len(method.asked) == 2
    guard.close()
    assert method.closed


def test_another_model_text_or_plan_is_another_comparison(tmp_path: Path) -> None:
    method = CountingMethod()
    _guard(tmp_path, method).check(_config(), tmp_path)
    _guard(tmp_path, method, model="n").check(_config(), tmp_path)
    _guard(tmp_path, method, text="another").check(_config(), tmp_path)
    _guard(tmp_path, method, chunks=5).check(_config(), tmp_path)
    assert len(method.asked) == 4


def test_a_bound_is_called_one(tmp_path: Path) -> None:
    bound = Divergence(**{**{name: getattr(FOUND, name) for name in FOUND.__slots__}, "bound": True})
    found = _guard(tmp_path, CountingMethod(bound)).check(_config(), tmp_path)
    assert ["lower bounds" in flag for flag in found.flags] == [True]


def test_a_reference_that_does_not_start_is_the_hosts_trouble(tmp_path: Path) -> None:
    guard = _guard(tmp_path, CountingMethod(), text=None)
    with pytest.raises(HostError, match=r"does not run: the port is in use.*quality: off"):
        guard.check(_config(), tmp_path)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_text_that_is_none_is_the_users(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=r"text\.txt, is empty"):
        _guard(tmp_path, CountingMethod(), text=text).check(_config(), tmp_path)


def test_without_quality_every_result_that_may_differ_says_so(tmp_path: Path) -> None:
    unjudged = Unjudged(_config())
    assert unjudged.check(_config(parallel=4), tmp_path).flags == ()
    assert "not judged" in unjudged.check(_config(cache_type_k="q4_0"), tmp_path).flags[0]
    unjudged.close()
