"""Tables from the real `--help` texts of three years."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import install_fake
from tuner.errors import BinaryInvalid
from tuner.launch.arguments import ArgumentTable, parse_completion, parse_help, read_arguments

HELP = Path(__file__).parents[2] / "fakes" / "help"
VERSIONS = ("0.3.1", "0.3.16", "0.3.36")


def table(version: str) -> ArgumentTable:
    return parse_help((HELP / f"{version}.txt").read_text())


@pytest.mark.parametrize(("version", "entries"), [("0.3.1", 120), ("0.3.16", 175), ("0.3.36", 255)])
def test_every_entry_is_found(version: str, entries: int) -> None:
    assert len(table(version).arguments) == entries


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ubatch-size", "N"),
        ("ctx-size", "N"),
        ("threads", "N"),
        ("port", "PORT"),
        ("metrics", None),
        ("cache-type-k", "TYPE"),
        ("n-gpu-layers", "N"),
        ("cpu-strict", "<0|1>"),
    ],
)
def test_arguments_that_never_changed(version: str, name: str, hint: str | None) -> None:
    found = table(version).find(name)
    assert found is not None
    assert (found.name, found.hint, found.removed) == (name, hint, False)
    assert found.values == (0 if hint is None else 1)


def test_flash_attention_became_a_value() -> None:
    old, new = table("0.3.16").find("flash-attn"), table("0.3.36").find("flash-attn")
    assert old is not None
    assert new is not None
    assert (old.hint, old.default) == (None, "disabled")
    assert (new.hint, new.default, new.env) == ("[on|off|auto]", "auto", "LLAMA_ARG_FLASH_ATTN")


def test_aliases_share_a_canonical_name() -> None:
    new = table("0.3.36")
    assert new.canonical("gpu-layers") == new.canonical("n-gpu-layers") == "n-gpu-layers"
    assert new.canonical("swa-checkpoints") == "ctx-checkpoints"
    assert new.canonical("webui") == "ui"
    assert new.canonical("no-such-thing") == "no-such-thing"


def test_a_spelling_longer_than_its_column_has_its_text_below() -> None:
    found = table("0.3.36").find("spec-draft-threads-batch")
    assert found is not None
    assert found.spellings == ("--spec-draft-threads-batch", "-tbd", "--threads-batch-draft")
    assert found.help.startswith("number of threads to use during batch and prompt processing")


def test_negations_are_told_from_names() -> None:
    new = table("0.3.36")
    repack, projector = new.find("repack"), new.find("mmproj-auto")
    assert repack is not None
    assert projector is not None
    assert (repack.spellings, repack.negations) == (("--repack",), ("-nr", "--no-repack"))
    assert projector.negations == ("--no-mmproj", "--no-mmproj-auto")
    assert repack.on_by_default
    lone = table("0.3.1").find("no-mmap")
    assert lone is not None
    assert (lone.name, lone.negations) == ("no-mmap", ())


def test_removed_arguments_do_not_count_as_there() -> None:
    new = table("0.3.36")
    assert not new.has("draft-max")
    gone = new.removed("draft-max")
    assert gone is not None
    assert "use --spec-draft-n-max" in gone.help
    assert new.removed("ubatch-size") is None


def test_two_words() -> None:
    found = table("0.3.1").find("lora-scaled")
    assert found is not None
    assert found.values == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("ubatchsize", "ubatch-size"), ("ngl", "n-gpu-layers"), ("ub", "ubatch-size"), ("qwxyz", None)],
)
def test_nearest(typed: str, meant: str | None) -> None:
    assert table("0.3.36").nearest(typed) == meant


def test_completion() -> None:
    assert parse_completion('  local x\n    opts="-h --help --metrics"\n') == {"-h", "--help", "--metrics"}
    assert parse_completion("nothing of the kind") == frozenset()


def test_reading_a_binary_is_cached_until_it_changes(tmp_path: Path) -> None:
    server = install_fake(tmp_path, version="0.3.1")
    first = read_arguments(server)
    assert read_arguments(server) is first
    install_fake(tmp_path, version="0.3.36")
    os.utime(server, ns=(1, 1))
    assert read_arguments(server).has("load-mode")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("#!/bin/sh\necho hello\n", "does not answer like a llama-server"),
        ("#!/bin/sh\necho broken >&2; exit 127\n", "exit code 127: broken"),
        ("#!/no/such/interpreter\n", "cannot be run"),
    ],
)
def test_what_is_not_a_llama_server(tmp_path: Path, script: str, says: str) -> None:
    binary = tmp_path / "llama-server"
    binary.write_text(script)
    binary.chmod(0o755)
    with pytest.raises(BinaryInvalid, match=says):
        read_arguments(binary)


def test_no_binary_at_all(tmp_path: Path) -> None:
    with pytest.raises(BinaryInvalid, match="cannot be run"):
        read_arguments(tmp_path / "none")
    with pytest.raises(BinaryInvalid, match="cannot be run"):
        read_arguments(tmp_path)


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    parse_help(text)


_NAME = st.from_regex(r"[a-z]{2,9}(-[a-z0-9]{1,9}){0,3}", fullmatch=True).filter(
    lambda name: not name.startswith("no-")
)


@given(
    names=st.lists(_NAME, min_size=1, max_size=3, unique=True), hint=st.sampled_from([None, "N", "[on|off]"])
)
def test_what_llama_cpp_prints_is_read_back(names: list[str], hint: str | None) -> None:
    """The layout of `common_arg::to_string` (common/arg.cpp)."""
    spec = ", ".join(f"--{name}" for name in names) + (f" {hint}" if hint else "")
    text = "does something (default: 3)"
    entry = f"{spec}\n{' ' * 40}{text}" if len(spec) > 37 else f"{spec:<40}{text}"
    found = parse_help(f"----- common params -----\n\n{entry}\n{' ' * 40}(env: LLAMA_ARG_X)\n").arguments
    assert len(found) == 1
    assert found[0].spellings == tuple(f"--{name}" for name in names)
    assert (found[0].hint, found[0].default, found[0].env) == (hint, "3", "LLAMA_ARG_X")
