"""Builds llama-server as an image, through the engine's BuildKit."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tuner.build.base import BuildProgress, ProgressListener
from tuner.build.configure import TARGET, Configured, read_configured
from tuner.build.diagnosis import (
    cmake_error,
    compiler_errors,
    image_output,
    image_progress,
    out_of_space,
    read_tail,
)
from tuner.build.engine import Engine, Image, bind_mount, engine_error
from tuner.build.images import (
    LABEL_FLAGS,
    LABEL_KEY,
    LABEL_SOURCE,
    LABEL_TOOLCHAIN,
    REPOSITORY,
    hold_image,
)
from tuner.build.options import as_cmake, is_on, tree_options
from tuner.build.plans import PlanStore
from tuner.build.toolchain import cpu_model
from tuner.clock import Clock, SystemClock
from tuner.errors import BuildFailed, DiskFull, HostError
from tuner.locking import FileLock, lock, raise_host_error, remove_stale, scratch_folder
from tuner.model import Artifact, BuildPlan, Reason, Settings, SourceTree, digest
from tuner.process import ProcessTimeout

_KEY_VERSION = "1"
"""Raise it when images of an older tuner must not be reused."""
SERVER_IN_IMAGE = Path("/usr/local/bin/llama-server")
_VERSION_IN_IMAGE = "/usr/local/share/llama-server/version"
_CONFIGURE_TIMEOUT_S = 600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which Dockerfile, and what it starts from. The stages and arguments are described in docker/."""

    dockerfile: Path
    build_image: str | None = None
    """None: the file's."""
    runtime_image: str | None = None
    build_packages: str | None = None
    """Packages to install, separated by spaces; empty: none, and no network is needed; None: the file's."""
    runtime_packages: str | None = None
    options: Settings = field(default_factory=Settings)
    """CMake variables of this image; a study's flags win."""

    def arguments(self) -> list[str]:
        """`--build-arg` words."""
        values = {
            "BUILD_IMAGE": self.build_image,
            "RUNTIME_IMAGE": self.runtime_image,
            "BUILD_PACKAGES": self.build_packages,
            "RUNTIME_PACKAGES": self.runtime_packages,
        }
        return [f"--build-arg={name}={value}" for name, value in values.items() if value is not None]


