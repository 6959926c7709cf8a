"""What a mistyped command line ends with."""

from __future__ import annotations

import pytest

from tuner import __version__
from tuner.cli.main import run


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["study", "run", "--nope"], "No such option"),
        (["study", "run"], "Missing argument"),
        (["nope"], "No such command"),
        (["study", "run", "x.yaml", "--trials", "many"], "--trials"),
        (["bench", "--clients", "0"], "greater than or equal to 1"),
    ],
)
def test_a_wrong_command_line_is_the_users_error_and_names_the_help(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert told in message
    assert "--help" in message
    assert "bug" not in message


@pytest.mark.parametrize("argv", [[], ["study"], ["model"], ["builds"]])
def test_a_group_alone_shows_its_commands(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(argv) == 2
    assert "Commands:" in capsys.readouterr().err


def test_help_and_version_succeed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "Commands:" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tuner {__version__}\n"
