"""Plans and verdicts on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.build.plans import PlanStore
from tuner.build.verdicts import FlagEffect, FlagVerdict, VerdictStore
from tuner.errors import HostError
from tuner.model import BuildPlan, Settings

PLAN = BuildPlan(flags=Settings(GGML_LTO=True), fingerprint="f" * 64, key="a" * 64, toolchain="gcc")


def a_verdict(effect: FlagEffect) -> FlagVerdict:
    return FlagVerdict(
        name="GGML_X",
        value=64,
        effect=effect,
        changed_records=3,
        known=True,
        nearest=None,
        default="32",
        message="m",
    )


def test_a_plan_comes_back(tmp_path: Path) -> None:
    store = PlanStore(folder=tmp_path / "plans")
    assert store.load("k", PLAN.flags) is None
    store.save("k", PLAN)
    assert PlanStore(folder=tmp_path / "plans").load("k", PLAN.flags) == PLAN
    store.forget("k")
    store.forget("k")
    assert store.load("k", PLAN.flags) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 99}', '{"version": 1, "fingerprint": "x", "key": "y"}']
)
def test_damage_is_no_answer(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.json").write_text(text)
    assert PlanStore(folder=tmp_path).load("k", PLAN.flags) is None
    assert VerdictStore(folder=tmp_path).load("k") is None


def test_verdicts_that_last_are_kept(tmp_path: Path) -> None:
    store = VerdictStore(folder=tmp_path)
    for effect in FlagEffect:
        store.save(effect, a_verdict(effect))
    assert {effect for effect in FlagEffect if store.load(effect) == a_verdict(effect)} == {
        FlagEffect.LIVE,
        FlagEffect.INERT,
        FlagEffect.EQUAL_TO_DEFAULT,
    }
    assert not list(tmp_path.glob("*.tmp"))


def test_an_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        PlanStore(folder=tmp_path / "file").save("k", PLAN)
    with pytest.raises(HostError):
        VerdictStore(folder=tmp_path / "file").save("k", a_verdict(FlagEffect.LIVE))
