"""A study's workbench: fetches the source, checks flags and arguments, runs trials. Opened at first use."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuner import __version__
from tuner.build import (
    PERPLEXITY,
    PrebuiltBuilder,
    Toolchain,
    examine_flags,
    examine_flags_in,
    find_toolchain,
)
from tuner.clock import Clock
from tuner.config import STABLE_DEFAULTS, CmakeBuild, DockerBuild, PrebuiltBuild, StudyFile
from tuner.errors import BinaryInvalid, BuildFailed
from tuner.launch import Launcher
from tuner.model import Artifact, Reason, Score, SourceTree, TrialConfig, digest
from tuner.space import CanonicalFacts, Space, canonical
from tuner.storage import StudyStore
from tuner.study import Watcher
from tuner.trial import Outcome
from tuner.trial.runner import Bench, ProgressSink, QualityCheck, TrialRunner
from tuner.wiring.argument_check import check_study_arguments
from tuner.wiring.flag_report import report_flags
from tuner.wiring.host_facts import host_facts
from tuner.wiring.launching import make_launcher
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, Model, cmake_builder, docker_builder
from tuner.wiring.pinning import fetch_pinned
from tuner.wiring.quality import QualityParts, make_quality
from tuner.wiring.stages import make_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    tree: SourceTree | None
    toolchain: Toolchain | None
    artifacts: Artifacts
    perplexity: Artifacts | None = None
    """Builds llama-perplexity, where that is possible."""


class StudyWorkbench:
    """Identifies and runs the configurations of one study file."""

    def __init__(
        self,
        study: StudyFile,
        space: Space,
        model: Model,
        locations: Locations,
        watcher: Watcher,
        clock: Clock,
        store: StudyStore,
    ) -> None:
        self._study = study
        self._store = store
        self._space = space
        self._model = model
        self._locations = locations
        self._watcher = watcher
        self._clock = clock
        self._checked: set[str] = set()
        self._launcher = make_launcher(study, clock)
        self._baselines = {config for _, config in study.baseline_configs}
        self._judging: QualityCheck | None = None

    def identify(self, config: TrialConfig) -> str:
        """Plan key, environment and canonical arguments: equal ones share a measurement."""
        plan = self._opened.artifacts.plan(config.build)
        form = canonical(
            config,
            CanonicalFacts(
                context_per_request=self._study.serve.context_per_request, default_args=STABLE_DEFAULTS
            ),
        )
        return digest(plan.key, form.env.to_json(), form.args.to_json())

    def run(
        self,
        config: TrialConfig,
        folder: Path,
        *,
        seed: int,
        baseline: Score | None,
        on_progress: ProgressSink,
        launches: int = 1,
        as_deployed: bool = False,
        reject_early: bool = True,
    ) -> Outcome:
        """One trial; baselines and confirmations are measured whatever their quality."""
        return self._runner.run(
            config,
            folder,
            seed=seed,
            baseline=baseline,
            on_progress=on_progress,
            launches=launches,
            as_deployed=as_deployed,
            reject_early=reject_early and not as_deployed and config not in self._baselines,
        )

    @property
    def artifacts(self) -> Artifacts:
        """Its builds, for what is measured beside its trials."""
        return self._opened.artifacts

    @property
    def launcher(self) -> Launcher:
        """What starts its servers."""
        return self._launcher

    def close(self) -> None:
        """Remove what is only needed while trials run."""
        if self._judging is not None:
            self._judging.close()

    def versions(self) -> dict[str, str]:
        """For the trial folders."""
        found = {
            "tuner": __version__,
            "host": platform.node(),
            "system": platform.platform(),
            "python": platform.python_version(),
            "model": str(self._model.path),
            "model_bytes": str(self._model.shape.file_bytes),
        }
        if self._opened.tree is not None:
            found |= {"source": self._opened.tree.origin, "source_hash": self._opened.tree.content_hash}
        if self._opened.toolchain is not None:
            found["toolchain"] = self._opened.toolchain.describe(cuda=self._opened.toolchain.nvcc is not None)
        return found | self._host

    @cached_property
    def _host(self) -> dict[str, str]:
        return host_facts(engine=isinstance(self._study.build, DockerBuild))

    @cached_property
    def _opened(self) -> _Opened:
        study, locations, build = self._study, self._locations, self._study.build
        match build:
            case PrebuiltBuild(binary=binary):
                builder = PrebuiltBuilder(study.resolve(binary))
                return _Opened(tree=None, toolchain=None, artifacts=Artifacts(builder))
            case CmakeBuild():
                toolchain = find_toolchain()
                tree = self._fetch()
                for text in toolchain.notes:
                    self._watcher.on_note(text)
                scratch = locations.builds / "scratch"
                report_flags(
                    study,
                    self._space,
                    tree,
                    lambda flags, base: examine_flags(tree, toolchain, flags, base, scratch),
                    self._watcher,
                )
                return _Opened(
                    tree=tree,
                    toolchain=toolchain,
                    artifacts=Artifacts(cmake_builder(study, build, locations, tree, toolchain)),
                    perplexity=Artifacts(cmake_builder(study, build, locations, tree, toolchain, PERPLEXITY)),
                )
            case DockerBuild():
                tree = self._fetch()
                images = docker_builder(study, build, locations, tree)
                self._watcher.on_note("making the image of the build's tools")
                report_flags(
                    study,
                    self._space,
                    tree,
                    lambda flags, base: examine_flags_in(images, tree, flags, base, locations.images),
                    self._watcher,
                )
                return _Opened(tree=tree, toolchain=None, artifacts=Artifacts(images))

    def _fetch(self) -> SourceTree:
        self._watcher.on_note("fetching the source")
        tree = fetch_pinned(self._study, self._locations, self._store)
        self._watcher.on_note(f"source {tree.origin}, content {tree.content_hash[:12]}")
        return tree

    @cached_property
    def _runner(self) -> TrialRunner:
        study = self._study
        stages = make_stages(
            self._opened.artifacts,
            self._launcher,
            shape=self._model.shape,
            workloads=study.workload_values,
            objectives=study.objective_values,
            constraints=study.constraint_expressions,
            clock=self._clock,
            inspect=self._inspect,
            quality=self._quality,
        )
        return TrialRunner(
            stages,
            Bench(
                model=self._model.path,
                vocab_size=self._model.shape.prompt_token_high,
                first_token=self._model.shape.prompt_token_low,
                context_per_request=study.serve.context_per_request,
                workloads=study.workload_values,
                seed=study.search.seed,
                ready_timeout_s=study.serve.ready_timeout_s,
            ),
        )

    @cached_property
    def _quality(self) -> QualityCheck | None:
        self._judging = make_quality(
            QualityParts(
                study=self._study,
                model=self._model,
                locations=self._locations,
                servers=self._opened.artifacts,
                perplexity=self._opened.perplexity,
                launcher=self._launcher,
                clock=self._clock,
                on_note=self._watcher.on_note,
            )
        )
        return self._judging

    def _inspect(self, artifact: Artifact) -> None:
        """Check every argument of the study against each new binary, before its first launch."""
        if artifact.key in self._checked:
            return
        try:
            notes = check_study_arguments(
                self._study, self._space, artifact, self._model.path, self._launcher.check
            )
        except BinaryInvalid as error:
            if isinstance(self._study.build, PrebuiltBuild):
                raise
            # Nobody named this program: it is the trial's that had it built.
            raise BuildFailed(
                f"what was built does not answer: {error}",
                reason=Reason.BUILD_FAILED,
                log=str(artifact.log or ""),
            ) from error
        self._checked.add(artifact.key)
        for text in notes:
            self._watcher.on_note(text)
