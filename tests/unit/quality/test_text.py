"""The text on which answers are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.quality.talking import Talk, talking
from tuner.errors import UserError
from tuner.quality import read_text, write_text


def test_a_model_with_a_template_answers_and_one_without_goes_on(tmp_path: Path) -> None:
    for template, path in (
        ("{{ own }}", "/v1/chat/completions"),
        ("", "/completion"),
        (
            "{{ '<|im_start|>' }}",
            "/completion",
        ),  # llama-server's own, of whose marks the vocabulary knows none
    ):
        talk = Talk(chat_template=template)
        with talking(talk) as base_url:
            write_text(base_url, tmp_path / "text.txt", 100)
        assert [asked for asked, _ in talk.asked if asked in ("/v1/chat/completions", "/completion")] == [
            path
        ]
        assert read_text(tmp_path / "text.txt").endswith("said said\n\n")


def test_no_more_is_written_than_is_needed(tmp_path: Path) -> None:
    talk = Talk()
    with talking(talk) as base_url:
        write_text(base_url, tmp_path / "text.txt", 1000)
    asked = [body["max_tokens"] for path, body in talk.asked if path == "/v1/chat/completions"]
    assert asked[:2] == [400, 400]
    assert asked[-1] < 250
    assert [body["seed"] for path, body in talk.asked if path == "/v1/chat/completions"] == [0, 1, 2]
    assert 1000 < len(read_text(tmp_path / "text.txt").split()) < 1100


@pytest.mark.parametrize(
    "fault",
    [
        (500, b"Compute error."),
        (200, b"no JSON"),
        (200, b"[]"),
        (200, b'{"choices": []}'),
        (200, b"\xff\xfe"),
    ],
)
def test_a_server_that_answers_something_else_is_told_with_a_remedy(
    tmp_path: Path, fault: tuple[int, bytes]
) -> None:
    talk = Talk(faults={"/v1/chat/completions": fault})
    with talking(talk) as base_url, pytest.raises(UserError, match=r"give one with `quality\.text`"):
        write_text(base_url, tmp_path / "text.txt", 100)
    assert not (tmp_path / "text.txt").exists()


def test_a_model_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with talking(Talk(answer="")) as base_url, pytest.raises(UserError, match=r"lower `quality\.chunks`"):
        write_text(base_url, tmp_path / "text.txt", 100_000)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "does not exist"), (b"", "is empty"), (b"\xff\xfe\x00", "not UTF-8")]
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_text(path)
    with pytest.raises(UserError, match="is a folder"):
        read_text(tmp_path)
