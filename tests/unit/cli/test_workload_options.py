"""What the load options of a command line make, and how they refuse one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tuner.cli.workload_options import WorkloadOptions, make_workload
from tuner.cli.workload_text import describe_workload, workload_json
from tuner.errors import UserError
from tuner.model import (
    Api,
    Arrivals,
    ClosedLoop,
    EmpiricalLength,
    LogNormalLength,
    OpenLoop,
    Sessions,
    SharedPrefix,
    Slo,
    Trace,
    UniformLength,
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that options name, in the folder where the command is typed."""
    monkeypatch.chdir(tmp_path)
    Path("lengths.txt").write_text("16\n32\n")
    Path("prompts.txt").write_text("What is a prime number?\nWho wrote Faust?\n")
    Path("trace.jsonl").write_text(
        '{"time": 5, "prompt_tokens": 8, "output_tokens": 4}\n'
        '{"time": 9, "prompt_tokens": 16, "output_tokens": 4, "session": "a"}\n'
    )
    Path("bad.jsonl").write_text('{"time": 0, "prompt_tokens": 8, "output_tokens": 4}\n{"time": 1}\n')


def test_without_options_one_client_asks_four_times() -> None:
    made = make_workload(WorkloadOptions())
    assert made == ClosedLoop(name="bench", clients=1, requests=4, prompt_tokens=128, output_tokens=64)
    assert not made.caches


def test_open_loops_have_enough_requests_for_ten_seconds() -> None:
    few = make_workload(WorkloadOptions(rate=0.5))
    assert isinstance(few, OpenLoop)
    assert (few.rate_rps, few.requests, few.arrivals) == (0.5, 20, Arrivals.POISSON)
    assert make_workload(WorkloadOptions(rate=25.01, arrivals="constant")).requests == 251
    assert make_workload(WorkloadOptions(rate=2, turns=3)).requests == 60
    assert make_workload(WorkloadOptions(rate=2, requests=7)).requests == 7


def test_conversations_and_shared_beginnings_are_about_caches() -> None:
    talk = make_workload(WorkloadOptions(clients=2, turns=3, think=0.5, endpoint="chat"))
    assert isinstance(talk, ClosedLoop)
    assert (talk.session, talk.requests, talk.api) == (Sessions(turns=3, think_s=0.5), 24, Api.CHAT)
    alike = make_workload(WorkloadOptions(shared_prefix="512x4"))
    assert isinstance(alike, ClosedLoop)
    assert alike.shared_prefix == SharedPrefix(tokens=512, groups=4)
    assert talk.caches
    assert alike.caches


def test_a_trace_has_its_own_times_and_sizes() -> None:
    made = make_workload(WorkloadOptions(trace=Path("trace.jsonl"), trace_speed=2.0, slo_e2e=3.0))
    assert isinstance(made, Trace)
    assert [row.at_s for row in made.rows] == [0.0, 4.0]
    assert (made.speed, made.slo, made.caches) == (2.0, Slo(e2e_s=3.0), True)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("64", 64),
        ("16..64", UniformLength(low=16, high=64)),
        ("lognormal:100,0.8,512", LogNormalLength(median=100, sigma=0.8, low=1, high=512)),
        ("lengths.txt", EmpiricalLength(values=(16, 32))),
    ],
)
def test_lengths(text: str, length: object) -> None:
    made = make_workload(WorkloadOptions(prompt_tokens=text, output_tokens=text))
    assert isinstance(made, ClosedLoop)
    assert made.prompt_tokens == length == made.output_tokens


