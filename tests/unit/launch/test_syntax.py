from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import install_fake, launches
from tuner.errors import ArgumentRefused, BinaryInvalid
from tuner.launch import syntax
from tuner.launch.syntax import check_syntax


def test_accepted_without_a_launch(tmp_path: Path) -> None:
    server = install_fake(tmp_path)
    check_syntax(server, ["--ubatch-size", "64", "--metrics"])
    assert launches(server) == 0


@pytest.mark.parametrize(
    ("argv", "reason", "says"),
    [
        (["--no-such"], "argument-unknown", "error: invalid argument: --no-such"),
        (["--mlock"], "argument-unknown", "error: invalid argument: --mlock"),
        (["--draft-max", "3"], "argument-unknown", "the argument has been removed. use --spec-draft-n-max"),
        (["--ubatch-size", "many"], "argument-value", 'error while handling argument "--ubatch-size": stoi'),
        (["--flash-attn"], "argument-value", "unknown value for --flash-attn: '--version'"),
        (["--cache-type-k", "q9"], "argument-value", "Unsupported cache type: q9"),
    ],
)
def test_refused_in_llama_servers_own_words(tmp_path: Path, argv: list[str], reason: str, says: str) -> None:
    with pytest.raises(ArgumentRefused) as caught:
        check_syntax(install_fake(tmp_path), argv)
    assert caught.value.reason == reason
    assert says in str(caught.value)


def _script(path: Path, text: str) -> Path:
    binary = path / "llama-server"
    binary.write_text(f"#!/bin/sh\n{text}\n")
    binary.chmod(0o755)
    return binary


def test_a_binary_that_does_not_run_is_not_the_arguments_fault(tmp_path: Path) -> None:
    missing = "error while loading shared libraries: libllama.so: cannot open shared object file"
    with pytest.raises(BinaryInvalid, match="shared libraries"):
        check_syntax(_script(tmp_path, f"echo '{missing}' >&2; exit 127"), [])
    with pytest.raises(BinaryInvalid, match="printed nothing"):
        check_syntax(_script(tmp_path, "kill -ILL $$"), [])
    with pytest.raises(BinaryInvalid, match="cannot be run"):
        check_syntax(tmp_path / "none", [])


def test_other_refusals_are_quoted(tmp_path: Path) -> None:
    with pytest.raises(ArgumentRefused, match="error: these two exclude each other"):
        check_syntax(_script(tmp_path, "echo 'error: these two exclude each other' >&2; exit 1"), [])


def test_a_binary_that_swallows_version_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syntax, "_TIMEOUT_S", 0.2)
    with pytest.raises(ArgumentRefused, match="does --alias lack its value"):
        check_syntax(_script(tmp_path, "exec sleep 30"), ["--alias"])
