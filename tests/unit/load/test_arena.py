"""The arena: what was received is what is read, wherever it lies."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.load.arena import FULL_BYTES, NOTE, Arena, Received


def _receive(arena: Arena, received: Received, arrived_s: float, what: bytes) -> None:
    block, used = arena.room()
    received.lies_in(block)
    block[used : used + len(what)] = what
    arena.used = used + len(what)
    received.log += NOTE.pack(arrived_s, used, arena.used)


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=40)), max_size=60))
def test_connections_share_an_arena_and_keep_their_own(came: list[tuple[int, bytes]]) -> None:
    arena, connections = Arena(), [Received() for _ in range(3)]
    for number, (which, what) in enumerate(came):
        _receive(arena, connections[which], float(number), what)
    for which, received in enumerate(connections):
        own = [(float(number), what) for number, (by, what) in enumerate(came) if by == which]
        assert list(received) == own
        assert [received[index] for index in range(len(received))] == own
        assert list(reversed(received)) == own[::-1]
        assert received[1:3] == own[1:3]
        assert received.last_s == (own[-1][0] if own else None)


def test_a_full_block_is_followed_by_another() -> None:
    arena, received = Arena(), Received()
    pieces = [bytes([number]) * (60 * 1024) for number in range(250)] * 2
    assert sum(map(len, pieces)) > FULL_BYTES
    for number, piece in enumerate(pieces):
        _receive(arena, received, float(number), piece)
    assert [what for _, what in received] == pieces
    assert received[-1] == (float(len(pieces) - 1), pieces[-1])
    ends = list(accumulate(map(len, pieces)))
    first_of_second = next(number for number, end in enumerate(ends) if end > FULL_BYTES) + 1
    assert received[first_of_second][1] == pieces[first_of_second]


def test_nothing_came() -> None:
    received = Received()
    assert (len(received), list(received), received.last_s) == (0, [], None)
    with pytest.raises(IndexError):
        received[0]
