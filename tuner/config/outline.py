"""What can be told of a study file even when parts of it are wrong, so that all mistakes show at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuner.config.document import Path
from tuner.config.layers import LAYERS, Layer, key_of
from tuner.config.parameters import ParameterSpec, RangeSpec, ValuesSpec

_PARAMETER: TypeAdapter[ValuesSpec | RangeSpec] = TypeAdapter(ParameterSpec)
_FIXED_AT: Mapping[Layer, Path] = {
    "build": ("build", "flags"),
    "env": ("serve", "env"),
    "args": ("serve", "args"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """One parameter of the space; `spec` is None when it is malformed."""

    layer: Layer
    name: str
    spec: ValuesSpec | RangeSpec | None

    @property
    def key(self) -> str:
        return key_of(self.layer, self.name)

    @property
    def path(self) -> Path:
        return ("space", self.layer, self.name)


@dataclass(frozen=True, slots=True)
class Outline:
    """Tolerant access to the file's plain content: what has the wrong shape counts as absent."""

    content: Mapping[str, Any]

    def at(self, *path: str | int) -> Any:
        """The plain value at `path`, or None."""
        here: Any = self.content
        for part in path:
            if isinstance(here, Mapping):
                here = here.get(part)
            elif isinstance(here, list) and isinstance(part, int) and part < len(here):
                here = here[part]
            else:
                return None
        return here

    def mapping(self, *path: str | int) -> Mapping[str, Any]:
        """The mapping at `path`, empty when there is none."""
        value = self.at(*path)
        return value if isinstance(value, Mapping) else {}

    def items(self, *path: str | int) -> list[Any]:
        """The list at `path`, empty when there is none."""
        value = self.at(*path)
        return value if isinstance(value, list) else []

    def fixed(self, layer: Layer) -> Mapping[str, Any]:
        """Fixed settings of a layer."""
        return self.mapping(*_FIXED_AT[layer])

    def fixed_path(self, layer: Layer) -> Path:
        """Where the fixed settings of a layer stand."""
        return _FIXED_AT[layer]

    def searched(self) -> tuple[Searched, ...]:
        """Every parameter of the space."""
        return tuple(
            Searched(layer=layer, name=name, spec=_parse(value))
            for layer in LAYERS
            for name, value in self.mapping("space", layer).items()
        )

    def workloads(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Position and keys of every workload that is a mapping."""
        for index, workload in enumerate(self.items("workloads")):
            if isinstance(workload, Mapping):
                yield index, workload

    def arguments(self) -> Iterator[tuple[Path, Any]]:
        """Every server argument that the file mentions, with its path and value."""
        places: list[Path] = [_FIXED_AT["args"], ("space", "args")]
        places += [("baselines", name, "args") for name in self.mapping("baselines")]
        for place in places:
            for name, value in self.mapping(*place).items():
                yield (*place, name), value


def _parse(value: Any) -> ValuesSpec | RangeSpec | None:
    try:
        return _PARAMETER.validate_python(value)
    except ValidationError:
        return None
