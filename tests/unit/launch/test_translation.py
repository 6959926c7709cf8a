"""Settings become the words that each version understands, or an error that says what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import fake_llama_server
from tuner.errors import ArgumentRefused
from tuner.launch.arguments import ArgumentTable, parse_help
from tuner.launch.translation import translate
from tuner.model import Scalar, Settings

HELP = Path(__file__).parents[2] / "fakes" / "help"
TABLES: dict[str, ArgumentTable] = {
    version: parse_help((HELP / f"{version}.txt").read_text()) for version in ("0.3.1", "0.3.16", "0.3.36")
}
OLD, MIDDLE, NEW = "0.3.1", "0.3.16", "0.3.36"


def words(version: str, **args: Scalar) -> str:
    named = {name.replace("_", "-"): value for name, value in args.items()}
    return " ".join(translate(Settings(named), TABLES[version]).argv)


@pytest.mark.parametrize("version", [OLD, MIDDLE, NEW])
def test_plain_values_keep_their_form(version: str) -> None:
    assert words(version, ubatch_size=64, rope_freq_scale=0.5) == "--rope-freq-scale 0.5 --ubatch-size 64"


@pytest.mark.parametrize(
    ("version", "value", "expected"),
    [
        (NEW, True, "--flash-attn on"),
        (NEW, False, "--flash-attn off"),
        (NEW, "on", "--flash-attn on"),
        (NEW, "auto", "--flash-attn auto"),
        (OLD, True, "--flash-attn"),
        (OLD, False, ""),
        (OLD, "on", "--flash-attn"),
        (MIDDLE, "off", ""),
        (MIDDLE, "auto", ""),
    ],
)
def test_flash_attention(version: str, value: Scalar, expected: str) -> None:
    assert words(version, flash_attn=value) == expected


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"mlock": True}, "--load-mode mmap+mlock"),
        ({"mlock": True, "mmap": False}, "--load-mode mlock"),
        ({"no-mmap": True}, "--load-mode none"),
        ({"mmap": False}, "--load-mode none"),
        ({"mmap": True}, "--load-mode mmap"),
        ({"mlock": False}, ""),
        ({"direct-io": True}, "--load-mode dio"),
        ({"load-mode": "mlock"}, "--load-mode mlock"),
    ],
)
def test_old_loading_switches_on_a_new_server(args: dict[str, Scalar], expected: str) -> None:
    assert " ".join(translate(Settings(args), TABLES[NEW]).argv) == expected


@pytest.mark.parametrize("version", [OLD, MIDDLE])
@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("auto", ""),
        ("mmap", ""),
        ("none", "--no-mmap"),
        ("mlock", "--no-mmap --mlock"),
        ("mmap+mlock", "--mlock"),
    ],
)
def test_load_mode_on_an_old_server(version: str, mode: str, expected: str) -> None:
    assert words(version, load_mode=mode) == expected


@pytest.mark.parametrize(
    ("version", "args", "expected"),
    [
        (NEW, {"draft-max": 3}, "--spec-draft-n-max 3"),
        (MIDDLE, {"spec-draft-n-max": 3}, "--draft-max 3"),
        (NEW, {"model-draft": "d.gguf"}, "--model-draft d.gguf"),
        (MIDDLE, {"spec-draft-model": "d.gguf"}, "--model-draft d.gguf"),
        (NEW, {"no-webui": True}, "--no-webui"),
        (MIDDLE, {"ui": False}, "--no-webui"),
        (MIDDLE, {"ui": True}, ""),
        (NEW, {"n-gpu-layers": "all"}, "--n-gpu-layers all"),
        (OLD, {"n-gpu-layers": "all"}, "--n-gpu-layers 999"),
        (MIDDLE, {"gpu-layers": "auto"}, "--gpu-layers 999"),
        (NEW, {"parallel": -1}, "--parallel -1"),
        (OLD, {"parallel": -1}, ""),
        (NEW, {"kv-offload": False}, "--no-kv-offload"),
        (OLD, {"kv-offload": False}, "--no-kv-offload"),
        (OLD, {"no-kv-offload": True}, "--no-kv-offload"),
        (NEW, {"no-kv-offload": False}, "--kv-offload"),
        (MIDDLE, {"repack": False, "op-offload": False}, "--no-op-offload --no-repack"),
        (NEW, {"fit": False, "cpu-strict": True}, "--cpu-strict 1 --fit off"),
        (OLD, {"cont-batching": False}, "--no-cont-batching"),
        (OLD, {"lora-scaled": "'a file' 0.5"}, "--lora-scaled a file 0.5"),
    ],
)
def test_both_directions(version: str, args: dict[str, Scalar], expected: str) -> None:
    assert " ".join(translate(Settings(args), TABLES[version]).argv) == expected


@pytest.mark.parametrize(
    ("version", "args"),
    [
        (NEW, {"mlock": True}),
        (NEW, {"flash-attn": True}),
        (NEW, {"draft-max": 3}),
        (OLD, {"flash-attn": "on"}),
        (OLD, {"flash-attn": "auto"}),
        (OLD, {"n-gpu-layers": "all"}),
        (OLD, {"parallel": -1}),
        (OLD, {"mmap": True}),
        (NEW, {"defrag-thold": 0.1}),
    ],
)
def test_every_translation_is_said(version: str, args: dict[str, Scalar]) -> None:
    notes = translate(Settings(args), TABLES[version]).notes
    assert len(notes) == 1
    assert next(iter(args)) in notes[0]


def test_nothing_is_said_when_nothing_was_translated() -> None:
    args = Settings({"flash-attn": "on", "ubatch-size": 3, "metrics": True, "repack": False})
    assert translate(args, TABLES[NEW]).notes == ()


@pytest.mark.parametrize(
    ("version", "args", "reason", "says"),
    [
        (NEW, {"ubatchsize": 3}, "argument-unknown", "did you mean ubatch-size?"),
        (NEW, {"ngl": 3}, "argument-unknown", "did you mean n-gpu-layers?"),
        (NEW, {"qwxyz": 3}, "argument-unknown", "tuner args"),
        (NEW, {"spec-ngram-size-n": 3}, "argument-unknown", "has been removed. use the respective"),
        (OLD, {"load-mode": "dio"}, "argument-value", "cannot be said"),
        (OLD, {"load-mode": "quick"}, "argument-value", "cannot be said"),
        (OLD, {"flash-attn": "perhaps"}, "argument-value", "neither on, off nor auto"),
        (NEW, {"ubatch-size": True}, "argument-value", "it takes N"),
        (NEW, {"metrics": 1}, "argument-value", "switch"),
        (NEW, {"mlock": "yes"}, "argument-value", "switch"),
        (NEW, {"mlock": True, "load-mode": "none"}, "argument-value", "contradicts"),
        (NEW, {"gpu-layers": 1, "n-gpu-layers": 2}, "argument-value", "remove one"),
        (NEW, {"draft-max": 1, "spec-draft-n-max": 2}, "argument-value", "remove one"),
        (NEW, {"ui": True, "no-webui": True}, "argument-value", "remove one"),
        (OLD, {"lora-scaled": "just-one"}, "argument-value", "2 words"),
    ],
)
def test_refusals(version: str, args: dict[str, Scalar], reason: str, says: str) -> None:
    with pytest.raises(ArgumentRefused) as caught:
        translate(Settings(args), TABLES[version])
    assert caught.value.reason == reason
    assert says in str(caught.value)


def test_a_switch_that_cannot_be_turned_off() -> None:
    table = parse_help("--thing                                 does it (default: enabled)\n")
    assert translate(Settings(thing=True), table).argv == ("--thing",)
    with pytest.raises(ArgumentRefused, match="cannot turn it off"):
        translate(Settings(thing=False), table)


_ARGS = st.fixed_dictionaries(
    {},
    optional={
        "ubatch-size": st.integers(1, 4096),
        "batch-size": st.integers(1, 4096),
        "parallel": st.integers(1, 8) | st.just(-1),
        "threads": st.integers(1, 64),
        "flash-attn": st.sampled_from([True, False, "on", "off", "auto"]),
        "mlock": st.booleans(),
        "mmap": st.booleans(),
        "kv-offload": st.booleans(),
        "cont-batching": st.booleans(),
        "n-gpu-layers": st.integers(0, 99) | st.sampled_from(["auto", "all"]),
        "cache-type-k": st.sampled_from(["f16", "q8_0"]),
    },
)


@pytest.mark.parametrize("version", [OLD, MIDDLE, NEW])
@given(args=_ARGS)
def test_what_is_written_can_be_parsed(version: str, args: dict[str, Scalar]) -> None:
    """The stand-in parses with an own reading of the real help text."""
    parsed = fake_llama_server.parse(list(translate(Settings(args), TABLES[version]).argv), version)
    for name in ("ubatch-size", "batch-size", "threads"):
        if name in args:
            assert parsed[name.replace("-", "_")] == args[name]
