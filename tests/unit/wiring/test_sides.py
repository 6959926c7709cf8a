"""One side of a comparison, as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import UserError
from tuner.model import Settings
from tuner.wiring.sides import parse_side


def test_settings_go_to_their_layers() -> None:
    side = parse_side(
        "ubatch-size=512 GGML_OPENMP=OFF env:KMP_BLOCKTIME=0 build:ggml_x=a,b arg:mlock=true --threads=2", "A"
    )
    assert side.args == Settings({"ubatch-size": 512, "mlock": True, "threads": 2})
    assert side.build == Settings({"GGML_OPENMP": "OFF", "ggml_x": "a,b"})
    assert side.env == Settings({"KMP_BLOCKTIME": 0})
    assert (side.binary, side.source, side.study) == (None, None, None)


@pytest.mark.parametrize(
    ("word", "trial"), [("chat:7", "7"), ("chat:best", "best"), ("my study:default", "default")]
)
def test_a_trial_of_a_study(word: str, trial: str) -> None:
    side = parse_side(f"'{word}' threads=1", "B")
    assert (side.study, side.trial) == (word.rpartition(":")[0], trial)
    assert side.args == Settings(threads=1)


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "llama-server").touch()
    (tmp_path / "llama.cpp").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_side("llama-server", "A").binary == Path("llama-server")
    assert parse_side("/no/such/server", "A").binary == Path("/no/such/server")
    assert parse_side("llama.cpp", "A").source == "llama.cpp"
    assert parse_side("llama-cpp-python==0.3.36 x=1", "A").source == "llama-cpp-python==0.3.36"
    assert parse_side("https://example.org/llama.cpp", "A").source == "https://example.org/llama.cpp"
    assert parse_side("git@example.org:llama.cpp.git", "A").source == "git@example.org:llama.cpp.git"


def test_default_is_nothing_more() -> None:
    side = parse_side("default", "A")
    assert (len(side.args), len(side.build), len(side.env)) == (0, 0, 0)
    assert (side.binary, side.source, side.study) == (None, None, None)
    assert str(side) == "A (default)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "A is empty"),
        ("'unclosed", "cannot be read"),
        ("threads=1 threads=2", "threads is given twice"),
        ("=3", "has no name"),
        ("./a ./b", "two programs"),
        ("chat:1 ./b", "two programs"),
        ("mlock", "mlock=true"),
        ("--mlock", "without dashes"),
        ("What?", "is not understood"),
    ],
)
def test_mistakes_are_told_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(UserError, match=r"^A") as caught:
        parse_side(text, "A")
    assert told in str(caught.value)


@given(st.text(max_size=30))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        side = parse_side(text, "B")
    except UserError as error:
        assert str(error).startswith("B")
    else:
        assert side.text == text
