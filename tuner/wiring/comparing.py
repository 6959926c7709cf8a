"""`tuner compare`: two sides become two programs, launched in turns until it is clear which is faster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tuner.clock import Clock, SystemClock
from tuner.errors import NameUnknown, UserError
from tuner.model import FIGURES, Direction, Objective, Workload
from tuner.trial import TrialState
from tuner.trial.runner import Bench, Progress, ProgressSink, TrialRunner
from tuner.wiring.comparison import CompareWatcher, ComparisonResult, Question
from tuner.wiring.contenders import Resolved, Resolver, build, check_arguments, identity
from tuner.wiring.course import Course
from tuner.wiring.launch_pairs import Contender, LaunchPairs
from tuner.wiring.locations import Locations
from tuner.wiring.noise import has_ratio, higher_is_better, subject_key
from tuner.wiring.parts import Model
from tuner.wiring.place import measuring_here
from tuner.wiring.stages import make_stages


def compare(
    question: Question, locations: Locations, watcher: CompareWatcher, clock: Clock | None = None
) -> ComparisonResult:
    """Build both sides, then launch them in turns. Raises UserError, TrialError, HostError.

    A Ctrl-C after the first block ends it with what is there, as `interrupted`.
    """
    clock = clock or SystemClock()
    resolver = Resolver(question.ground, locations, clock)
    sides = (resolver.resolve(question.a), resolver.resolve(question.b))
    _refuse_equal(sides, question)
    model = resolver.find_model(sides)
    workloads = _workloads(question, sides)
    context = resolver.context_per_request(sides, workloads)
    objectives = _objectives(question, sides, workloads)
    if identity(sides[0], context) == identity(sides[1], context):
        return ComparisonResult(
            a=question.a.text,
            b=question.b.text,
            answers=(),
            ending="same",
            same_because=_why_same(sides, resolver),
        )
    with measuring_here("`tuner compare`"), tempfile.TemporaryDirectory(prefix="tuner-compare-") as scratch:
        folder = Path(scratch)
        _build(sides, model, context, folder, watcher)
        contenders = [
            make_contender(side, model, workloads, objectives, context, question.seed, clock)
            for side in sides
        ]
        pairs = LaunchPairs(
            contenders[0],
            contenders[1],
            folder,
            seed=question.seed,
            clock=clock,
            on_launch=lambda contender: _sink(watcher, contender.role),
        )
        course = Course(question, objectives, subject_key(workloads, model), locations, watcher, clock)
        return course.run(pairs)


def _sink(watcher: CompareWatcher, role: str) -> ProgressSink:
    return lambda progress: watcher.on_progress(role, progress)


def _refuse_equal(sides: tuple[Resolved, Resolved], question: Question) -> None:
    a, b = sides
    if a.config == b.config and a.program.key == b.program.key:
        raise UserError(
            f"A and B are the same ({question.a.text} and {question.b.text}): there is nothing to compare. "
            "How much this host differs from itself is measured by `tuner bench --calibrate`"
        )


def _workloads(question: Question, sides: tuple[Resolved, Resolved]) -> tuple[Workload, ...]:
    if question.workload is not None:
        return (question.workload,)
    for side in sides:
        if side.program.study is not None:
            return side.program.study.workload_values
    raise AssertionError("the command line gives a load where no side is of a study")


def _objectives(
    question: Question, sides: tuple[Resolved, Resolved], workloads: tuple[Workload, ...]
) -> tuple[Objective, ...]:
    """The figures that are compared, in full. Raises NameUnknown, UserError."""
    wanted = question.figures
    if not wanted:
        study = next((side.program.study for side in sides if side.program.study is not None), None)
        if study is not None and question.workload is None:
            wanted = (study.prefer or study.objective_values[0].figure,)
        else:
            wanted = ("output_tokens_per_s",)
    return tuple(_objective(name, workloads) for name in dict.fromkeys(wanted))


def _objective(name: str, workloads: tuple[Workload, ...]) -> Objective:
    names = [workload.name for workload in workloads]
    workload, _, figure = name.rpartition(".")
    if figure not in FIGURES:
        raise NameUnknown(f"no figure {figure!r}: there are {', '.join(FIGURES)}")
    if not has_ratio(figure):
        raise UserError(f"{figure} may be 0, which has no ratio: it cannot be compared by percent")
    if not workload and len(names) > 1:
        raise UserError(
            f"{figure} of which workload? Write {names[0]}.{figure}; there are {', '.join(names)}"
        )
    workload = workload or names[0]
    if workload not in names:
        raise NameUnknown(f"no workload {workload!r}: there are {', '.join(names)}")
    direction = Direction.MAXIMIZE if higher_is_better(figure) else Direction.MINIMIZE
    return Objective(figure=f"{workload}.{figure}", direction=direction)


def _why_same(sides: tuple[Resolved, Resolved], resolver: Resolver) -> str:
    """Sides that were written differently and are the same in effect."""
    a, b = sides
    names = [
        name
        for name in {**a.config.build, **b.config.build}
        if a.config.build.get(name) != b.config.build.get(name)
    ]
    told = [
        f"{verdict.name}={verdict.value}: {verdict.message}"
        for side in sides
        for verdict in resolver.explain_flags(side, names)
        if verdict.effect.value != "live"
    ]
    if names:
        flags = f"the two compile to the same program: {', '.join(names)} makes no difference in this tree"
        return flags + "".join(f"\n  {line}" for line in dict.fromkeys(told))
    if a.program.key != b.program.key:
        return "the two are the same llama-server with the same settings, byte for byte"
    return (
        "the settings have the same effect: llama.cpp clamps ubatch-size to batch-size and batch-size to the "
        "context, and what is its default anyway changes nothing"
    )


def _build(
    sides: tuple[Resolved, Resolved], model: Model, context: int, folder: Path, watcher: CompareWatcher
) -> None:
    """Both, before the first launch, so that no compiler works beside a measurement."""
    for side in sides:

        def show(done: int, total: int, role: str = side.side.role) -> None:
            watcher.on_progress(role, Progress(state=TrialState.BUILDING, done=done, total=total))

        artifact = build(side, folder / f"build-{side.side.role}", show)
        for text in check_arguments(side, artifact, model.path, context):
            watcher.on_note(f"{side.side.role}: {text}")


def make_contender(
    side: Resolved,
    model: Model,
    workloads: tuple[Workload, ...],
    objectives: tuple[Objective, ...],
    context: int,
    seed: int,
    clock: Clock,
) -> Contender:
    """What launches a side, and scores it by `objectives`."""
    study = side.program.study
    stages = make_stages(
        side.program.artifacts,
        side.program.launcher,
        shape=model.shape,
        workloads=workloads,
        objectives=objectives,
        constraints=(),
        clock=clock,
        inspect=lambda _artifact: None,
    )
    bench = Bench(
        model=model.path,
        vocab_size=model.shape.prompt_token_high,
        first_token=model.shape.prompt_token_low,
        context_per_request=context,
        workloads=workloads,
        seed=seed,
        **({"ready_timeout_s": study.serve.ready_timeout_s} if study else {}),
    )
    return Contender(
        role=side.side.role,
        described=side.side.text,
        config=side.config,
        runner=TrialRunner(stages, bench),
    )
