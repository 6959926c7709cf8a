"""The tables of llama-server's arguments agree with themselves."""

from __future__ import annotations

import pytest

from tuner.config import CURRENT_DEFAULTS, STABLE_DEFAULTS
from tuner.config.arguments import (
    HARNESS_OWNED,
    SAME_ARGUMENT,
    SHORT_FORMS,
    is_speculation,
    owned_reason,
    preferred_spelling,
)


def test_preferred_spellings_are_final() -> None:
    for name in {*SHORT_FORMS.values(), *SAME_ARGUMENT.values(), *HARNESS_OWNED, *CURRENT_DEFAULTS}:
        assert preferred_spelling(preferred_spelling(name)) == preferred_spelling(name)


def test_owned_arguments_stand_under_their_preferred_spelling() -> None:
    assert [name for name in HARNESS_OWNED if preferred_spelling(name) != name] == []


def test_no_default_is_of_an_owned_argument() -> None:
    assert [name for name in CURRENT_DEFAULTS if owned_reason(name)] == []
    assert STABLE_DEFAULTS.items() <= CURRENT_DEFAULTS.items()


@pytest.mark.parametrize(
    ("name", "preferred"),
    [
        ("ngl", "gpu-layers"),
        ("n-gpu-layers", "gpu-layers"),
        ("nkvo", "kv-offload"),
        ("no-kv-offload", "kv-offload"),
        ("no-webui", "ui"),
        ("no-host", "no-host"),
        ("unheard-of", "unheard-of"),
    ],
)
def test_preferred_spelling(name: str, preferred: str) -> None:
    assert preferred_spelling(name) == preferred


@pytest.mark.parametrize(
    "name", ["spec-type", "model-draft", "draft-max", "cache-type-k-draft", "spec-default"]
)
def test_speculation(name: str) -> None:
    assert is_speculation(name)


@pytest.mark.parametrize("name", ["special", "threads", "ubatch-size", "reasoning"])
def test_not_speculation(name: str) -> None:
    assert not is_speculation(name)