def test_prompts_of_a_file_may_be_answered_naturally() -> None:
    made = make_workload(
        WorkloadOptions(prompts=Path("prompts.txt"), natural_answers=True, output_tokens="9")
    )
    assert isinstance(made, ClosedLoop)
    assert made.texts == ("What is a prime number?", "Who wrote Faust?")
    assert made.natural_answers


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rate": 1.0, "trace": Path("trace.jsonl")}, "--trace and --rate exclude each other"),
        ({"rate": 1.0, "clients": 2}, "--clients does not go with --rate"),
        ({"trace": Path("trace.jsonl"), "clients": 2}, "--clients does not go with --trace"),
        ({"trace": Path("trace.jsonl"), "requests": 2}, "--requests does not go with --trace"),
        ({"trace": Path("trace.jsonl"), "prompt_tokens": "8"}, "--prompt-tokens does not go with --trace"),
        ({"trace": Path("trace.jsonl"), "turns": 2}, "--turns does not go with --trace"),
        ({"trace": Path("trace.jsonl"), "arrivals": "constant"}, "--arrivals needs --rate"),
        ({"trace": Path("trace.jsonl"), "natural_answers": True}, "under 'prompt'"),
        ({"trace": Path("none.jsonl")}, "none.jsonl cannot be read: No such file"),
        ({"trace": Path("bad.jsonl")}, "bad.jsonl:2: 'prompt_tokens' is missing"),
        ({"trace": Path("trace.jsonl"), "trace_speed": 0.0}, "--trace-speed: more than 0 is needed"),
        ({"arrivals": "poisson"}, "--arrivals needs --rate"),
        ({"trace_speed": 2.0}, "--trace-speed needs --trace"),
        ({"rate": 0.0}, "--rate: more than 0 is needed"),
        ({"rate": float("inf")}, "--rate: a finite number is needed"),
        ({"rate": float("nan")}, "--rate: a finite number is needed"),
        ({"think": 1.0}, "--think needs --turns"),
        ({"turns": 2, "think": -1.0}, "--think: at least 0 is needed"),
        ({"turns": 3, "requests": 4}, "4 requests are no whole number of conversations of 3 turns"),
        ({"clients": 8, "requests": 4}, "leave some of 8 clients without one"),
        ({"natural_answers": True}, "needs prompts of text"),
        ({"prompts": Path("none.txt")}, "none.txt cannot be read"),
        ({"prompts": Path("prompts.txt"), "prompt_tokens": "8..9"}, "prompts of your own"),
        ({"shared_prefix": "many"}, "--shared-prefix 'many': write TOKENS or TOKENSxGROUPS"),
        ({"shared_prefix": "8x"}, "--shared-prefix '8x'"),
        ({"shared_prefix": "0"}, "--shared-prefix: at least 1 is needed"),
        ({"prompt_tokens": "0"}, "--prompt-tokens: at least 1 is needed"),
        ({"prompt_tokens": "64..8"}, "--prompt-tokens: [64, 8] ends before it begins"),
        ({"output_tokens": "lognormal:8"}, "--output-tokens 'lognormal:8': write lognormal:MEDIAN"),
        ({"output_tokens": "lognormal:8,-1,9"}, "--output-tokens: more than 0 is needed"),
        ({"output_tokens": "none.txt"}, "--output-tokens 'none.txt' is no length: give 64, 64..512"),
        ({"slo_ttft": 0.0}, "--slo-ttft: more than 0 is needed"),
        ({"request_timeout": 0.0}, "--request-timeout: more than 0 is needed"),
    ],
)
def test_what_does_not_go_together_is_told_by_the_options_name(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        make_workload(WorkloadOptions(**options))
    assert told in str(refused.value)


def test_what_was_given_is_known() -> None:
    assert WorkloadOptions().given() == ()
    assert WorkloadOptions(clients=1, natural_answers=True, slo_ttft=1.0).given() == (
        "--clients",
        "--natural-answers",
        "--slo-ttft",
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"clients": 2},
            "bench: 2 clients, 8 requests; prompts of 128 tokens, answers of 64; /completion, "
            "prompt cache off",
        ),
        (
            {"rate": 2.5, "prompt_tokens": "8..16", "endpoint": "chat", "shared_prefix": "64x2"},
            "bench: 2.5 requests a second, Poisson, 25 requests; prompts of 8 to 16 tokens, answers of 64; "
            "2 beginnings of 64 tokens in common; /v1/chat/completions, prompt cache on",
        ),
        (
            {"trace": Path("trace.jsonl"), "trace_speed": 4.0},
            "bench: a trace of 2 requests in 1 s at 4 times its speed; /completion, prompt cache on",
        ),
        (
            {"prompts": Path("prompts.txt"), "natural_answers": True, "output_tokens": "lognormal:9,1,20"},
            "bench: 1 client, 4 requests; 2 prompts of a file of at most 19 tokens, answers of about 9 "
            "(log-normal, sigma 1, at most 20); /completion, prompt cache off; answers may end before",
        ),
    ],
)
def test_a_workload_in_a_line(options: dict[str, Any], told: str) -> None:
    assert describe_workload(make_workload(WorkloadOptions(**options))) == told


def test_a_workload_for_programs_says_all_that_decides() -> None:
    made = workload_json(make_workload(WorkloadOptions(rate=2.0, turns=2, prompt_tokens="lengths.txt")))
    assert made["kind"] == "open-loop"
    assert (made["rate_rps"], made["arrivals"], made["requests"]) == (2.0, "poisson", 40)
    assert made["prompt_tokens"] == {"values": 2, "low": 16, "high": 32}
    assert made["session"] == {"turns": 2, "think_s": 0.0}
    assert made["caches"] is True
    assert made["context_tokens"] == 2 * (32 + 64)
    traced = workload_json(make_workload(WorkloadOptions(trace=Path("trace.jsonl"))))
    assert (traced["kind"], traced["span_s"], traced["requests"]) == ("trace", 4.0, 2)
