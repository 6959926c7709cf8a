"""Says once, before the first build, which build flags of a study change nothing."""

from __future__ import annotations

from collections.abc import Callable

from tuner.build import HISTORIC_FLAGS, FlagEffect, FlagVerdict
from tuner.config import StudyFile
from tuner.errors import NameUnknown, UserError
from tuner.model import Scalar, Settings, SourceTree
from tuner.space import Space
from tuner.study import Watcher
from tuner.wiring.argument_check import examples

Examine = Callable[[Settings, Settings], tuple[FlagVerdict, ...]]
"""Flags and what they are set over, to a verdict for each flag."""


def report_flags(
    study: StudyFile, space: Space, tree: SourceTree, examine: Examine, watcher: Watcher
) -> None:
    """Raises NameUnknown for typos, UserError for a flag that the tree refuses with every value."""
    verdicts: dict[str, list[FlagVerdict]] = {}
    for name, candidates in _flag_values(study, space).items():
        base = study.fixed.build.without(name)
        verdicts[name] = [
            verdict for value in candidates for verdict in examine(Settings({name: value}), base)
        ]
    for name, found in verdicts.items():
        _say_of_flag(name, found, tree, watcher)


def _say_of_flag(name: str, found: list[FlagVerdict], tree: SourceTree, watcher: Watcher) -> None:
    effects = {verdict.effect for verdict in found}
    if FlagEffect.LIVE in effects or effects == {FlagEffect.EQUAL_TO_DEFAULT}:
        return
    first = found[0]
    if not first.known and first.nearest is not None and name not in HISTORIC_FLAGS:
        raise NameUnknown(
            f"{tree.origin} has no build flag {name}: did you mean {first.nearest}? "
            f"`tuner flags` shows what a flag does in a tree"
        )
    if FlagEffect.REFUSED in effects and len(effects) == 1:
        raise UserError(f"build flag {name}: {first.message}")
    for effect in sorted(effects - {FlagEffect.EQUAL_TO_DEFAULT}):
        verdict = next(verdict for verdict in found if verdict.effect is effect)
        watcher.on_note(f"build flag {name} is {effect.value}: {verdict.message}", warning=True)


def _flag_values(study: StudyFile, space: Space) -> dict[str, tuple[Scalar, ...]]:
    """Every flag of the study with the values that it may take, at most four of a long range."""
    found: dict[str, tuple[Scalar, ...]] = {name: (value,) for name, value in study.fixed.build.items()}
    for _, config in study.baseline_configs:
        for name, value in config.build.items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), value)))
    for tunable in space.tunables:
        if tunable.layer == "build":
            found[tunable.name] = tuple(dict.fromkeys((*found.get(tunable.name, ()), *examples(tunable))))
    return found
