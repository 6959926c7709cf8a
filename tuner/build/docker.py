"""Builds llama-server as an image, through the engine's BuildKit."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from tuner.build.base import BuildProgress, ProgressListener
from tuner.build.configure import TARGET, Configured
from tuner.build.diagnosis import compiler_errors, image_output, image_progress, read_tail
from tuner.build.engine import Engine, Image, raise_for_engine
from tuner.build.image_planner import ImagePlanner
from tuner.build.images import (
    LABEL_FLAGS,
    LABEL_KEY,
    LABEL_SOURCE,
    LABEL_TOOLCHAIN,
    REPOSITORY,
    hold_image,
)
from tuner.build.options import is_on
from tuner.build.recipe import Recipe, cmake_words
from tuner.clock import Clock, SystemClock
from tuner.errors import BuildFailed, HostError
from tuner.locking import FileLock, lock, raise_host_error
from tuner.model import Artifact, BuildPlan, Reason, Settings, SourceTree
from tuner.process import ProcessTimeout

SERVER_IN_IMAGE = Path("/usr/local/bin/llama-server")
_VERSION_IN_IMAGE = "/usr/local/share/llama-server/version"
_log = logging.getLogger(__name__)


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
        self._planner = ImagePlanner(source, recipe, engine=engine, folder=folder, timeout_s=timeout_s)
        self._failures: dict[str, BuildFailed] = {}

    def plan(self, flags: Settings) -> BuildPlan:
        """What these flags would compile; makes the image of the tools when it is not there.

        Raises UserError, BuildFailed (configure-failed), DiskFull, HostError.
        """
        return self._planner.plan(flags)

    @property
    def identity(self) -> str:
        """Of what compiles: the image of the tools, and the recipe."""
        return self._planner.identity

    def configured(self, flags: Settings) -> Configured:
        """What `flags` would build; its folder is gone. Raises as `plan` does."""
        return self._planner.configured(flags)

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
                f"--build-arg=CCACHE_NAMESPACE={self._planner.ccache_namespace(plan.flags)}",
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
            raise_for_engine(said, self._folder, log)
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
            raise_for_engine(answer.stderr, self._folder, log)
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


def _say_waiting() -> None:
    _log.info("another tuner is building the same image; waiting for it")