class DockerBuilder:
    """A `Builder` for one source tree, whose artifacts are images.

    The tree is the build context, so nothing inside needs a network. What would be compiled is found out
    before any compilation, by configuring in the image of the build's tools. An image is found by its key:
    equal programs are one image. `folder` keeps plans and locks. Whatever `build` returned is kept from being
    removed (by `collect_images`) until this object is closed or the process ends. `source_hash` tells the
    content hash of the tree as it is now, for trees that people edit.
    """

    def __init__(
        self,
        source: SourceTree,
        recipe: Recipe,
        *,
        engine: Engine,
        folder: Path,
        jobs: int | None = None,
        timeout_s: float = 7200.0,
        source_hash: Callable[[], str] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._recipe = recipe
        self._engine = engine
        self._folder = folder
        self._jobs = jobs
        self._timeout_s = timeout_s
        self._source_hash = source_hash
        self._clock = clock or SystemClock()
        self._held: dict[str, FileLock] = {}
        self._store = PlanStore(folder=folder / "plans")
        self._plans: dict[Settings, BuildPlan] = {}
        self._refusals: dict[Settings, BuildFailed] = {}
        self._failures: dict[str, BuildFailed] = {}
        self._tools: Image | None = None

    def plan(self, flags: Settings) -> BuildPlan:
        """What these flags would compile; makes the image of the tools when it is not there.

        Raises UserError, BuildFailed (configure-failed), DiskFull, HostError.
        """
        if (plan := self._plans.get(flags)) is not None:
            return plan
        if (refusal := self._refusals.get(flags)) is not None:
            raise BuildFailed(str(refusal), reason=refusal.reason, log=refusal.log) from refusal
        options = self._options(flags)
        tools = self._tools_image()
        stored_under = digest(
            _KEY_VERSION, tools.id, self._source.content_hash, options.to_json(), self._recipe_digest()
        )
        plan = self._store.load(stored_under, flags)
        if plan is None:
            try:
                plan = self._plan(flags, self._configure(options, tools), tools)
            except BuildFailed as error:
                self._refusals[flags] = error
                raise
            self._store.save(stored_under, plan)
        self._plans[flags] = plan
        return plan

    @property
    def identity(self) -> str:
        """Of what compiles: the image of the tools, and the recipe."""
        return digest(self._tools_image().id, self._recipe_digest())

    def configured(self, flags: Settings) -> Configured:
        """What `flags` would build; its folder is gone. Raises as `plan` does."""
        return self._configure(self._options(flags), self._tools_image())

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """The image of `plan`, from the engine where it has it; its id lands in `into/image.txt`.

        Raises BuildFailed (build-failed, build-timeout), DiskFull, HostError.
        """
        if (failure := self._failures.get(plan.key)) is not None:
            raise BuildFailed(
                f"this program failed to build before in this run: {failure}",
                reason=failure.reason,
                log=failure.log,
            ) from failure
        started_s = self._clock.monotonic_s()
        tag = f"{REPOSITORY}:{plan.key[:32]}"
        with lock(self._folder / "locks" / f"{plan.key}.image.lock", on_wait=_say_waiting, clock=self._clock):
            self._hold(plan.key)
            image = self._finished(tag, plan)
            cached = image is not None
            if image is None:
                try:
                    image = self._build(plan, tag, log, on_progress)
                except BuildFailed as error:
                    self._failures[plan.key] = error
                    raise
        try:
            (into / "image.txt").write_text(f"{image.id}\n{tag}\n")
            if cached:
                with log.open("a") as file:
                    file.write(f"{tag} is there: {image.id}\n")
        except OSError as error:
            raise_host_error(error, into)
        if cached:
            on_progress(BuildProgress(done=1, total=1))
        return Artifact(
            server=SERVER_IN_IMAGE,
            key=plan.key,
            version=self._version(image, log),
            flags=plan.flags,
            build_s=0.0 if cached else self._clock.monotonic_s() - started_s,
            cached=cached,
            log=log,
            image=image.id,
        )

    def close(self) -> None:
        """Let the images that were handed out be removed when space is needed."""
        for held in self._held.values():
            held.release()
        self._held.clear()

    # --- planning ----------------------------------------------------------------------------------

    def _tools_image(self) -> Image:
        if self._tools is not None:
            return self._tools
        parent = self._scratch_parent()
        with scratch_folder(parent) as scratch:
            context, id_file, log = scratch / "context", scratch / "id", parent / "tools.log"
            context.mkdir()
            log.unlink(missing_ok=True)
            code = self._engine.run(
                *("build", "--progress=plain", f"--file={self._recipe.dockerfile}", "--target=tools"),
                *self._recipe.arguments(),
                f"--iidfile={id_file}",
                context,
                log=log,
                timeout_s=self._timeout_s,
            )
            said = read_tail(log) if log.exists() else ""
            if code != 0:
                self._raise_for_engine(said, log)
                raise HostError(
                    f"the image of the build's tools cannot be made from "
                    f"{self._recipe.build_image or self._recipe.dockerfile.name}: "
                    f"{_step_error(said)}; see {log}"
                )
            found = self._engine.image(id_file.read_text().strip())
        if found is None:
            raise HostError("the engine lost the image of the build's tools; start again")
        self._tools = found
        return found

    def _options(self, flags: Settings) -> Settings:
        return tree_options(self._recipe.options.merged(flags), self._source)

    def _configure(self, options: Settings, tools: Image) -> Configured:
        """Configure inside the tools' image, with tree and folder at the places they have here."""
        parent = self._scratch_parent()
        log = parent / f"configure-{digest(options.to_json())[:16]}.log"
        log.unlink(missing_ok=True)
        root = self._source.root.resolve()
        with scratch_folder(parent) as scratch:
            folder = scratch.resolve() / "build"
            folder.mkdir()
            try:
                code = self._engine.run(
                    *("run", "--rm", "--network=none", f"--user={os.getuid()}:{os.getgid()}"),
                    *("--env=HOME=/tmp", "--env=LC_ALL=C", "--env=GIT_DIR=/nonexistent", "--cap-drop=ALL"),
                    *(bind_mount(root, root, readonly=True), bind_mount(folder, folder)),
                    *("--entrypoint=cmake", tools.id),
                    *("-G", "Ninja", "-S", str(root), "-B", str(folder), *_words(options)),
                    log=log,
                    timeout_s=_CONFIGURE_TIMEOUT_S,
                )
            except ProcessTimeout as error:
                raise BuildFailed(
                    f"cmake did not finish within {_CONFIGURE_TIMEOUT_S:g} s; see {log}",
                    reason=Reason.CONFIGURE_FAILED,
                    log=str(log),
                ) from error
            if code != 0:
                said = read_tail(log)
                self._raise_for_engine(said, log)
                raise BuildFailed(
                    f"cmake failed: {cmake_error(said)}; see {log}",
                    reason=Reason.CONFIGURE_FAILED,
                    log=str(log),
                )
            configured = read_configured(root, folder, [], log)
        log.unlink(missing_ok=True)
        return configured

    def _plan(self, flags: Settings, configured: Configured, tools: Image) -> BuildPlan:
        native = is_on(configured.variables.get("GGML_NATIVE", "OFF"))
        return BuildPlan(
            flags=flags,
            fingerprint=configured.program.fingerprint,
            key=digest(
                _KEY_VERSION,
                configured.program.fingerprint,
                self._source.content_hash,
                tools.id,
                configured.compilers,
                self._recipe_digest(),
                cpu_model() if native else "",
            ),
            toolchain=f"{configured.compilers} in {self._recipe.build_image or 'the default image'}",
        )

    def _ccache_namespace(self, flags: Settings) -> str:
        """`-march=native` means another thing on another CPU; all else is shared, also with exports."""
        native = is_on(self._options(flags).get("GGML_NATIVE", True))
        return digest(cpu_model())[:12] if native else "any"

    def _recipe_digest(self) -> str:
        recipe = self._recipe
        return digest(recipe.dockerfile.read_text(), recipe.options.to_json(), *recipe.arguments())

    def _scratch_parent(self) -> Path:
        parent = self._folder / "scratch"
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise_host_error(error, parent)
        remove_stale(parent)
        return parent

    # --- building ----------------------------------------------------------------------------------

    def _finished(self, tag: str, plan: BuildPlan) -> Image | None:
        image = self._engine.image(tag)
        return image if image is not None and image.labels.get(LABEL_KEY) == plan.key else None

    def _hold(self, key: str) -> None:
        while (held := hold_image(self._folder, key)) is None:
            time.sleep(0.1)  # somebody is just removing it
        if key in self._held:
            held.release()
        else:
            self._held[key] = held

    def _build(self, plan: BuildPlan, tag: str, log: Path, on_progress: ProgressListener) -> Image:
        flags = self._recipe.options.merged(plan.flags)
        words = cmake_words(flags, self._source, cuda=is_on(flags.get("GGML_CUDA", False)))
        seen = log.stat().st_size if log.exists() else 0
        self._check_unchanged()

        def report() -> None:
            nonlocal seen
            with log.open("rb") as file:
                file.seek(seen)
                fresh = file.read()
            if (progress := image_progress(fresh)) is not None:
                seen += len(fresh)
                on_progress(BuildProgress(done=progress[0], total=progress[1]))

        try:
            code = self._engine.run(
                *("build", "--progress=plain", f"--file={self._recipe.dockerfile}", "--target=runtime"),
                *self._recipe.arguments(),
                f"--build-arg=CMAKE_FLAGS={shlex.join(words)}",
                f"--build-arg=JOBS={self._jobs or ''}",
                f"--build-arg=CCACHE_NAMESPACE={self._ccache_namespace(plan.flags)}",
                f"--build-arg=LLAMA_COMMIT={self._source.origin}",
                f"--label={LABEL_KEY}={plan.key}",
                f"--label={LABEL_FLAGS}={plan.flags.to_json()}",
                f"--label={LABEL_SOURCE}={self._source.origin}",
                f"--label={LABEL_TOOLCHAIN}={plan.toolchain}",
                f"--tag={tag}",
                self._source.root.resolve(),
                log=log,
                timeout_s=self._timeout_s,
                on_tick=report,
            )
        except ProcessTimeout as error:
            raise BuildFailed(
                f"the build took longer than {self._timeout_s:g} s and was stopped; raise the limit "
                f"(`build.timeout_minutes` in a study file), or see {log}",
                reason=Reason.BUILD_TIMEOUT,
                log=str(log),
            ) from error
        if code != 0:
            said = read_tail(log)
            self._raise_for_engine(said, log)
            raise BuildFailed(
                f"the build failed: {compiler_errors(image_output(said))}\nsee {log}",
                reason=Reason.BUILD_FAILED,
                log=str(log),
            )
        image = self._finished(tag, plan)
        try:
            self._check_unchanged()
        except HostError:
            self._engine.ask("image", "rm", tag)
            raise
        if image is None:
            raise HostError(f"the engine has no image {tag} although it was built; see {log}")
        return image

    def _version(self, image: Image, log: Path) -> str:
        """What the server said of itself when it was built: one for CUDA does not start without a driver."""
        answer = self._engine.ask(
            *("run", "--rm", "--network=none", "--cap-drop=ALL", "--entrypoint=cat"),
            *(image.id, _VERSION_IN_IMAGE),
        )
        lines = [line for line in answer.stdout.splitlines() if line.startswith("version: ")]
        if answer.exit_code != 0 or not lines:
            self._raise_for_engine(answer.stderr, log)
            raise BuildFailed(
                f"what was built does not run: {TARGET} --version said "
                f"{(answer.stdout + answer.stderr).strip()[:300]!r}; see {log}",
                reason=Reason.BUILD_FAILED,
                log=str(log),
            )
        return lines[0].strip()

    def _check_unchanged(self) -> None:
        if self._source_hash is not None and self._source_hash() != self._source.content_hash:
            raise HostError(
                f"{self._source.origin} was edited while it was in use; start again to build it as it is now"
            )

    def _raise_for_engine(self, said: str, log: Path) -> None:
        """Raise for what has nothing to do with the flags: no engine, no disk."""
        if out_of_space(said, self._folder):
            raise DiskFull(
                f"no space left for images: free some (`tuner builds gc`, `docker system df`); see {log}"
            )
        if (
            "Cannot connect to the Docker daemon" in said
            or "permission denied while trying to connect" in said
        ):
            raise engine_error(said)


def cmake_words(flags: Settings, source: SourceTree, *, cuda: bool) -> tuple[str, ...]:
    """Every `-D` that a shipped Dockerfile needs for `flags`. Raises UserError."""
    launchers = ("C", "CXX", "CUDA") if cuda else ("C", "CXX")
    return (
        *_words(tree_options(flags, source)),
        *(f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in launchers),
    )


def _words(options: Settings) -> list[str]:
    return [f"-D{name}={as_cmake(value)}" for name, value in options.items()]


def _step_error(said: str) -> str:
    """The engine's own last word on why a step failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wanted = [line for line in lines if "ERROR" in line or line.startswith("failed to")]
    return (wanted or lines or ["it said nothing"])[-1][:300]


def _say_waiting() -> None:
    _log.info("another tuner is building the same image; waiting for it")
