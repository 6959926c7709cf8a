"""From the two sides of a comparison to what can be launched: programs, settings, one model, one load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tuner.build import (
    CachedBuilder,
    CMakeBuilder,
    FlagVerdict,
    PrebuiltBuilder,
    examine_flags,
    find_toolchain,
)
from tuner.clock import Clock
from tuner.config import DEFAULT_BASELINE, STABLE_DEFAULTS, StudyFile
from tuner.errors import ArgumentRefused, ModelInvalid, NameUnknown, UserError
from tuner.launch import Launcher, ProcessLauncher
from tuner.model import Artifact, LaunchSpec, Reason, Settings, SourceTree, TrialConfig, Workload, digest
from tuner.source import PathSource, content_hash
from tuner.space import CanonicalFacts, Space, canonical
from tuner.storage import StudyStore, TrialRecord
from tuner.study import SilentWatcher, summarize
from tuner.weights import inspect
from tuner.wiring.flags import find_source
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, Model, find_model
from tuner.wiring.reading import stored_study
from tuner.wiring.sides import Side
from tuner.wiring.workbench import StudyWorkbench

_BUILD_TIMEOUT_S = 2 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonGround:
    """What both sides have, where a side does not say otherwise."""

    binary: Path | None = None
    source: str | None = None
    ref: str = ""
    subdir: str | None = None
    model: Path | None = None
    build: Settings = field(default_factory=Settings)
    env: Settings = field(default_factory=Settings)
    args: Settings = field(default_factory=Settings)
    context_per_request: int | None = None
    """None: a study's, else what a request of the load needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Where a side's llama-server comes from, and how it is started."""

    artifacts: Artifacts
    launcher: Launcher
    tree: SourceTree | None = None
    """What is compiled; None for a prebuilt one."""
    study: StudyFile | None = None
    key: str = ""
    """Equal for sides of one source: they share the compiler's work and its verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A side with everything that it takes to launch it."""

    side: Side
    config: TrialConfig
    program: Program


class Resolver:
    """Finds programs; a source that both sides name is fetched once."""

    def __init__(self, ground: CommonGround, locations: Locations, clock: Clock) -> None:
        self._ground = ground
        self._locations = locations
        self._clock = clock
        self._programs: dict[str, Program] = {}

    def resolve(self, side: Side) -> Resolved:
        """Raises UserError, NameUnknown, SourceInvalid, HostError."""
        ground = self._ground
        base = TrialConfig(build=ground.build, env=ground.env, args=ground.args)
        if side.study is not None:
            record, program = self._trial(side)
            base = TrialConfig(
                build=record.config.build.merged(ground.build),
                env=record.config.env.merged(ground.env),
                args=record.config.args.merged(ground.args),
            )
        elif side.binary is not None or (side.source is None and ground.binary is not None):
            program = self._prebuilt(side.binary or ground.binary or Path())
        elif side.source is not None or ground.source is not None:
            program = self._compiled(side.source or ground.source or "")
        else:
            raise UserError(
                f"{side} names no program: say --binary ./llama-server, --source llama-cpp-python==0.3.36, "
                "or a trial of a study (STUDY:7, STUDY:best)"
            )
        config = TrialConfig(
            build=base.build.merged(side.build),
            env=base.env.merged(side.env),
            args=base.args.merged(side.args),
        )
        self._check_flags(side, program, config)
        return Resolved(side=side, config=config, program=program)

    def find_model(self, sides: Sequence[Resolved]) -> Model:
        """The one model that both serve. Raises UserError, ModelInvalid."""
        if self._ground.model is not None:
            path = self._ground.model.expanduser().absolute()
            return Model(path=path, shape=inspect(path))
        studies = [side.program.study for side in sides if side.program.study is not None]
        if not studies:
            raise UserError("name the model that both serve: --model model.gguf")
        models = [find_model(study, self._locations) for study in studies]
        if len({model.path.resolve() for model in models}) > 1:
            raise ModelInvalid(
                f"the studies serve different models ({models[0].path}, {models[1].path}): say which one "
                "both are to serve with --model"
            )
        return models[0]

    def context_per_request(self, sides: Sequence[Resolved], workloads: Sequence[Workload]) -> int:
        """The same for both: the larger one, where studies differ."""
        if self._ground.context_per_request is not None:
            return self._ground.context_per_request
        promised = [side.program.study.serve.context_per_request for side in sides if side.program.study]
        return max(promised or [max(workload.context_tokens for workload in workloads)])

    def explain_flags(self, side: Resolved, names: Sequence[str]) -> tuple[FlagVerdict, ...]:
        """Why these build flags of a compiled side change nothing, if they do not. Seconds."""
        tree = side.program.tree
        flags = Settings({name: side.config.build[name] for name in names if name in side.config.build})
        if tree is None or not flags:
            return ()
        scratch = self._locations.builds / "scratch"
        return examine_flags(tree, find_toolchain(), flags, side.config.build.without(*flags), scratch)

    def _check_flags(self, side: Side, program: Program, config: TrialConfig) -> None:
        if config.build and program.tree is None and program.study is None:
            raise UserError(
                f"{side}: {', '.join(config.build)} is a build flag, and a llama-server that is built "
                "already takes none: name a source (--source llama-cpp-python==0.3.36). "
                "An environment variable is written env:NAME=VALUE"
            )

    def _prebuilt(self, binary: Path) -> Program:
        key = f"binary:{binary.absolute()}"
        if key not in self._programs:
            self._programs[key] = Program(
                artifacts=Artifacts(PrebuiltBuilder(binary.expanduser().absolute())),
                launcher=ProcessLauncher(clock=self._clock),
                key=key,
            )
        return self._programs[key]

    def _compiled(self, text: str) -> Program:
        key = f"source:{text}"
        if key not in self._programs:
            source = find_source(text, self._ground.ref, self._ground.subdir, self._locations)
            tree = source.fetch()
            edited = partial(content_hash, tree.root) if isinstance(source, PathSource) else None
            builder = CMakeBuilder(
                tree,
                fixed=Settings(),
                toolchain=find_toolchain(),
                folder=self._locations.builds,
                jobs=None,
                timeout_s=_BUILD_TIMEOUT_S,
                source_hash=edited,
            )
            self._programs[key] = Program(
                artifacts=Artifacts(CachedBuilder(builder, self._locations.builds, origin=tree.origin)),
                launcher=ProcessLauncher(clock=self._clock),
                tree=tree,
                key=key,
            )
        return self._programs[key]

    def _trial(self, side: Side) -> tuple[TrialRecord, Program]:
        assert side.study is not None  # noqa: S101  the caller asked
        locations = self._locations
        store = StudyStore.open(locations.open_storage(), locations.storage_url, side.study)
        study = stored_study(side.study, locations)
        record = _record(store, side)
        key = f"study:{side.study}"
        if key not in self._programs:
            workbench = StudyWorkbench(
                study,
                Space.from_study(study),
                find_model(study, locations),
                locations,
                SilentWatcher(),
                self._clock,
                store,
            )
            self._programs[key] = Program(
                artifacts=workbench.artifacts, launcher=workbench.launcher, study=study, key=key
            )
        return record, self._programs[key]


