"""A study's workbench: fetches the source, checks flags and arguments, runs trials. Opened at first use."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuner import __version__
from tuner.build import HISTORIC_FLAGS, FlagEffect, FlagVerdict, Toolchain, examine_flags, find_toolchain
from tuner.clock import Clock
from tuner.config import STABLE_DEFAULTS, CmakeBuild, StudyFile
from tuner.errors import NameUnknown, UserError
from tuner.model import Artifact, Scalar, Score, Settings, SourceTree, TrialConfig, digest
from tuner.space import CanonicalFacts, Space, canonical
from tuner.storage import StudyStore
from tuner.study import Watcher
from tuner.trial import Outcome
from tuner.trial.runner import Bench, ProgressSink, TrialRunner
from tuner.wiring.argument_check import check_study_arguments, examples
from tuner.wiring.locations import Locations
from tuner.wiring.parts import Artifacts, Model, make_artifacts
from tuner.wiring.pinning import fetch_pinned
from tuner.wiring.stages import make_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    tree: SourceTree | None
    toolchain: Toolchain | None
    artifacts: Artifacts


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
    ) -> Outcome:
        """One trial."""
        return self._runner.run(
            config, folder, seed=seed, baseline=baseline, on_progress=on_progress, launches=launches
        )

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
            found |= {
                "toolchain": self._opened.toolchain.describe(cuda=self._opened.toolchain.nvcc is not None),
                "cpu": self._opened.toolchain.cpu_model,
            }
        return found

    @cached_property
    def _opened(self) -> _Opened:
        tree, toolchain = None, None
        if isinstance(self._study.build, CmakeBuild):
            toolchain = find_toolchain()
            self._watcher.on_note("fetching the source")
            tree = fetch_pinned(self._study, self._locations, self._store)
            self._watcher.on_note(f"source {tree.origin}, content {tree.content_hash[:12]}")
            for text in toolchain.notes:
                self._watcher.on_note(text)
            self._report_flags(tree, toolchain)
        return _Opened(
            tree=tree,
            toolchain=toolchain,
            artifacts=make_artifacts(self._study, self._locations, tree, toolchain),
        )

    @cached_property
    def _runner(self) -> TrialRunner:
        study = self._study
        stages = make_stages(
            self._opened.artifacts,
            workloads=study.workload_values,
            objectives=study.objective_values,
            constraints=study.constraint_expressions,
            clock=self._clock,
            inspect=self._inspect,
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

    def _inspect(self, artifact: Artifact) -> None:
        """Check every argument of the study against each new binary, before its first launch."""
        if artifact.key in self._checked:
            return
        self._checked.add(artifact.key)
        for text in check_study_arguments(self._study, self._space, artifact, self._model.path):
            self._watcher.on_note(text)

    # --- flags -------------------------------------------------------------------------------------

    def _report_flags(self, tree: SourceTree, toolchain: Toolchain) -> None:
        """Say once, before the first build, which flags change nothing. Raises NameUnknown for typos."""
        values = _flag_values(self._study, self._space)
        verdicts: dict[str, list[FlagVerdict]] = {}
        for name, candidates in values.items():
            base = self._study.fixed.build.without(name)
            verdicts[name] = [
                verdict
                for value in candidates
                for verdict in examine_flags(
                    tree, toolchain, Settings({name: value}), base, self._locations.builds / "scratch"
                )
            ]
        for name, found in verdicts.items():
            self._say_of_flag(name, found, tree)

    def _say_of_flag(self, name: str, found: list[FlagVerdict], tree: SourceTree) -> None:
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
            self._watcher.on_note(f"build flag {name} is {effect.value}: {verdict.message}", warning=True)


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
