"""What is kept of a measured configuration, and its JSON form.

One record describes a trial of the Optuna study, a baseline, a drift anchor, or a confirmation launch: they
differ only in where they are stored. The JSON form carries a version; `from_json` reads every version that
was released.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tuner.errors import TunerError
from tuner.model import ConstraintValue, Figure, Hardware, Place, Reason, Settings, TrialConfig
from tuner.trial import Durations, TrialState

RECORD_VERSION = 1


class RecordUnreadable(TunerError):
    """A stored record that this version cannot read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One configuration with what became of it."""

    label: str
    """`trial 7`, `baseline default`, `confirmation best 2`."""
    number: int | None
    """The trial's number in the Optuna study; None outside it."""
    state: TrialState
    config: TrialConfig
    """As proposed, fixed settings included."""
    identity: str
    """Of the canonical configuration: equal identities share one measurement."""
    reason: Reason | None = None
    message: str = ""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    objectives: tuple[float, ...] = ()
    constraints: tuple[ConstraintValue, ...] = ()
    flags: tuple[str, ...] = ()
    client_bound: bool = False
    """The load generator was the bottleneck: it cannot win."""
    command: tuple[str, ...] = ()
    """The command line that was run, harness-only arguments included."""
    deploy_command: tuple[str, ...] = ()
    """The same without them."""
    build_key: str = ""
    durations: Durations = field(default_factory=Durations)
    reused_from: str | None = None
    """The label of the record whose measurement this one shares."""
    drifted: bool = False
    """Measured between two anchors that disagree: the host was changing meanwhile."""
    repeat_of: str | None = None
    """The label of the drifted trial that this one measured again."""
    folder: str = ""
    """Where raw samples and logs are, relative to the study's folder."""
    started: str = ""
    ended: str = ""
    place: Place | None = None
    """Where it was measured; None when it was not, or by an earlier tuner."""

    @property
    def measured(self) -> bool:
        """Whether there is a score, be it feasible or not."""
        return bool(self.objectives)

    @property
    def feasible(self) -> bool:
        return self.state is TrialState.COMPLETE

    @property
    def trusted(self) -> bool:
        """Whether it may be called best: feasible, and of the server on a host that kept still.

        A repeat is taken as it is, even when the host drifted again.
        """
        return self.feasible and not self.client_bound and (not self.drifted or self.repeat_of is not None)


def outline(record: TrialRecord) -> TrialRecord:
    """What a study needs of a past trial: without figures and command lines, which are most of a record."""
    return replace(record, figures={}, command=(), deploy_command=())


def to_json(record: TrialRecord) -> dict[str, Any]:
    """Plain JSON values; the inverse of `from_json`."""
    return {
        "version": RECORD_VERSION,
        "label": record.label,
        "number": record.number,
        "state": record.state.value,
        "config": config_to_json(record.config),
        "identity": record.identity,
        "reason": record.reason.value if record.reason else None,
        "message": record.message,
        "figures": {
            name: {
                "value": figure.value,
                "missing": figure.missing,
                "samples": list(figure.samples),
                "low": figure.low,
                "high": figure.high,
                "over": figure.over,
            }
            for name, figure in record.figures.items()
        },
        "objectives": list(record.objectives),
        "constraints": [
            {"expression": constraint.expression, "violation": constraint.violation}
            for constraint in record.constraints
        ],
        "flags": list(record.flags),
        "client_bound": record.client_bound,
        "command": list(record.command),
        "deploy_command": list(record.deploy_command),
        "build_key": record.build_key,
        "durations": {
            "build_s": record.durations.build_s,
            "launch_s": record.durations.launch_s,
            "measure_s": record.durations.measure_s,
            "quality_s": record.durations.quality_s,
            "total_s": record.durations.total_s,
        },
        "reused_from": record.reused_from,
        "drifted": record.drifted,
        "repeat_of": record.repeat_of,
        "folder": record.folder,
        "started": record.started,
        "ended": record.ended,
        "place": place_to_json(record.place) if record.place else None,
    }


def from_json(data: Mapping[str, Any]) -> TrialRecord:
    """Raises RecordUnreadable for another version or a damaged record."""
    if data.get("version") != RECORD_VERSION:
        raise RecordUnreadable(
            f"a record of version {data.get('version')!r} was found where this tuner reads {RECORD_VERSION}: "
            "use the tuner that wrote it"
        )
    try:
        return TrialRecord(
            label=data["label"],
            number=data["number"],
            state=TrialState(data["state"]),
            config=config_from_json(data["config"]),
            identity=data["identity"],
            reason=Reason(data["reason"]) if data["reason"] else None,
            message=data["message"],
            figures={
                name: Figure(
                    value=row["value"],
                    missing=row["missing"],
                    samples=tuple(row["samples"]),
                    low=row.get("low"),
                    high=row.get("high"),
                    over=row.get("over", ""),
                )
                for name, row in data["figures"].items()
            },
            objectives=tuple(data["objectives"]),
            constraints=tuple(
                ConstraintValue(expression=row["expression"], violation=row["violation"])
                for row in data["constraints"]
            ),
            flags=tuple(data["flags"]),
            client_bound=data.get("client_bound", False),
            command=tuple(data["command"]),
            deploy_command=tuple(data["deploy_command"]),
            build_key=data["build_key"],
            durations=Durations(**data["durations"]),
            reused_from=data["reused_from"],
            drifted=data.get("drifted", False),
            repeat_of=data.get("repeat_of"),
            folder=data["folder"],
            started=data["started"],
            ended=data["ended"],
            place=place_from_json(data["place"]) if data.get("place") else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordUnreadable(f"a stored record is damaged: {error!r}") from error


def place_to_json(place: Place) -> dict[str, Any]:
    """Plain JSON values; the inverse of `place_from_json`."""
    return asdict(place)


def place_from_json(data: Mapping[str, Any]) -> Place:
    """Raises KeyError, TypeError for what is no place."""
    hardware = dict(data["hardware"])
    hardware["gpus"] = tuple(hardware["gpus"])
    return Place(worker=data["worker"], device=data["device"], hardware=Hardware(**hardware))


def config_to_json(config: TrialConfig) -> dict[str, dict[str, Any]]:
    """`{"build": {…}, "env": {…}, "args": {…}}`."""
    return {"build": dict(config.build), "env": dict(config.env), "args": dict(config.args)}


def config_from_json(data: Mapping[str, Mapping[str, Any]]) -> TrialConfig:
    """The inverse of `config_to_json`."""
    return TrialConfig(build=Settings(data["build"]), env=Settings(data["env"]), args=Settings(data["args"]))


def dumps(record: TrialRecord) -> str:
    """One line of JSON. Infinity, which a violated constraint may hold, is written as Python writes it."""
    return json.dumps(to_json(record), separators=(",", ":"))


def loads(text: str) -> TrialRecord:
    """The inverse of `dumps`. Raises RecordUnreadable."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordUnreadable(f"a stored record is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RecordUnreadable("a stored record is not a JSON object")
    return from_json(data)
