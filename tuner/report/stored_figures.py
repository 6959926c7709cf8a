"""A record's figures in little memory: of ten thousand trials there are more than a million.

Numbers are kept in arrays, and what records have in common (names, reasons, what intervals are over) once. A
`Figure` is made when it is asked for.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from tuner.model import Figure


class Commons:
    """What several records share: equal tuples become one."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._places: dict[tuple[str, ...], dict[str, int]] = {}

    def one(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._known.setdefault(values, values)

    def places(self, names: tuple[str, ...]) -> dict[str, int]:
        """Where each name is."""
        if names not in self._places:
            self._places[names] = {name: place for place, name in enumerate(names)}
        return self._places[names]


class StoredFigures(Mapping[str, Figure]):
    """As a dict of figures, read from the JSON form that records are stored in."""

    __slots__ = ("_counts", "_highs", "_lows", "_missing", "_over", "_places", "_samples", "names", "values_")

    def __init__(self, stored: Mapping[str, Mapping[str, Any]], commons: Commons) -> None:
        """Raises KeyError, TypeError for what is no figure."""
        rows = stored.values()
        self.names: tuple[str, ...] = commons.one(tuple(stored))
        """In their order; the same object in records with the same figures."""
        self.values_ = _floats(row["value"] for row in rows)
        """By `names`; NaN where there is none."""
        self._lows = _floats(row.get("low") for row in rows)
        self._highs = _floats(row.get("high") for row in rows)
        self._samples = array("d", [value for row in rows for value in row["samples"]])
        self._counts: tuple[int, ...] = commons.one(tuple(len(row["samples"]) for row in rows))
        self._missing: tuple[str, ...] = commons.one(tuple(row["missing"] for row in rows))
        self._over: tuple[str, ...] = commons.one(tuple(row.get("over", "") for row in rows))
        self._places = commons.places(self.names)

    def __getitem__(self, name: str) -> Figure:
        place = self._places[name]
        begin = sum(self._counts[:place])
        return Figure(
            value=_known(self.values_[place]),
            missing=self._missing[place],
            samples=tuple(self._samples[begin : begin + self._counts[place]]),
            low=_known(self._lows[place]),
            high=_known(self._highs[place]),
            over=self._over[place],
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]  # as a dict's

    def interval(self, name: str) -> tuple[float, float]:
        """Its ends; NaN where there is none, or no such figure."""
        place = self._places.get(name)
        return (math.nan, math.nan) if place is None else (self._lows[place], self._highs[place])


def _floats(values: Iterator[float | None]) -> array[float]:
    return array("d", [math.nan if value is None else value for value in values])


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
