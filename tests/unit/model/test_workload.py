"""What workloads need of a server's context, and which are about its caches."""

from __future__ import annotations

from tuner.model import (
    Api,
    ClosedLoop,
    OpenLoop,
    Sessions,
    SharedPrefix,
    Trace,
    TraceRow,
    UniformLength,
)


def _closed(*, session: Sessions | None = None, shared_prefix: SharedPrefix | None = None) -> ClosedLoop:
    return ClosedLoop(
        name="w",
        clients=1,
        requests=4,
        prompt_tokens=UniformLength(low=10, high=100),
        output_tokens=20,
        session=session,
        shared_prefix=shared_prefix,
    )


def test_a_request_needs_its_longest_prompt_and_answer() -> None:
    assert _closed().context_tokens == 120
    assert not _closed().caches
    assert not _closed().scheduled


def test_a_conversation_needs_all_that_was_said() -> None:
    workload = _closed(session=Sessions(turns=3), shared_prefix=SharedPrefix(tokens=50, groups=2))
    assert workload.most_prompt_tokens == 50 + 3 * 100 + 2 * 20
    assert workload.context_tokens == 50 + 3 * 100 + 3 * 20
    assert workload.caches


def test_a_chat_template_takes_room_in_every_turn() -> None:
    plain = OpenLoop(name="w", requests=2, prompt_tokens=10, output_tokens=5, rate_rps=1.0)
    chat = OpenLoop(
        name="w",
        requests=2,
        prompt_tokens=10,
        output_tokens=5,
        rate_rps=1.0,
        api=Api.CHAT,
        session=Sessions(turns=2),
    )
    assert plain.scheduled
    assert chat.context_tokens > 2 * plain.context_tokens


def test_a_trace_needs_what_its_neediest_row_does() -> None:
    rows = (
        TraceRow(at_s=0, prompt_tokens=100, output_tokens=10),
        TraceRow(at_s=1, prompt_tokens=30, output_tokens=10, session="a", prefix="p", prefix_tokens=8),
        TraceRow(at_s=2, prompt_tokens=70, output_tokens=20, session="b"),
        TraceRow(at_s=3, prompt_tokens=30, output_tokens=40, session="a"),
    )
    trace = Trace(name="t", rows=rows)
    assert trace.context_tokens == 8 + 30 + 10 + 30 + 40
    assert trace.most_prompt_tokens == 100
    assert trace.most_output_tokens == 40
    assert trace.requests == 4
    assert trace.caches
    assert not Trace(name="t", rows=rows[:1]).caches
