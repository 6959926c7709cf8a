"""Real binaries of three years: what they accept, and what they say to what they do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.errors import ArgumentRefused
from tuner.launch import check_syntax, read_arguments, translate
from tuner.launch.arguments import parse_completion
from tuner.model import Scalar, Settings
from tuner.process import capture

pytestmark = pytest.mark.integration

VERSIONS = ("0.3.1", "0.3.16", "0.3.36")
ServerFactory = Callable[..., Path]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_help_is_read(llama_server: ServerFactory, version: str) -> None:
    binary = llama_server(version=version)
    table = read_arguments(binary)
    assert len(table.arguments) > 100
    offered = parse_completion(capture([binary, "--completion-bash"]).stdout)
    assert (len(offered) > 100) is (version != "0.3.1")
    assert offered <= table.by_spelling.keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_switch_is_accepted_and_only_switches_are(llama_server: ServerFactory, version: str) -> None:
    """Whether an argument takes a value is read from its hint: the binary confirms each."""
    binary = llama_server(version=version)
    leaving = {"help", "version", "completion-bash", "list-devices", "cache-list"}
    # These load other files or models before the next word is looked at.
    acting = {"spec-default", "log-file"}
    for argument in read_arguments(binary).arguments:
        name = argument.name
        if argument.removed or argument.values or name in leaving | acting or "default" in name.split("-"):
            continue
        if f"--{name}" in argument.spellings and not name.endswith("-spec"):
            check_syntax(binary, [argument.flag])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "args",
    [
        {"flash-attn": True, "mlock": True},
        {"flash-attn": "on", "mmap": False},
        {"flash-attn": "off", "load-mode": "none"},
        {"flash-attn": "auto", "load-mode": "mmap+mlock"},
        {"n-gpu-layers": "all", "parallel": -1},
        {"kv-offload": False, "cont-batching": False},
        {"cache-type-k": "q8_0", "ubatch-size": 64, "batch-size": 128, "threads": 2, "poll": 50},
    ],
)
def test_translations_are_accepted(
    llama_server: ServerFactory, version: str, args: dict[str, Scalar]
) -> None:
    binary = llama_server(version=version)
    check_syntax(binary, translate(Settings(args), read_arguments(binary)).argv)


@pytest.mark.parametrize(
    ("version", "words", "reason"),
    [
        ("0.3.36", ["--mlock"], "argument-unknown"),
        ("0.3.36", ["--no-mmap"], "argument-unknown"),
        ("0.3.36", ["--mmap"], "argument-unknown"),
        ("0.3.36", ["--flash-attn"], "argument-value"),
        ("0.3.36", ["--draft-max", "3"], "argument-unknown"),
        ("0.3.36", ["--cache-type-k", "q9"], "argument-value"),
        ("0.3.36", ["--ubatch-size", "many"], "argument-value"),
        ("0.3.36", ["--ubatch-size"], "argument-value"),
        ("0.3.16", ["--flash-attn", "on"], "argument-unknown"),
        ("0.3.16", ["--load-mode", "none"], "argument-unknown"),
        ("0.3.16", ["--threads", "two"], "argument-value"),
        ("0.3.1", ["--flash-attn", "on"], "argument-unknown"),
        ("0.3.1", ["--kv-unified"], "argument-unknown"),
        ("0.3.1", ["--threads", "two"], "argument-value"),
    ],
)
def test_what_is_refused(llama_server: ServerFactory, version: str, words: list[str], reason: str) -> None:
    with pytest.raises(ArgumentRefused, match="llama-server says: error") as caught:
        check_syntax(llama_server(version=version), words)
    assert caught.value.reason == reason


def test_each_removed_argument_is_still_refused_by_the_binary(llama_server: ServerFactory) -> None:
    binary = llama_server(version="0.3.36")
    removed = [argument for argument in read_arguments(binary).arguments if argument.removed]
    assert removed
    for argument in removed:
        with pytest.raises(ArgumentRefused, match="has been removed") as caught:
            check_syntax(binary, [argument.flag, *["1"] * argument.values])
        assert caught.value.reason == "argument-unknown"
