"""Builds llama-server, or another program of its tree, with cmake and ninja on this host."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tuner.build.base import BuildProgress, ProgressListener
from tuner.build.configure import TARGET, Configured, build_environment
from tuner.build.diagnosis import (
    compiler_errors,
    ninja_progress,
    out_of_memory,
    out_of_space,
    read_tail,
)
from tuner.build.options import cmake_options, is_on
from tuner.build.plans import PlanStore
from tuner.build.server_binary import server_version
from tuner.build.toolchain import Toolchain
from tuner.build.workspace import Workspace
from tuner.clock import Clock, SystemClock
from tuner.errors import BinaryInvalid, BuildFailed, DiskFull, HostError
from tuner.locking import raise_host_error, remove_stale, scratch_folder
from tuner.model import Artifact, BuildPlan, Reason, Settings, SourceTree, digest
from tuner.process import ProcessTimeout, run

_KEY_VERSION = "1"
"""Raise it when builds of an older tuner must not be reused."""
_log = logging.getLogger(__name__)


class CMakeBuilder:
    """A `Builder` for one source tree; `fixed` flags are part of every build, `target` is what is built.

    `folder` keeps plans and ccache's objects (one store for each CPU model: ccache takes `-march=native`
    by its name). `source_hash` tells the content hash of the tree as it is now, for trees that people edit:
    a tree that changed since it was fetched must not be built under its old name.
    """

    def __init__(
        self,
        source: SourceTree,
        *,
        fixed: Settings,
        toolchain: Toolchain,
        folder: Path,
        jobs: int | None = None,
        timeout_s: float = 3600.0,
        nice: int = 0,
        ccache_dir: Path | None = None,
        source_hash: Callable[[], str] | None = None,
        clock: Clock | None = None,
        target: str = TARGET,
    ) -> None:
        self._source = source
        self._fixed = fixed
        self._toolchain = toolchain
        self._folder = folder
        self._jobs = jobs or len(os.sched_getaffinity(0))
        self._timeout_s = timeout_s
        self._nice = nice
        self._ccache_dir = ccache_dir or folder / "ccache" / digest(toolchain.cpu_model)[:12]
        self._source_hash = source_hash
        self._clock = clock or SystemClock()
        self._target = target
        self._workspace = Workspace(source, toolchain, target)
        self._store = PlanStore(folder=folder / "plans")
        self._plans: dict[Settings, BuildPlan] = {}
        self._refusals: dict[Settings, BuildFailed] = {}

    def plan(self, flags: Settings) -> BuildPlan:
        """What these flags would compile: 1-2 s (CUDA: 5 s) when it is new, from memory or disk otherwise.

        Raises UserError (a flag that tuner cannot let through), BuildFailed (configure-failed),
        ToolMissing, DiskFull, HostError.
        """
        merged = self._fixed.merged(flags)
        if (plan := self._plans.get(merged)) is not None:
            return plan
        if (refusal := self._refusals.get(merged)) is not None:
            raise BuildFailed(str(refusal), reason=refusal.reason, log=refusal.log) from refusal
        options = cmake_options(merged, self._source, self._toolchain)
        stored_under = self._stored_under(options)
        plan = self._store.load(stored_under, merged)
        if plan is None:
            plan = self._configure_once(merged, options)
            self._store.save(stored_under, plan)
        self._plans[merged] = plan
        return plan

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """Compile `plan` inside `into`, and leave only the program there.

        Raises BuildFailed, DiskFull, HostError (the tree or the host changed since it was planned).
        """
        started_s = self._clock.monotonic_s()
        self._check_unchanged()
        work = into / "work"
        try:
            work.mkdir()
            options = cmake_options(plan.flags, self._source, self._toolchain)
            with self._workspace.configured(work, options, log) as configured:
                self._check_plan(plan, options, configured)
                self._compile(configured, work, log, on_progress, started_s)
                self._check_unchanged()
                server = into / self._target
                (configured.folder / configured.server).rename(server)
        except OSError as error:
            raise_host_error(error, into)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        try:
            version = server_version(server)
        except BinaryInvalid as error:
            server.unlink()
            raise BuildFailed(
                f"what was built does not run: {error}; see {log}", reason=Reason.BUILD_FAILED, log=str(log)
            ) from error
        return Artifact(
            server=server,
            key=plan.key,
            version=version,
            flags=plan.flags,
            build_s=self._clock.monotonic_s() - started_s,
            cached=False,
            log=log,
        )

    def _configure_once(self, merged: Settings, options: Settings) -> BuildPlan:
        scratch_parent = self._folder / "scratch"
        try:
            scratch_parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise_host_error(error, scratch_parent)
        remove_stale(scratch_parent)
        kept_log = self._folder / "scratch" / f"configure-{digest(merged.to_json())[:16]}.log"
        kept_log.unlink(missing_ok=True)
        try:
            with (
                scratch_folder(scratch_parent) as scratch,
                self._workspace.configured(scratch, options, kept_log) as configured,
            ):
                plan = self._plan_of(merged, configured)
        except BuildFailed as error:
            self._refusals[merged] = error
            raise
        kept_log.unlink(missing_ok=True)
        return plan

    def _plan_of(self, merged: Settings, configured: Configured) -> BuildPlan:
        fingerprint = configured.program.fingerprint
        return BuildPlan(
            flags=merged,
            fingerprint=fingerprint,
            key=digest(
                _KEY_VERSION,
                fingerprint,
                self._source.content_hash,
                self._toolchain.identity,
                configured.compilers,
            ),
            toolchain=self._toolchain.describe(cuda=is_on(merged.get("GGML_CUDA", False))),
        )

    def _stored_under(self, options: Settings) -> str:
        nvcc = "" if self._toolchain.nvcc is None else self._toolchain.nvcc.version
        named = [] if self._target == TARGET else [self._target]
        return digest(
            _KEY_VERSION, self._source.content_hash, options.to_json(), self._toolchain.identity, nvcc, *named
        )

    def _compile(
        self, configured: Configured, work: Path, log: Path, on_progress: ProgressListener, started_s: float
    ) -> None:
        seen = log.stat().st_size

        def report() -> None:
            nonlocal seen
            with log.open("rb") as file:
                file.seek(seen)
                fresh = file.read()
            progress = ninja_progress(fresh)
            if progress is not None:
                seen += len(fresh)
                on_progress(BuildProgress(done=progress[0], total=progress[1]))

        command = [
            str(self._toolchain.ninja.path),
            "-C",
            str(configured.folder),
            "-j",
            str(self._jobs),
            self._target,
        ]
        left_s = self._timeout_s - (self._clock.monotonic_s() - started_s)
        try:
            exit_code = run(
                command,
                env=self._compile_environment(work),
                log=log,
                timeout_s=max(left_s, 0.0),
                nice=self._nice,
                on_tick=report,
            )
        except ProcessTimeout as error:
            raise BuildFailed(
                f"the build took longer than {self._timeout_s:g} s and was stopped; raise the limit "
                f"(`build.timeout_minutes` in a study file), or see {log}",
                reason=Reason.BUILD_TIMEOUT,
                log=str(log),
            ) from error
        if exit_code == 0:
            return
        said = read_tail(log)
        if out_of_space(said, work):
            raise DiskFull(
                f"no space left while compiling in {work}: free some (`tuner builds gc` removes old builds), "
                f"or give another folder with --state; see {log}"
            )
        hint = ""
        if out_of_memory(said):
            hint = f"\nthe compiler ran out of memory: use fewer jobs than {self._jobs}"
        raise BuildFailed(
            f"the build failed: {compiler_errors(said)}{hint}\nsee {log}",
            reason=Reason.BUILD_FAILED,
            log=str(log),
        )

    def _compile_environment(self, work: Path) -> dict[str, str]:
        """With paths below `work` relative and the folder left out, builds in other folders share objects."""
        return {
            **build_environment(),
            "CCACHE_DIR": str(self._ccache_dir),
            "CCACHE_BASEDIR": str(work.resolve()),
            "CCACHE_NOHASHDIR": "1",
            "CCACHE_MAXSIZE": "10G",
        }

    def _check_plan(self, plan: BuildPlan, options: Settings, configured: Configured) -> None:
        if configured.program.fingerprint == plan.fingerprint:
            return
        self._store.forget(self._stored_under(options))
        self._plans.pop(plan.flags, None)
        raise HostError(
            f"what {self._source.origin} compiles on this host has changed since it was planned (a library "
            "was installed or removed, or the tree was edited); the stored plan is dropped: start again"
        )

    def _check_unchanged(self) -> None:
        if self._source_hash is not None and self._source_hash() != self._source.content_hash:
            raise HostError(
                f"{self._source.origin} was edited while it was in use; start again to build it as it is now"
            )
