"""Workloads of every kind in a study file: what is read, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.config.study_text import VALID, changed, problems, write
from tuner.config import load_study
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
    TraceRow,
    UniformLength,
    Workload,
)

_LOAD = "{name: load, kind: closed-loop, clients: 4, requests: 8, prompt_tokens: 128, output_tokens: 32}"
_LINE = 21
"""Where _LOAD stands in VALID."""


def _with(workload: str, context: int = 512) -> str:
    return changed((_LOAD, workload), ("context_per_request: 512", f"context_per_request: {context}"))


def _read(folder: Path, workload: str, context: int = 8192) -> Workload:
    return load_study(write(folder, _with(workload, context))).workload_values[1]


def _hash(folder: Path, text: str) -> str:
    return load_study(write(folder, text)).content_hash


def _rows(folder: Path, *rows: object, name: str = "t.jsonl") -> None:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n")


def test_an_open_loop(tmp_path: Path) -> None:
    text = (
        "{name: load, kind: open-loop, rate_rps: 2.5, arrivals: constant, requests: 8, slo: {ttft_s: 0.5},\n"
        "     prompt_tokens: {uniform: [64, 512]},\n"
        "     output_tokens: {log-normal: {median: 256, sigma: 0.8, max: 4096}}}"
    )
    assert _read(tmp_path, text) == OpenLoop(
        name="load",
        rate_rps=2.5,
        arrivals=Arrivals.CONSTANT,
        requests=8,
        prompt_tokens=UniformLength(low=64, high=512),
        output_tokens=LogNormalLength(median=256, sigma=0.8, low=1, high=4096),
        slo=Slo(ttft_s=0.5),
    )


def test_conversations_with_own_prompts_over_chat(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('"What is a llama?"\n{"prompt": "Line one.\\nLine two."}\n\n')
    text = (
        "{name: load, kind: closed-loop, clients: 2, requests: 8, prompts: {file: p.jsonl},\n"
        "     output_tokens: 32, endpoint: chat, answers: natural, session: {turns: 4, think_s: 1},\n"
        "     shared_prefix: {tokens: 512, groups: 2}}"
    )
    workload = _read(tmp_path, text)
    assert isinstance(workload, ClosedLoop)
    assert workload.texts == ("What is a llama?", "Line one.\nLine two.")
    assert workload.api is Api.CHAT
    assert workload.natural_answers
    assert workload.session == Sessions(turns=4, think_s=1)
    assert workload.shared_prefix == SharedPrefix(tokens=512, groups=2)


def test_lengths_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "lengths.txt").write_text("5\n\n70\r\n5\n")
    kind = "kind: closed-loop, clients: 1, requests: 2, output_tokens: 3"
    workload = _read(tmp_path, f"{{name: load, {kind}, prompt_tokens: {{file: lengths.txt}}}}")
    assert isinstance(workload, ClosedLoop)
    assert workload.prompt_tokens == EmpiricalLength(values=(5, 70, 5))


def test_a_trace(tmp_path: Path) -> None:
    _rows(
        tmp_path,
        {"time": 12.5, "prompt": "Hello", "prompt_tokens": 9, "output_tokens": 4},
        {
            "time": 10,
            "prompt_tokens": 100,
            "output_tokens": 8,
            "session": 7,
            "prefix": "a",
            "prefix_tokens": 50,
        },
        {"time": 14, "prompt_tokens": 100, "output_tokens": 8, "session": 7},
    )
    workload = _read(tmp_path, "{name: load, kind: trace, file: t.jsonl, speed: 2}")
    assert workload == Trace(
        name="load",
        speed=2.0,
        rows=(
            TraceRow(at_s=0, prompt_tokens=100, output_tokens=8, session="7", prefix="a", prefix_tokens=50),
            TraceRow(at_s=2.5, prompt_tokens=9, output_tokens=4, text="Hello"),
            TraceRow(at_s=4, prompt_tokens=100, output_tokens=8, session="7"),
        ),
    )


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("kind: open-lop, rate_rps: 1, requests: 2, prompt_tokens: 5", "did you mean 'open-loop'?"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: 5, clients: 4", "unknown key; known"),
        ("kind: open-loop, rate_rps: 0, requests: 2, prompt_tokens: 5", "rate_rps: more than 0 is needed"),
        ("kind: open-loop, rate_rps: .inf, requests: 2, prompt_tokens: 5", "rate_rps"),
        ("kind: open-loop, rate_rps: 1, rate: 2, requests: 2, prompt_tokens: 5", "did you mean 'rate_rps'?"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {unifrom: [1, 2]}", "mean 'uniform'?"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {uniform: [9, 2]}", "mean [2, 9]?"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {uniform: [0, 2]}", "at least 1"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {uniform: 3}", "a list is needed"),
        (
            "kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {log-normal: {median: 9, sigma: 1}}",
            "prompt_tokens.log-normal.max: this key is missing",
        ),
        (
            "kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {log-normal: {medain: 9}}",
            "did you mean 'median'?",
        ),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: text", "a whole number is needed"),
        ("kind: open-loop, rate_rps: 1, requests: 2", "prompt_tokens: this key is missing"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: 5, slo: {}", "no limit is given"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: 5, slo: {ttft: 1}", "mean 'ttft_s'?"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: 5, endpoint: chats", "endpoint"),
        (
            "kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: 5, answers: natural",
            "needs prompts of text",
        ),
        (
            "kind: open-loop, rate_rps: 1, requests: 5, prompt_tokens: 5, session: {turns: 2}",
            "no whole number of conversations of 2 turns; ask for 6",
        ),
        (
            "kind: closed-loop, clients: 2, requests: 2, prompt_tokens: 5, session: {turns: 2}",
            "ask for at least 4 with a conversation of 2 turns each",
        ),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompts: {file: none.txt}", "none.txt cannot be read"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompt_tokens: {file: l.txt}", "l.txt:2: '-4' is not"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompts: {file: e.txt}", "e.txt: the file is empty"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompts: {file: b.txt}", "b.txt:2: not UTF-8"),
        ("kind: open-loop, rate_rps: 1, requests: 2, prompts: {file: p.jsonl}", "p.jsonl:1: not JSON"),
    ],
)
def test_mistakes(tmp_path: Path, workload: str, message: str) -> None:
    (tmp_path / "l.txt").write_text("3\n-4\n")
    (tmp_path / "e.txt").write_text("\n  \n")
    (tmp_path / "b.txt").write_bytes(b"fine\n\xff\xfe\n")
    (tmp_path / "p.jsonl").write_text("{prompt: x}\n")
    found = problems(tmp_path, _with(f"{{name: load, {workload}, output_tokens: 4}}"))
    assert any(message in line for line in found), found
    assert all(line.startswith(f"{_LINE}: workloads[1]") for line in found), found


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", "a request is a JSON object, not a list"),
        ("nonsense", "not JSON"),
        ({"prompt_tokens": 4, "output_tokens": 4}, "'time' is missing"),
        ({"time": "3", "prompt_tokens": 4, "output_tokens": 4}, "'time' is a number of seconds, not '3'"),
        ('{"time": NaN, "prompt_tokens": 4, "output_tokens": 4}', "'time' is a number of seconds"),
        ({"time": 3, "output_tokens": 4}, "'prompt_tokens' is missing, or the text"),
        ({"time": 3, "prompt": "", "output_tokens": 4}, "a prompt is a text"),
        ({"time": 3, "prompt_tokens": 4}, "'output_tokens' is missing"),
        ({"time": 3, "prompt_tokens": 0, "output_tokens": 4}, "'prompt_tokens' is a whole number"),
        ({"time": 3, "prompt_tokens": True, "output_tokens": 4}, "'prompt_tokens' is a whole number"),
        ({"time": 3, "prompt_tokens": 4, "ouput_tokens": 4}, "did you mean 'output_tokens'?"),
        ({"time": 3, "prompt_tokens": 4, "output_tokens": 4, "prefix": "a"}, "need each other"),
        ({"time": 3, "prompt_tokens": 4, "output_tokens": 4, "session": [1]}, "a name or a number"),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, row: object, message: str) -> None:
    _rows(tmp_path, {"time": 1, "prompt_tokens": 4, "output_tokens": 4}, row)
    found = problems(tmp_path, _with("{name: load, kind: trace, file: t.jsonl}"))
    assert len(found) == 1
    assert found[0].startswith(f"{_LINE}: workloads[1].file: t.jsonl:2: ")
    assert message in found[0]


def test_natural_answers_of_a_trace_need_text_in_every_row(tmp_path: Path) -> None:
    _rows(
        tmp_path,
        {"time": 1, "prompt": "a", "output_tokens": 4},
        {"time": 1, "prompt_tokens": 4, "output_tokens": 4},
    )
    found = problems(tmp_path, _with("{name: load, kind: trace, file: t.jsonl, answers: natural}"))
    assert "needs text in every row" in found[0]


@pytest.mark.parametrize(
    ("workload", "needed"),
    [
        (
            "kind: open-loop, rate_rps: 1, requests: 4, prompt_tokens: {uniform: [1, 90]}, output_tokens: 9",
            100,
        ),
        (
            "kind: open-loop, rate_rps: 1, requests: 4, prompt_tokens: 20, output_tokens: {uniform: [1, 9]},"
            " session: {turns: 4}",
            4 * 29 + 1,
        ),
        (
            "kind: closed-loop, clients: 1, requests: 4, prompt_tokens: 20, output_tokens: 9,"
            " shared_prefix: {tokens: 70}",
            100,
        ),
        (
            "kind: closed-loop, clients: 1, requests: 4, prompt_tokens: 20, output_tokens: 9, endpoint: chat",
            20 + 9 + 64 + 1,
        ),
        ("kind: trace, file: t.jsonl", 50 + 30 + 9 + 30 + 9 + 1),
        ("kind: closed-loop, clients: 1, requests: 4, prompts: {file: long.txt}, output_tokens: 9", 210),
    ],
)
def test_the_context_that_a_workload_needs(tmp_path: Path, workload: str, needed: int) -> None:
    _rows(
        tmp_path,
        {"time": 1, "prompt_tokens": 100, "output_tokens": 9},
        {
            "time": 2,
            "prompt_tokens": 30,
            "output_tokens": 9,
            "session": 1,
            "prefix": "p",
            "prefix_tokens": 50,
        },
        {"time": 3, "prompt_tokens": 30, "output_tokens": 9, "session": 1},
    )
    (tmp_path / "long.txt").write_text("word " * 640)
    text = _with(f"{{name: load, {workload}}}").replace("prompt_tokens: 128", "prompt_tokens: 9")
    assert (
        problems(tmp_path, text.replace("context_per_request: 512", f"context_per_request: {needed}")) == []
    )
    found = problems(tmp_path, text.replace("context_per_request: 512", f"context_per_request: {needed - 1}"))
    assert len(found) == 1
    assert f"need {needed} tokens of context" in found[0]


def test_cache_arguments_are_for_workloads_about_caches(tmp_path: Path) -> None:
    searched = ('flash-attn: ["on", "off"]', 'flash-attn: ["on", "off"]\n    cache-ram: [0, 1024]')
    found = problems(tmp_path, changed(searched))
    assert len(found) == 1
    assert "no workload is about prompt caches" in found[0]
    about = changed(
        searched, ("output_tokens: 32}\nobj", "output_tokens: 32, shared_prefix: {tokens: 9}}\nobj")
    )
    assert problems(tmp_path, about) == []


def test_studies_of_earlier_versions_keep_their_hash(tmp_path: Path) -> None:
    """These were computed before workloads had more than one kind."""
    assert _hash(tmp_path, VALID) == "45465cc34f967a2ff533d098aa8bf920808f09b4ecabe570b474f5294be05397"


def test_what_a_file_holds_is_part_of_the_study_and_its_path_is_not(tmp_path: Path) -> None:
    text = _with("{name: load, kind: trace, file: t.jsonl}")
    _rows(tmp_path, {"time": 1, "prompt_tokens": 4, "output_tokens": 4})
    first = _hash(tmp_path, text)
    (tmp_path / "t.jsonl").rename(tmp_path / "moved.jsonl")
    assert _hash(tmp_path, text.replace("t.jsonl", "moved.jsonl")) == first
    _rows(tmp_path, {"time": 1, "prompt_tokens": 5, "output_tokens": 4})
    assert _hash(tmp_path, text) != first
