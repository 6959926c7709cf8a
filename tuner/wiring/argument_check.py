"""Every argument of a study, asked of the binary before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tuner.config import StudyFile
from tuner.errors import ArgumentRefused, NameUnknown, UserError
from tuner.model import Artifact, LaunchSpec, Reason, Scalar, Settings
from tuner.space import Space, Tunable

_EXAMPLES = 8


Check = Callable[[LaunchSpec], tuple[str, ...]]
"""`Launcher.check`."""


def check_study_arguments(
    study: StudyFile, space: Space, artifact: Artifact, model: Path, check: Check
) -> tuple[str, ...]:
    """Check what is fixed, every baseline, and every searched argument; returns notes for a person.

    Raises NameUnknown for an argument that this llama-server lacks, UserError for a refused fixed value. A
    refused value of a searched argument is a note: the trials that want it are infeasible.
    """
    notes: dict[str, None] = {}
    for name, config in study.baseline_configs:
        where = "serve.args" if name == "default" else f"baseline {name}"
        notes.update(dict.fromkeys(_check(_spec(config.args, artifact, model, study), check, where)))
    for tunable in space.tunables:
        if tunable.layer != "args":
            continue
        refusals = []
        values = list(examples(tunable))
        for value in values:
            args = space.fixed.args.merged({tunable.name: value})
            try:
                found = check(_spec(args, artifact, model, study))
            except ArgumentRefused as error:
                if error.reason == Reason.ARGUMENT_UNKNOWN.value:
                    raise NameUnknown(f"space.args.{tunable.name}: {error}") from error
                refusals.append(f"space.args.{tunable.name}: {value!r} will be infeasible: {error}")
            else:
                notes.update(dict.fromkeys(found))
        if len(refusals) == len(values):
            raise UserError(f"no value of space.args.{tunable.name} is accepted: {refusals[0]}")
        notes.update(dict.fromkeys(refusals))
    return tuple(notes)


def examples(tunable: Tunable) -> Iterator[Scalar]:
    """A few values that cover a tunable: all of a short list, the ends and some between of a long one."""
    count = tunable.cardinality
    if count is None:
        distribution = tunable.distribution()
        for end in ("low", "high"):
            value = tunable.decode(getattr(distribution, end))
            if value is not None:
                yield value
        return
    step = max(1, -(-(count - 1) // (_EXAMPLES - 1))) if count > 1 else 1
    for index, value in enumerate(tunable.values()):
        if value is not None and (index % step == 0 or index == count - 1):
            yield value


def _check(spec: LaunchSpec, check: Check, where: str) -> tuple[str, ...]:
    try:
        return check(spec)
    except ArgumentRefused as error:
        kind = NameUnknown if error.reason == Reason.ARGUMENT_UNKNOWN.value else UserError
        raise kind(f"{where}: {error}") from error


def _spec(args: Settings, artifact: Artifact, model: Path, study: StudyFile) -> LaunchSpec:
    return LaunchSpec(
        artifact=artifact,
        model=model,
        args=args,
        env=Settings(study.serve.env),
        context_per_request=study.serve.context_per_request,
        log=Path("/dev/null"),
    )
