"""Named settings that cannot change and can be hashed: build flags, environment, server arguments."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

Scalar = bool | int | float | str


class Settings(Mapping[str, Scalar]):
    """An immutable mapping from names to scalars, ordered by name.

    Two are equal when they hold the same names with the same values *of the same type*: `True` and `1`
    are different settings, because they are written differently on a command line.
    """

    __slots__ = ("_hash", "_items")

    def __init__(self, items: Mapping[str, Scalar] | None = None, /, **named: Scalar) -> None:
        merged = {**(items or {}), **named}
        self._items: dict[str, Scalar] = {name: merged[name] for name in sorted(merged)}
        self._hash = hash(tuple((name, type(value), value) for name, value in self._items.items()))

    def __getitem__(self, name: str) -> Scalar:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Settings):
            return NotImplemented
        return self._hash == other._hash and self.to_json() == other.to_json()

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self._items.items())})"

    def merged(self, other: Mapping[str, Scalar]) -> Settings:
        """A copy in which `other` wins."""
        return Settings({**self._items, **other})

    def without(self, *names: str) -> Settings:
        """A copy that lacks `names`; names that are not there are ignored."""
        return Settings({name: value for name, value in self._items.items() if name not in names})

    def to_json(self) -> str:
        """Canonical JSON: sorted, without spaces."""
        return json.dumps(self._items, separators=(",", ":"))


def digest(*parts: str) -> str:
    """SHA-256 over `parts`, each preceded by its length so that no two lists collide; 64 hex digits."""
    hasher = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        hasher.update(f"{len(encoded)}:".encode())
        hasher.update(encoded)
    return hasher.hexdigest()
