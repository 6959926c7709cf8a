"""Which of several finalists is better than the baselines? Asked of blocks of fresh launches, look by look.

A block holds one launch of everything that is compared, in random order (randomised complete blocks:
Fisher, *The Design of Experiments*, 1935), so that drift between blocks falls on all alike and is taken out
by pairing. After every block from the third on there is a look at all intervals. The chance that *any* of
them is wrong at *any* look is at most 1 - `confidence`: it is divided among looks, most being left for the
last, and among comparisons by Bonferroni's inequality, which assumes nothing about how they depend on each
other. So it may be stopped at any look, and the one that looks best may be picked: its interval keeps its
coverage (repeated confidence intervals: Jennison and Turnbull, *Group Sequential Methods*, 1999, chapter 9;
elimination of what has lost: Even-Dar, Mannor and Mansour, JMLR 7, 2006).

The intervals are Student's: at levels divided so far a rank test could say nothing before some ten blocks.
tests/unit/stats/test_finalists.py simulates how often they are wrong under noise that is not normal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy import special

from tuner.stats.compare import Comparison, Verdict

FIRST_LOOK = 3
"""Blocks before the first look: the spread of two differences is hardly known."""
_LAST_LOOK_SHARE = 0.8
"""Of the error allowed, what is left for the last look."""
_FUTILITY_LOOK = 4
_HOPE_Z = 1.645
"""A finalist goes on while its chance to be proven at the last look is more than about 5 %."""

Block = Mapping[str, float]
"""One value for each name that was launched and measured in this block."""


class Fate(StrEnum):
    """What has become of a finalist."""

    RUNNING = "running"
    WORSE = "worse"
    """Proven worse than a baseline."""
    BEHIND = "behind"
    """Proven worse than another finalist."""
    TOO_SMALL = "too small"
    """What it may gain is below what counts as a gain."""
    HOPELESS = "hopeless"
    """The launches that are left would hardly prove anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a contest is judged."""

    blocks: int
    """At most; at least `FIRST_LOOK`."""
    higher_is_better: bool = True
    confidence: float = 0.99
    """That every interval at every look is right."""
    floor: float = 0.0
    """The smallest relative difference that is called one, such as 0.02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One finalist."""

    name: str
    fate: Fate
    against: Mapping[str, Comparison]
    """By baseline; ratios are of the figure itself."""
    blocks: int
    """After how many it was last looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Where a contest is after its last block."""

    standings: tuple[Standing, ...]
    """In the order given."""
    baselines: Mapping[str, Comparison]
    """Every baseline but the first against the first."""
    keep: str
    """The baseline to beat: the best of those proven better than the first, or the first."""
    leader: str
    """The finalist that looks best, of those running if there is one."""
    winner: str | None
    """The leader, when it is proven better than `keep`."""
    settled: bool
    """Further blocks would not change the answer, or there are none."""


def judge(
    blocks: Sequence[Block],
    *,
    baselines: Sequence[str],
    finalists: Sequence[str],
    rules: Rules,
    entered: int | None = None,
) -> Contest:
    """The contest of `finalists` against `baselines`, the first of which is the default.

    `blocks` are complete: a name is absent where it was out already or could not be measured. Looks are
    replayed from the first, so the answer depends on the blocks alone. `entered` counts the finalists that
    there were at first, if some had to leave for other reasons. A figure that is 0 somewhere has no
    logarithm and no interval. Raises ValueError without finalists or baselines.
    """
    if not finalists or not baselines:
        raise ValueError("a contest needs a finalist and a baseline")
    scale = _Scale(comparisons=comparisons_of(entered or len(finalists), len(baselines)), rules=rules)
    fates = dict.fromkeys(finalists, Fate.RUNNING)
    last = dict.fromkeys(finalists, 0)
    for done in range(FIRST_LOOK, min(len(blocks), rules.blocks) + 1):
        running = [name for name in finalists if fates[name] is Fate.RUNNING]
        found = {name: _against(blocks[:done], baselines, name, scale.at(done)) for name in running}
        last |= dict.fromkeys(running, done)
        if found and _all_better(found[_leader(found, scale)]):
            break
        fates |= _eliminated(blocks[:done], found, scale, done)
        if Fate.RUNNING not in fates.values() and not _open(blocks[:done], baselines, scale):
            break
    else:
        done = min(len(blocks), rules.blocks)
    return _contest(blocks[:done], baselines, fates, {n: last[n] or done for n in finalists}, scale)


def comparisons_of(finalists: int, baselines: int) -> int:
    """How many intervals hold together: every finalist with every baseline, and those with the first."""
    return finalists * baselines + baselines - 1


def compare_in_blocks(
    blocks: Sequence[Block], baseline: str, candidate: str, *, rules: Rules, comparisons: int
) -> Comparison | None:
    """One interval as the contest after `blocks` has it, for a figure that does not decide it.

    None when no block has both.
    """
    scale = _Scale(comparisons=comparisons, rules=rules)
    return _compare(blocks, baseline, candidate, scale.at(len(blocks)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    confidence: float
    rules: Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """How the error allowed is divided."""

    comparisons: int
    rules: Rules

    def at(self, done: int) -> _Level:
        """Of a single interval at the look after `done` blocks."""
        error, looks = 1 - self.rules.confidence, self.rules.blocks - FIRST_LOOK + 1
        if looks > 1:
            last = done >= self.rules.blocks
            error *= _LAST_LOOK_SHARE if last else (1 - _LAST_LOOK_SHARE) / (looks - 1)
        return _Level(confidence=1 - error / self.comparisons, rules=self.rules)


def _against(
    blocks: Sequence[Block], baselines: Sequence[str], name: str, level: _Level
) -> dict[str, Comparison]:
    return {
        baseline: compared
        for baseline in baselines
        if baseline != name and (compared := _compare(blocks, baseline, name, level)) is not None
    }


def _compare(blocks: Sequence[Block], baseline: str, name: str, level: _Level) -> Comparison | None:
    """Student's interval for the mean of the blocks' log ratios; None when no block has both.

    There is no interval before the first look, nor where the differences do not vary at all.
    """
    pairs = [(block[baseline], block[name]) for block in blocks if baseline in block and name in block]
    if not pairs:
        return None
    if min(min(pair) for pair in pairs) <= 0:
        below, above = (math.fsum(pair[side] for pair in pairs) for side in (0, 1))
        ratio = above / below if below else (math.inf if above else 1.0)
        return Comparison(ratio=ratio, low=None, high=None, verdict="cannot tell")
    logs = [math.log(after / before) for before, after in pairs]
    mean, spread = _mean_and_spread(logs)
    if not spread or len(logs) < FIRST_LOOK:
        return Comparison(ratio=math.exp(mean), low=None, high=None, verdict="cannot tell")
    half = _quantile(len(logs) - 1, level.confidence) * spread / math.sqrt(len(logs))
    low, high = _exp(mean - half), _exp(mean + half)
    return Comparison(
        ratio=math.exp(mean), low=low, high=high, verdict=_verdict(mean, low, high, level.rules)
    )


def _verdict(mean: float, low: float, high: float, rules: Rules) -> Verdict:
    """A difference below the floor is never called one, however sure it is."""
    if not (low > 1 or high < 1) or abs(math.expm1(mean)) < rules.floor:
        return "cannot tell"
    return "faster" if (low > 1) == rules.higher_is_better else "slower"


def _all_better(against: Mapping[str, Comparison]) -> bool:
    return bool(against) and all(comparison.verdict == "faster" for comparison in against.values())


def _leader(found: Mapping[str, Mapping[str, Comparison]], scale: _Scale) -> str:
    """By the ratio to the first baseline that there is one to; of equals the first."""

    def merit(name: str) -> float:
        first = next(iter(found[name].values()), None)
        return -math.inf if first is None else _merit(first.ratio, scale)

    return max(found, key=merit)


def _merit(ratio: float, scale: _Scale) -> float:
    """The larger, the better."""
    return ratio if scale.rules.higher_is_better else -ratio


def _eliminated(
    blocks: Sequence[Block], found: Mapping[str, Mapping[str, Comparison]], scale: _Scale, done: int
) -> dict[str, Fate]:
    fates: dict[str, Fate] = {}
    floor = 1 + scale.rules.floor
    surest: dict[str, float] = {}
    for comparisons in found.values():
        for baseline, comparison in comparisons.items():
            worst, _ = _gains(comparison, scale.rules)
            surest[baseline] = max(surest.get(baseline, 0.0), worst)
    for name, comparisons in found.items():
        best = {baseline: _gains(found, scale.rules)[1] for baseline, found in comparisons.items()}
        if any(end < 1 for end in best.values()):
            fates[name] = Fate.WORSE
        elif any(end < floor for end in best.values()):
            fates[name] = Fate.TOO_SMALL
        elif any(end < surest[baseline] for baseline, end in best.items()):
            fates[name] = Fate.BEHIND
        elif _FUTILITY_LOOK <= done < scale.rules.blocks and not _hopeful(blocks, comparisons, name, scale):
            fates[name] = Fate.HOPELESS
    return fates


def _gains(comparison: Comparison, rules: Rules) -> tuple[float, float]:
    """The interval as factors that are above 1 when the finalist is better, the worse end first."""
    low = 0.0 if comparison.low is None else comparison.low
    high = math.inf if comparison.high is None else comparison.high
    if rules.higher_is_better:
        return low, high
    return (1 / high if high else math.inf), (1 / low if low else math.inf)


def _hopeful(
    blocks: Sequence[Block], comparisons: Mapping[str, Comparison], name: str, scale: _Scale
) -> bool:
    """Whether what is left may prove it against every baseline; stopping here cannot make a false gain.

    By predictive power (Spiegelhalter, Freedman and Blackburn, Controlled Clinical Trials 7, 1986): seen from
    here the mean at the last look is normal around the present one.
    """
    level, total = scale.at(scale.rules.blocks), scale.rules.blocks
    for baseline in comparisons:
        pairs = [(b[baseline], b[name]) for b in blocks if baseline in b and name in b]
        if len(pairs) < _FUTILITY_LOOK or min(min(pair) for pair in pairs) <= 0:
            continue
        mean, spread = _mean_and_spread([math.log(after / before) for before, after in pairs])
        gain = mean if scale.rules.higher_is_better else -mean
        hoped = gain + _HOPE_Z * spread * math.sqrt(max(0.0, 1 / len(pairs) - 1 / total))
        needed = max(
            _quantile(total - 1, level.confidence) * spread / math.sqrt(total),
            math.log1p(scale.rules.floor),
        )
        if hoped <= needed:
            return False
    return True


def _open(blocks: Sequence[Block], baselines: Sequence[str], scale: _Scale) -> bool:
    """Whether more blocks may show that another baseline than the first is the one to keep."""
    default = baselines[0]
    for name in baselines[1:]:
        compared = _compare(blocks, default, name, scale.at(len(blocks)))
        if compared is None or compared.verdict != "cannot tell":
            continue
        if len(blocks) < _FUTILITY_LOOK or _hopeful(blocks, {default: compared}, name, scale):
            return True
    return False


def _contest(
    blocks: Sequence[Block],
    baselines: Sequence[str],
    fates: Mapping[str, Fate],
    last: Mapping[str, int],
    scale: _Scale,
) -> Contest:
    standings = tuple(
        Standing(
            name=name,
            fate=fate,
            against=_against(blocks[: last[name]], baselines, name, scale.at(last[name])),
            blocks=last[name],
        )
        for name, fate in fates.items()
    )
    default = baselines[0]
    others = {
        name: compared
        for name in baselines[1:]
        if (compared := _compare(blocks, default, name, scale.at(len(blocks)))) is not None
    }
    proven = {name: found for name, found in others.items() if found.verdict == "faster"}
    keep = max(proven, key=lambda name: _merit(proven[name].ratio, scale), default=default)
    running = {s.name: s.against for s in standings if s.fate is Fate.RUNNING}
    leader = _leader(running or {s.name: s.against for s in standings}, scale)
    against = next(s.against for s in standings if s.name == leader)
    won = leader in running and keep in against and against[keep].verdict == "faster"
    return Contest(
        standings=standings,
        baselines=others,
        keep=keep,
        leader=leader,
        winner=leader if won else None,
        settled=(won and _all_better(against))
        or not (running or _open(blocks, baselines, scale))
        or len(blocks) >= scale.rules.blocks,
    )


def _mean_and_spread(logs: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation; a spread of 0 where there is none to be had."""
    mean = math.fsum(logs) / len(logs)
    if len(logs) < 2 or min(logs) == max(logs):
        return mean, 0.0
    return mean, math.sqrt(math.fsum((log - mean) ** 2 for log in logs) / (len(logs) - 1))


def _quantile(freedom: int, confidence: float) -> float:
    return float(special.stdtrit(freedom, (1 + confidence) / 2))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
