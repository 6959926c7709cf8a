from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tuner.errors import LaunchFailed
from tuner.launch.readiness import Expected, Ready, check_props, wait_until_ready

EXPECTED = Expected(model=Path("/m/a.gguf"), slots=2, context_per_request=500, context_tokens=1024)
PROPS: dict[str, Any] = {
    "total_slots": 2,
    "model_path": "/m/a.gguf",
    "build_info": "b1-0c1e570",
    "default_generation_settings": {"n_ctx": 512},
}


def check(expected: Expected = EXPECTED, **changed: Any) -> Ready:
    return check_props({**PROPS, **changed}, expected, vocab_size=None, log=Path("the.log"))


def test_what_is_said() -> None:
    assert check() == Ready(slots=2, context_per_slot=512, build_info="b1-0c1e570", vocab_size=None)


def test_an_old_server_says_less() -> None:
    told = {name: PROPS[name] for name in ("total_slots", "default_generation_settings")}
    assert check_props(told, EXPECTED, vocab_size=9, log=Path("l")).build_info is None


def test_a_choice_of_slots_is_the_servers_when_it_was_left_to_it() -> None:
    assert check(replace(EXPECTED, slots=None)).slots == 2


@pytest.mark.parametrize(
    ("changed", "reason", "says"),
    [
        ({"total_slots": None}, "wrong-server", "no total_slots"),
        ({"total_slots": True}, "wrong-server", "no total_slots"),
        ({"total_slots": 3}, "wrong-server", "3 slots, not the 2"),
        ({"model_path": "/m/b.gguf"}, "wrong-server", "serves the model /m/b.gguf"),
        ({"model_path": ""}, "wrong-server", "serves the model"),
        ({"default_generation_settings": {"n_ctx": 499}}, "context-too-small", "holds 499 tokens"),
    ],
)
def test_what_is_wrong(changed: dict[str, Any], reason: str, says: str) -> None:
    with pytest.raises(LaunchFailed, match=says) as caught:
        check(**changed)
    assert (caught.value.reason, caught.value.log) == (reason, "the.log")
    assert "the log is the.log" in str(caught.value)


def test_more_slots_than_the_cache_was_made_for() -> None:
    with pytest.raises(LaunchFailed, match="promises 500"):
        check(replace(EXPECTED, slots=None), total_slots=4, default_generation_settings={"n_ctx": 1024})


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s

    def timestamp(self) -> str:
        return ""


def test_the_limit_is_kept_when_nothing_listens() -> None:
    clock = FakeClock()
    with pytest.raises(LaunchFailed, match="nothing listens") as caught:
        wait_until_ready(
            "http://127.0.0.1:9", EXPECTED, log=Path("l"), running=lambda: True, clock=clock, timeout_s=0.5
        )
    assert caught.value.reason == "not-ready-in-time"
    assert 0.5 <= clock.now_s < 0.6


def test_an_end_is_seen_at_once() -> None:
    found = wait_until_ready(
        "http://127.0.0.1:9", EXPECTED, log=Path("l"), running=lambda: False, clock=FakeClock(), timeout_s=9
    )
    assert found is None
