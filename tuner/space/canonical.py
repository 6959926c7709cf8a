"""What a server would really do with a configuration: the form in which equal configurations are equal.

Only what is certain is merged. Two configurations that are taken for different cost a measurement; two that
are taken for equal although they differ cost the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tuner.model import Scalar, Settings, TrialConfig

CONTEXT_STEP: Final = 256
"""llama.cpp rounds a slot's context up to this (`GGML_PAD(cparams.n_ctx_seq, 256)`, llama-context.cpp)."""

_SHAPES_THREADS: Final = frozenset(
    f"{name}{suffix}"
    for name in ("cpu-mask", "cpu-range", "cpu-strict", "poll", "prio")
    for suffix in ("", "-batch")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalFacts:
    """What has to be known of the source tree, the binary and the study."""

    context_per_request: int
    """Tokens that every slot holds at least."""
    inert_flags: frozenset[str] = frozenset()
    """CMake variables that change nothing in this source tree."""
    default_flags: Mapping[str, Scalar] = field(default_factory=dict)
    """CMake variables and the values that they have when they are not given."""
    default_args: Mapping[str, Scalar] = field(default_factory=dict)
    """This binary's own defaults (`tuner.config.CURRENT_DEFAULTS` for a current one)."""
    default_slots: int | None = None
    """Slots of a server without `parallel`: 4 for a current one, 1 for older ones; None: not known."""


def canonical(config: TrialConfig, facts: CanonicalFacts) -> TrialConfig:
    """The configuration without what makes no difference. Idempotent.

    Inert flags and values that are the default anyway go; `batch-size` is clamped to the total context and
    `ubatch-size` to `batch-size`, as llama.cpp does silently (`llama_context`, llama-context.cpp);
    `threads-batch` goes where it equals `threads`. Threads beyond the machine's CPUs stay: they differ.
    """
    return TrialConfig(
        build=_canonical_build(config.build, facts),
        env=Settings({name: _environment_text(value) for name, value in config.env.items()}),
        args=_canonical_args(config.args, facts),
    )


def total_context(slots: int, context_per_request: int) -> int:
    """ctx-size that gives every one of `slots` at least `context_per_request` tokens."""
    return slots * -(-context_per_request // CONTEXT_STEP) * CONTEXT_STEP


def _canonical_build(flags: Settings, facts: CanonicalFacts) -> Settings:
    return Settings(
        {
            name: _flag_value(value)
            for name, value in flags.items()
            if name not in facts.inert_flags
            and not (
                name in facts.default_flags
                and _is(_flag_value(value), _flag_value(facts.default_flags[name]))
            )
        }
    )


def _flag_value(value: Scalar) -> Scalar:
    """true and false are written ON and OFF on cmake's command line."""
    return {"ON": True, "OFF": False}.get(value, value) if isinstance(value, str) else value


def _environment_text(value: Scalar) -> Scalar:
    """As the server sees it: true is 1, false is a variable that is not set."""
    if isinstance(value, bool):
        return "1" if value else False
    return str(value)


def _canonical_args(args: Settings, facts: CanonicalFacts) -> Settings:
    context = _context(args, facts)
    kept = dict(args)
    _clamp_batches(kept, facts, context)
    kept = {name: value for name, value in kept.items() if not _is(value, facts.default_args.get(name))}
    shaped = _SHAPES_THREADS & kept.keys()
    # An explicit threads-batch does not inherit affinity, priority and polling from the other threads.
    if not shaped and "threads" in kept and _is(kept["threads"], kept.get("threads-batch")):
        del kept["threads-batch"]
    return Settings(kept)


def _context(args: Settings, facts: CanonicalFacts) -> int | None:
    """The server's total context, None where it is not known."""
    slots = args.get("parallel", facts.default_slots)
    if _is(slots, facts.default_args.get("parallel")):
        slots = facts.default_slots
    size = _size(slots)
    return None if size is None else total_context(size, facts.context_per_request)


def _clamp_batches(args: dict[str, Scalar], facts: CanonicalFacts, context: int | None) -> None:
    """Replace what llama.cpp would replace, and drop what is then the default."""
    batch = _clamp(args, "batch-size", facts, context)
    _clamp(args, "ubatch-size", facts, context if batch is None else batch)


def _clamp(args: dict[str, Scalar], name: str, facts: CanonicalFacts, limit: int | None) -> int | None:
    """The size in effect, None where it is not known."""
    default = _least(_size(facts.default_args.get(name)), limit)
    if name not in args:
        return default
    given = _size(args[name])
    if given is None:
        # Zero, negative or text: the server has its own answer to that.
        return None
    effective = given if limit is None else min(given, limit)
    if effective == default:
        del args[name]
    else:
        args[name] = effective
    return effective


def _size(value: Scalar | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else None


def _least(value: int | None, limit: int | None) -> int | None:
    return value if value is None or limit is None else min(value, limit)


def _is(value: Scalar | None, other: Scalar | None) -> bool:
    return value is not None and type(value) is type(other) and value == other
