"""From the study file to what judges quality: which method there is, and its programs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuner.build import PERPLEXITY, server_version
from tuner.clock import Clock
from tuner.config import PrebuiltBuild, StudyFile
from tuner.errors import ArgumentRefused, BinaryInvalid, BuildFailed, UserError
from tuner.launch import Launcher, Phase, classify_exit, read_arguments, translate, variables_of
from tuner.launch.log import clean
from tuner.model import Artifact, LaunchSpec, QualityPlan, Reason, Settings, TrialConfig, digest
from tuner.process import base_environment, with_variables
from tuner.quality import DivergenceStore, HttpMethod, Method, PerplexityMethod, QualityGuard, Unjudged
from tuner.quality.method import Invocation, ObtainProgram, Serve
from tuner.storage import StudyFolder
from tuner.trial.runner import QualityCheck
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, Model

_KEPT = ("threads", "load-mode", "mmap", "no-mmap")
"""Fixed arguments that change no answer, and how long one takes."""
_ANSWER_CONTEXT = 768
"""Tokens of a prompt and an answer when the reference writes."""
_SAMPLE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityParts:
    """What a study has open already."""

    study: StudyFile
    model: Model
    locations: Locations
    servers: Artifacts
    perplexity: Artifacts | None
    """Builds llama-perplexity from the study's source; None where that is not possible."""
    launcher: Launcher
    clock: Clock
    on_note: Callable[[str], None]


def make_quality(parts: QualityParts) -> QualityCheck | None:
    """What judges the quality of a study's trials; None when nothing in it changes results.

    Raises UserError when the method that the study file names cannot be had.
    """
    study, plan = parts.study, parts.study.quality_plan
    changers = study.result_changers
    if plan is None:
        if not changers:
            return None
        parts.on_note(
            f"quality is off although {', '.join(changers)} changes results: nothing rejects a trial that "
            "answers worse"
        )
        return Unjudged(study.fixed)
    if study.quality is None and changers:
        limits = [text for text in map(str, study.constraint_expressions) if "quality." in text]
        parts.on_note(
            f"{', '.join(changers)} changes results: quality is judged, {' and '.join(limits)} must hold "
            "(`quality` in the study file says how, `quality: off` goes without)"
        )
    serve = _server_of(parts, plan)
    return QualityGuard(
        plan,
        _method(parts, plan, serve),
        baseline=study.fixed,
        model_key=_model_key(parts.model.path),
        identify=lambda config: parts.servers.plan(config.build).key,
        serve=serve,
        store=DivergenceStore(folder=parts.locations.state_dir / "quality"),
        texts=parts.locations.state_dir / "quality" / "texts",
        folder=StudyFolder(parts.locations.state_dir, study.name).path / "quality",
        on_note=parts.on_note,
    )


def _method(parts: QualityParts, plan: QualityPlan, serve: Serve) -> Method:
    if plan.method != "http":
        try:
            obtain = _program_source(parts)
            return PerplexityMethod(
                parts.model.path,
                parts.model.shape.vocab_size,
                plan,
                obtain=obtain,
                invoke=lambda program, config: invoke(program, config, parts.study.fixed.args),
                explain=explain,
            )
        except (BuildFailed, BinaryInvalid) as error:
            if plan.method == "perplexity":
                raise UserError(f"quality.method is perplexity, and there is none: {error}") from error
            parts.on_note(f"quality is judged over HTTP, by a lower bound: {str(error).splitlines()[0]}")
    return HttpMethod(plan, serve=serve, clock=parts.clock)


def _program_source(parts: QualityParts) -> ObtainProgram:
    """Raises BuildFailed, BinaryInvalid when there is no llama-perplexity."""
    build = parts.study.build
    if isinstance(build, PrebuiltBuild):
        program = beside(parts.study.resolve(build.binary))
        return lambda _config, _folder: program
    builds = parts.perplexity
    if builds is None:
        raise BinaryInvalid(
            "images hold llama-server alone: for exact figures judge the same space with `backend: cmake`"
        )
    builds.plan(parts.study.fixed.build)  # a tree without the target says so now
    return lambda config, folder: (
        builds.obtain(config.build, folder / "quality-build.log", lambda _progress: None).server
    )


def beside(server: Path) -> Path:
    """The llama-perplexity of a server's own build. Raises BinaryInvalid."""
    found = [folder / PERPLEXITY for folder in dict.fromkeys((server.parent, server.resolve().parent))]
    program = next((path for path in found if path.is_file() and os.access(path, os.X_OK)), None)
    if program is None:
        raise BinaryInvalid(
            f"there is no {PERPLEXITY} beside {server}: for exact figures build that target of the same tree "
            "(`cmake --build FOLDER --target llama-perplexity`) and put it there"
        )
    theirs, ours = server_version(program), server_version(server)
    if theirs != ours:
        raise BinaryInvalid(
            f"{program} is of another build than {server} ({theirs!r}, {ours!r}): build both from one tree"
        )
    return program


def invoke(program: Path, config: TrialConfig, fixed: Settings) -> Invocation:
    """`config` as llama-perplexity takes it. Raises ArgumentRefused for a value, BinaryInvalid."""
    table = read_arguments(program, proof="kl-divergence")
    wanted = config.args.merged({name: fixed[name] for name in _KEPT if name in fixed})
    left_out = []
    for name, value in wanted.items():
        try:
            translate(Settings({name: value}), table)
        except ArgumentRefused as error:
            if error.reason != Reason.ARGUMENT_UNKNOWN.value:
                raise
            left_out.append(name)
    words = translate(wanted.without(*left_out), table).argv
    fit = ("--fit", "off") if table.has("fit") else ()
    return Invocation(
        words=(*fit, *words),
        environment=with_variables(variables_of(config.env), base_environment()),
        left_out=tuple(left_out),
    )


def explain(log: str, exit_code: int) -> tuple[str, str]:
    """Why llama-perplexity ended so, in the words of a server's failures where they fit."""
    failure = classify_exit(clean(log.encode()), exit_code, Phase.STARTING)
    reason = Reason.QUALITY_UNKNOWN if failure.reason is Reason.EXITED_WHILE_STARTING else failure.reason
    return reason.value, failure.line


def _server_of(parts: QualityParts, plan: QualityPlan) -> Serve:
    study = parts.study

    @contextmanager
    def serve(config: TrialConfig, log: Path) -> Iterator[str]:
        artifact: Artifact = parts.servers.obtain(
            config.build, log.parent / "build.log", lambda _progress: None
        )
        fixed = study.fixed.args
        spec = LaunchSpec(
            artifact=artifact,
            model=parts.model.path,
            args=config.args.merged({name: fixed[name] for name in _KEPT if name in fixed}).merged(
                {"parallel": 1}
            ),
            env=config.env,
            context_per_request=max(plan.context + 8, _ANSWER_CONTEXT),
            caches_off=False,  # each position's prompt is the last one's and one token more
            trial=f"{log.parent.name}-quality",
            log=log,
            ready_timeout_s=study.serve.ready_timeout_s,
        )
        with parts.launcher.launch(spec) as server:
            yield server.info.base_url

    return serve


def _model_key(model: Path) -> str:
    """Changes with the file: hashing all of it would take minutes for a large one."""
    stat = model.stat()
    with model.open("rb") as file:
        head = hashlib.sha256(file.read(_SAMPLE_BYTES)).hexdigest()
        file.seek(max(0, stat.st_size - _SAMPLE_BYTES))
        tail = hashlib.sha256(file.read(_SAMPLE_BYTES)).hexdigest()
    return digest(str(stat.st_size), str(stat.st_mtime_ns), head, tail)
