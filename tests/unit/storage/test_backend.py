"""A storage's address, told without its password."""

from __future__ import annotations

import pytest

from tuner.storage import mask_password


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql+psycopg://tuner:secret@db/tuner", "postgresql+psycopg://tuner:***@db/tuner"),
        ("postgresql://tuner:se@cr@et@db:5432/tuner", "postgresql://tuner:***@db:5432/tuner"),
        ("postgresql://:secret@db/tuner", "postgresql://:***@db/tuner"),
        ("postgresql://tuner@db/tuner", "postgresql://tuner@db/tuner"),
        ("sqlite:////home/me/studies.db", "sqlite:////home/me/studies.db"),
    ],
)
def test_a_password_is_never_shown(url: str, told: str) -> None:
    assert mask_password(url) == told
