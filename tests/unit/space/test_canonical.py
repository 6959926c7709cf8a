"""The canonical form: what is merged, and above all what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.config import CURRENT_DEFAULTS, STABLE_DEFAULTS
from tuner.model import Scalar, Settings, TrialConfig
from tuner.space import CanonicalFacts, canonical, total_context

FACTS = CanonicalFacts(
    context_per_request=512,
    inert_flags=frozenset({"GGML_CUDA_DMMV_X"}),
    default_flags={"GGML_OPENMP": True, "GGML_LTO": "OFF", "GGML_CUDA_FA_QUANTS": "x"},
    default_args=CURRENT_DEFAULTS,
    default_slots=4,
)


def args_of(facts: CanonicalFacts = FACTS, /, **named: Scalar) -> dict[str, Scalar]:
    settings = Settings({name.replace("_", "-"): value for name, value in named.items()})
    return {
        name.replace("-", "_"): value
        for name, value in canonical(TrialConfig(args=settings), facts).args.items()
    }


def test_flags() -> None:
    flags = Settings(
        GGML_CUDA_DMMV_X=64,
        GGML_OPENMP="ON",
        GGML_LTO=False,
        GGML_CUDA_FA_QUANTS="all",
        GGML_NATIVE="OFF",
        GGML_A=1,
        GGML_B="on",
    )
    assert canonical(TrialConfig(build=flags), FACTS).build == Settings(
        GGML_CUDA_FA_QUANTS="all", GGML_NATIVE=False, GGML_A=1, GGML_B="on"
    )


def test_environment_is_what_the_server_sees() -> None:
    env = Settings(A=True, B=1, C="1", D=False, E=0.5)
    assert canonical(TrialConfig(env=env), FACTS).env == Settings(A="1", B="1", C="1", D=False, E="0.5")


@pytest.mark.parametrize(
    ("given", "form"),
    [
        # 4 slots of 512: 2048 tokens in all.
        ({"batch_size": 2048}, {}),
        ({"batch_size": 4096}, {}),
        ({"batch_size": 1024}, {"batch_size": 1024}),
        ({"ubatch_size": 512}, {}),
        ({"ubatch_size": 4096}, {"ubatch_size": 2048}),
        ({"ubatch_size": 1024, "batch_size": 256}, {"batch_size": 256}),
        ({"ubatch_size": 512, "batch_size": 256}, {"batch_size": 256}),
        ({"ubatch_size": 128, "batch_size": 256}, {"batch_size": 256, "ubatch_size": 128}),
        # one slot: 512 tokens.
        ({"parallel": 1, "batch_size": 2048, "ubatch_size": 1024}, {"parallel": 1}),
        ({"parallel": 1, "batch_size": 512}, {"parallel": 1}),
        ({"parallel": 1, "batch_size": 256}, {"parallel": 1, "batch_size": 256}),
        ({"parallel": 8, "batch_size": 8192}, {"parallel": 8, "batch_size": 4096}),
        ({"parallel": -1, "batch_size": 4096}, {}),
        ({"parallel": 4}, {"parallel": 4}),
        # the server has its own answer to these
        ({"batch_size": 0}, {"batch_size": 0}),
        ({"batch_size": -5, "ubatch_size": 8192}, {"batch_size": -5, "ubatch_size": 2048}),
        ({"batch_size": "512"}, {"batch_size": "512"}),
        ({"batch_size": True}, {"batch_size": True}),
        ({"ubatch_size": 0}, {"ubatch_size": 0}),
    ],
)
def test_batches_are_clamped(given: dict[str, Scalar], form: dict[str, Scalar]) -> None:
    assert args_of(**given) == form


def test_without_known_slots_nothing_is_clamped_to_the_context() -> None:
    facts = CanonicalFacts(context_per_request=512, default_args=STABLE_DEFAULTS)
    assert args_of(facts, batch_size=1_000_000) == {"batch_size": 1_000_000}
    assert args_of(facts, ubatch_size=4096) == {"ubatch_size": 2048}
    # Two slots of 512: 1024 tokens, which is also what the default of 2048 comes down to.
    assert args_of(facts, parallel=2, batch_size=1_000_000) == {"parallel": 2}


def test_without_known_defaults_only_sizes_are_clamped() -> None:
    facts = CanonicalFacts(context_per_request=100)
    assert args_of(facts, parallel=2, batch_size=2048, ubatch_size=2048, flash_attn="auto") == {
        "parallel": 2,
        "batch_size": 512,
        "ubatch_size": 512,
        "flash_attn": "auto",
    }
    assert args_of(facts, parallel=2, ubatch_size=2048) == {"parallel": 2, "ubatch_size": 512}


@pytest.mark.parametrize(
    ("slots", "per_request", "total"),
    [(1, 1, 256), (1, 256, 256), (1, 257, 512), (4, 300, 2048), (3, 512, 1536)],
)
def test_total_context(slots: int, per_request: int, total: int) -> None:
    assert total_context(slots, per_request) == total


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ({"flash_attn": "auto", "poll": 50, "prio": 0}, {}),
        ({"flash_attn": "on", "poll": 0}, {"flash_attn": "on", "poll": 0}),
        # True is not 1, and text is not a number.
        ({"prio": False}, {"prio": False}),
        ({"poll": "50"}, {"poll": "50"}),
        ({"threads": 4, "threads_batch": 4}, {"threads": 4}),
        ({"threads": 4, "threads_batch": 8}, {"threads": 4, "threads_batch": 8}),
        ({"threads_batch": 4}, {"threads_batch": 4}),
        ({"threads": 1000}, {"threads": 1000}),
        # An explicit -1 is all logical CPUs; the default -1 is the physical ones.
        ({"threads": -1}, {"threads": -1}),
        # An explicit threads-batch does not inherit affinity, priority and polling.
        (
            {"threads": 4, "threads_batch": 4, "poll": 0},
            {"threads": 4, "threads_batch": 4, "poll": 0},
        ),
        ({"threads": 4, "threads_batch": 4, "poll": 50}, {"threads": 4}),
        (
            {"threads": 4, "threads_batch": 4, "cpu_range_batch": "0-3"},
            {"threads": 4, "threads_batch": 4, "cpu_range_batch": "0-3"},
        ),
    ],
)
def test_defaults_and_threads(given: dict[str, Scalar], form: dict[str, Scalar]) -> None:
    assert args_of(**given) == form


_SCALARS = st.sampled_from([True, False, 0, 1, -1, 2, 4, 50, 0.5, "on", "off", "auto", "ON", "f16"])
_SIZES = st.sampled_from([-1, 0, 1, 64, 255, 256, 512, 2048, 4096, "512"]) | st.integers(1, 10_000)
_ARGS = st.fixed_dictionaries(
    {},
    optional={
        "batch-size": _SIZES,
        "ubatch-size": _SIZES,
        "parallel": st.sampled_from([-1, 0, 1, 2, 4, 8, "4"]),
        "threads": st.integers(-1, 8),
        "threads-batch": st.integers(-1, 8),
        "poll": _SCALARS,
        "flash-attn": _SCALARS,
        "cache-type-k": _SCALARS,
        "cpu-mask": _SCALARS,
    },
)
_CONFIGS = st.builds(
    lambda build, env, args: TrialConfig(build=Settings(build), env=Settings(env), args=Settings(args)),
    st.dictionaries(st.sampled_from(["GGML_OPENMP", "GGML_LTO", "GGML_CUDA_DMMV_X", "GGML_X"]), _SCALARS),
    st.dictionaries(st.sampled_from(["A", "B"]), _SCALARS),
    _ARGS,
)
_FACTS = st.sampled_from(
    [
        FACTS,
        CanonicalFacts(context_per_request=300),
        CanonicalFacts(context_per_request=300, default_slots=1),
        CanonicalFacts(context_per_request=1, default_args=STABLE_DEFAULTS),
        CanonicalFacts(context_per_request=4096, default_args=CURRENT_DEFAULTS),
    ]
)


@given(_CONFIGS, _FACTS)
def test_idempotent(config: TrialConfig, facts: CanonicalFacts) -> None:
    once = canonical(config, facts)
    assert canonical(once, facts) == once


@given(_CONFIGS, _FACTS, st.data())
def test_order_does_not_matter(config: TrialConfig, facts: CanonicalFacts, data: st.DataObject) -> None:
    def shuffled(settings: Settings) -> Settings:
        return Settings(dict(data.draw(st.permutations(list(settings.items())))))

    reordered = TrialConfig(
        build=shuffled(config.build), env=shuffled(config.env), args=shuffled(config.args)
    )
    assert canonical(reordered, facts).key == canonical(config, facts).key


@given(_CONFIGS, _FACTS)
def test_writing_the_defaults_out_changes_nothing(config: TrialConfig, facts: CanonicalFacts) -> None:
    explicit = TrialConfig(
        build=Settings({**facts.default_flags, **config.build}),
        env=config.env,
        args=Settings({**facts.default_args, **config.args}),
    )
    assert canonical(explicit, facts) == canonical(config, facts)


def _effective(config: TrialConfig, facts: CanonicalFacts) -> tuple[int, int] | None:
    """n_batch and n_ubatch as llama_context computes them, where all is known and valid."""
    slots = config.args.get("parallel", facts.default_slots)
    if slots == -1 and facts.default_args.get("parallel") == -1:
        slots = facts.default_slots
    batch = config.args.get("batch-size", facts.default_args.get("batch-size"))
    ubatch = config.args.get("ubatch-size", facts.default_args.get("ubatch-size"))
    for value in (slots, batch, ubatch):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            return None
    assert isinstance(slots, int)
    assert isinstance(batch, int)
    assert isinstance(ubatch, int)
    n_batch = min(batch, total_context(slots, facts.context_per_request))
    return n_batch, min(ubatch, n_batch)


@given(_CONFIGS, _FACTS)
def test_the_server_would_do_the_same(config: TrialConfig, facts: CanonicalFacts) -> None:
    assert _effective(canonical(config, facts), facts) == _effective(config, facts)
