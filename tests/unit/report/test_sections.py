"""Parts of the report that are computed: the front within noise, flags, memory, text that would act."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.report.records import record_of
from tuner.model import Direction, Figure, Objective
from tuner.report.sections.builds import flags_seen
from tuner.report.sections.front import nearly
from tuner.report.sections.hardware import needs
from tuner.report.shown import short, shown
from tuner.study import pareto_front
from tuner.weights import inspect

OBJECTIVES = (
    Objective(direction=Direction.MAXIMIZE, figure="load.output_tokens_per_s"),
    Objective(direction=Direction.MINIMIZE, figure="load.ttft_p50_s"),
)


def values(speed: float | Figure, ttft_s: float | Figure) -> dict[str, float | Figure]:
    return {"load.output_tokens_per_s": speed, "load.ttft_p50_s": ttft_s}


def test_beaten_within_noise_is_told_from_beaten() -> None:
    best = record_of(0, values(1000, 0.1))
    close = record_of(1, values(950, 0.101))
    far = record_of(2, values(500, 0.101))
    unsure = record_of(3, values(Figure(value=500, low=400, high=1100), 0.101))
    records = [best, close, far, unsure]
    front = pareto_front(records, OBJECTIVES)
    assert front == (best,)
    assert nearly(records, front, OBJECTIVES, 0.04) == [close, unsure]
    assert nearly(records, front, OBJECTIVES, 0.0) == []  # 0.100 s and 0.101 s are apart, if nothing is noise


def test_a_flag_is_live_where_programs_differ_and_inert_where_they_do_not() -> None:
    speed = "load.output_tokens_per_s"
    records = [
        record_of(0, {speed: 100}, build={"LIVE": False, "IDLE": 1}, args={"threads": 1}, build_key="a"),
        record_of(1, {speed: 120}, build={"LIVE": True, "IDLE": 1}, args={"threads": 1}, build_key="b"),
        record_of(2, {speed: 300}, build={"LIVE": True, "IDLE": 1}, args={"threads": 2}, build_key="b"),
        record_of(3, {speed: 121}, build={"LIVE": True, "IDLE": 2}, args={"threads": 1}, build_key="b"),
    ]
    seen = {one.flag: one for one in flags_seen(records, 0)}
    assert seen["LIVE"].live
    assert seen["LIVE"].values == (False, True)
    assert list(seen["LIVE"].ratios) == pytest.approx([1.2])  # only the pair that differs in nothing else
    assert not seen["IDLE"].live
    assert list(seen["IDLE"].ratios) == pytest.approx([121 / 120])


def test_flags_that_were_never_varied_alone_are_not_judged() -> None:
    records = [
        record_of(0, {"a.b": 1}, build={"X": 1, "Y": 1}, build_key="a"),
        record_of(1, {"a.b": 2}, build={"X": 2, "Y": 2}, build_key="b"),
    ]
    assert list(flags_seen(records, 0)) == []


def test_memory_is_predicted_from_the_launch(tiny_model: Path) -> None:
    shape = inspect(tiny_model)
    one = needs(shape, ("llama-server", "--ctx-size", "1024", "--parallel", "1"))
    four = needs(shape, ("llama-server", "--ctx-size", "4096", "--parallel", "4"))
    small = needs(shape, ("llama-server", "--ctx-size", "1024", "--cache-type-k", "q8_0", "--kv-unified"))
    assert four.kv_bytes == 4 * one.kv_bytes
    assert small.kv_bytes < one.kv_bytes
    assert one.weights_bytes == shape.tensor_bytes


def test_what_would_act_is_shown() -> None:
    assert shown("a\x1b[31mred\x07\x7f\x9b") == "a␛[31mred␇␡⟨U+009B⟩"
    assert shown("one\r\ntwo\rthree\tfour\n") == "one\ntwo␍three\tfour\n"
    assert shown("\u202egnp.exe\u2066\ufeff") == "⟨U+202E⟩gnp.exe⟨U+2066⟩⟨U+FEFF⟩"
    assert shown("Grüße, 世界 🎉") == "Grüße, 世界 🎉"
    assert short("a  b\nc") == "a b c"
    assert short("x" * 40) == "x" * 29 + "…"
