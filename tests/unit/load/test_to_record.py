"""What became of a request."""

from __future__ import annotations

import pytest

from tests.fakes.scripted_stream import HEAD, LAST, chunk, content, final
from tuner.load.client import End, Exchange
from tuner.load.record import Ended, looks_failed, to_record
from tuner.load.schedule import PlannedRequest
from tuner.model import RequestRecord, RequestStatus

_GOOD = HEAD + content() * 4 + final(4) + LAST
_OLD_ERROR = chunk(b'error: {"message":"Compute error.","type":"server_error"}\n\n')


def _exchange(received: bytes, end: End = End.CLOSED, detail: str = "") -> Exchange:
    arrivals = ((1.5, received),) if received else ()
    return Exchange(sent_s=1.0, ended_s=2.0, arrivals=arrivals, end=end, detail=detail)


def _record(exchange: Exchange, asked: int = 4) -> RequestRecord:
    request = PlannedRequest(index=5, at_s=None, conversation=5, prompt_tokens=8, output_tokens=asked)
    return to_record(Ended(request=request, client=3, exchange=exchange, prompt_tokens=8))


def test_a_good_one() -> None:
    record = _record(_exchange(_GOOD))
    assert record.status is RequestStatus.OK
    assert record.detail == ""
    assert (record.client, record.index, record.prompt_tokens, record.requested_output_tokens) == (3, 5, 8, 4)
    assert (record.sent_s, record.ended_s, record.output_tokens) == (1.0, 2.0, 4)
    assert (record.first_token_s, record.last_token_s) == (1.5, 1.5)
    assert record.timings is not None


@pytest.mark.parametrize(
    ("received", "end", "status", "detail"),
    [
        (HEAD + content() + final(3) + LAST, End.CLOSED, RequestStatus.SHORT, "3 of 4 tokens"),
        (HEAD + content() + final(5) + LAST, End.CLOSED, RequestStatus.GARBAGE, "4 were asked for"),
        (HEAD + final(4, truncated=True) + LAST, End.CLOSED, RequestStatus.TRUNCATED, "did not fit"),
        (HEAD + content() + _OLD_ERROR + LAST, End.CLOSED, RequestStatus.HTTP_ERROR, "Compute error."),
        (b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n", End.CLOSED, RequestStatus.HTTP_ERROR, "HTTP 503"),
        (HEAD + content() * 2, End.CLOSED, RequestStatus.DISCONNECTED, "after 2 chunks"),
        (b"", End.CLOSED, RequestStatus.DISCONNECTED, "before an answer began"),
        (b"", End.BROKEN, RequestStatus.DISCONNECTED, "what happened"),
        (HEAD + content(), End.BROKEN, RequestStatus.DISCONNECTED, "what happened"),
        (HEAD + content(), End.STALLED, RequestStatus.STALLED, "what happened"),
        (HEAD + content(), End.TIMEOUT, RequestStatus.TIMEOUT, "what happened"),
        (HEAD + content(), End.OVERSIZED, RequestStatus.GARBAGE, "what happened"),
        (b"220 smtp.example.org\r\n", End.TIMEOUT, RequestStatus.GARBAGE, "not HTTP"),
    ],
)
def test_the_others(received: bytes, end: End, status: RequestStatus, detail: str) -> None:
    record = _record(_exchange(received, end, "what happened"))
    assert record.status is status
    assert detail in record.detail


@pytest.mark.parametrize("end", [End.BROKEN, End.STALLED, End.TIMEOUT])
def test_a_whole_answer_counts_however_the_connection_ended(end: End) -> None:
    assert _record(_exchange(_GOOD.removesuffix(LAST), end)).status is RequestStatus.OK


def test_failures_are_recognised_without_decoding() -> None:
    pieces = tuple((1.0, bytes([byte])) for byte in _GOOD)
    in_pieces = Exchange(sent_s=1.0, ended_s=2.0, arrivals=pieces, end=End.CLOSED)
    assert not looks_failed(in_pieces)
    assert not looks_failed(_exchange(_GOOD))
    assert looks_failed(_exchange(b""))
    assert looks_failed(_exchange(HEAD + content() * 100 + _OLD_ERROR + LAST))
