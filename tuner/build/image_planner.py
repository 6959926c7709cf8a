"""What an image would hold, found out in the image of the build's tools before anything is compiled."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tuner.build.configure import Configured, read_configured
from tuner.build.diagnosis import cmake_error, read_tail
from tuner.build.engine import Engine, Image, bind_mount, raise_for_engine
from tuner.build.options import is_on, tree_options
from tuner.build.plans import PlanStore
from tuner.build.recipe import Recipe, option_words
from tuner.build.toolchain import cpu_model
from tuner.errors import BuildFailed, HostError
from tuner.locking import raise_host_error, remove_stale, scratch_folder
from tuner.model import BuildPlan, Reason, Settings, SourceTree, digest
from tuner.process import ProcessTimeout

_KEY_VERSION: Final = "1"
"""Raise it when images of an older tuner must not be reused."""
_CONFIGURE_TIMEOUT_S: Final = 600.0


class ImagePlanner:
    """Plans images of one source tree by one recipe; `folder` keeps the plans."""

    def __init__(
        self, source: SourceTree, recipe: Recipe, *, engine: Engine, folder: Path, timeout_s: float
    ) -> None:
        """`timeout_s` is for making the image of the tools."""
        self._source = source
        self._recipe = recipe
        self._engine = engine
        self._folder = folder
        self._timeout_s = timeout_s
        self._store = PlanStore(folder=folder / "plans")
        self._plans: dict[Settings, BuildPlan] = {}
        self._refusals: dict[Settings, BuildFailed] = {}
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
        tools = self.tools_image()
        stored_under = digest(
            _KEY_VERSION, tools.id, self._source.content_hash, options.to_json(), self._recipe.identity
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
        return digest(self.tools_image().id, self._recipe.identity)

    def configured(self, flags: Settings) -> Configured:
        """What `flags` would build; its folder is gone. Raises as `plan` does."""
        return self._configure(self._options(flags), self.tools_image())

    def ccache_namespace(self, flags: Settings) -> str:
        """`-march=native` means another thing on another CPU; all else is shared, also with exports."""
        native = is_on(self._options(flags).get("GGML_NATIVE", True))
        return digest(cpu_model())[:12] if native else "any"

    def tools_image(self) -> Image:
        """The image that compiles; made when it is not there. Raises DiskFull, HostError."""
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
                raise_for_engine(said, self._folder, log)
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
                    *("-G", "Ninja", "-S", str(root), "-B", str(folder), *option_words(options)),
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
                raise_for_engine(said, self._folder, log)
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
                self._recipe.identity,
                cpu_model() if native else "",
            ),
            toolchain=f"{configured.compilers} in {self._recipe.build_image or 'the default image'}",
        )

    def _scratch_parent(self) -> Path:
        parent = self._folder / "scratch"
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise_host_error(error, parent)
        remove_stale(parent)
        return parent


def _step_error(said: str) -> str:
    """The engine's own last word on why a step failed."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wanted = [line for line in lines if "ERROR" in line or line.startswith("failed to")]
    return (wanted or lines or ["it said nothing"])[-1][:300]
