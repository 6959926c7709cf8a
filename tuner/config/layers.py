"""The three layers of a configuration, and how a name is found in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, get_args

Layer = Literal["build", "env", "args"]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)


def key_of(layer: Layer, name: str) -> str:
    """A setting's full name, `args.ubatch-size`: also its name in Optuna's storage."""
    return f"{layer}.{name}"


def find(name: str, known: Mapping[Layer, Collection[str]]) -> tuple[str, ...]:
    """The full names that `name`, plain or full, may stand for: none when unknown, several when ambiguous."""
    for layer in LAYERS:
        if name.startswith(f"{layer}.") and name.removeprefix(f"{layer}.") in known[layer]:
            return (name,)
    return tuple(key_of(layer, name) for layer in LAYERS if name in known[layer])