def identity(side: Resolved, context_per_request: int) -> str:
    """The same for sides that are one program with settings of one effect. Raises BuildFailed, HostError."""
    form = canonical(
        side.config, CanonicalFacts(context_per_request=context_per_request, default_args=STABLE_DEFAULTS)
    )
    plan = side.program.artifacts.plan(side.config.build)
    return digest(plan.key, form.env.to_json(), form.args.to_json())


def build(side: Resolved, folder: Path, on_progress: Callable[[int, int], None]) -> Artifact:
    """Its llama-server, from the cache if it is there. Raises BuildFailed, UserError, HostError."""
    folder.mkdir(parents=True, exist_ok=True)
    return side.program.artifacts.obtain(
        side.config.build, folder / "build.log", lambda progress: on_progress(progress.done, progress.total)
    )


def check_arguments(
    side: Resolved, artifact: Artifact, model: Path, context_per_request: int
) -> tuple[str, ...]:
    """Notes of the binary on its arguments. Raises NameUnknown, UserError for what it refuses."""
    spec = LaunchSpec(
        artifact=artifact,
        model=model,
        args=side.config.args,
        env=side.config.env,
        context_per_request=context_per_request,
        log=Path("/dev/null"),
    )
    try:
        return side.program.launcher.check(spec)
    except ArgumentRefused as error:
        kind = NameUnknown if error.reason == Reason.ARGUMENT_UNKNOWN.value else UserError
        raise kind(f"{side.side}: {error}") from error


def _record(store: StudyStore, side: Side) -> TrialRecord:
    if side.trial == "default":
        found = store.baselines().get(DEFAULT_BASELINE)
    elif side.trial == "best":
        found = summarize(store).best
    else:
        found = next((record for record in store.trials() if record.number == int(side.trial)), None)
    if found is None:
        raise NameUnknown(
            f"study {side.study!r} has no {'trial ' if side.trial.isdigit() else ''}{side.trial}: "
            f"`tuner study trials {side.study}` lists what there is"
        )
    return found
