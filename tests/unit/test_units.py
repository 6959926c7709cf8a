from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.units import parse_bytes


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("500M", 500 << 20),
        ("1.5G", 3 << 29),
        ("20 GiB", 20 << 30),
        ("7kb", 7 << 10),
        (" 1T ", 1 << 40),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@given(st.integers(min_value=0, max_value=2**60))
def test_plain_numbers_are_bytes(size_bytes: int) -> None:
    assert parse_bytes(str(size_bytes)) == int(float(size_bytes))


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1 2", "1e9", "1.G"])
def test_what_is_not_a_size(text: str) -> None:
    assert parse_bytes(text) is None
