"""No build twice: a cache around any builder, shared by every tuner process of the host."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from tuner.build.base import Builder, ProgressListener
from tuner.build.entry import build_lock_path, hold, link_server, load_artifact, mark_used, publish
from tuner.clock import Clock, SystemClock
from tuner.errors import BuildFailed
from tuner.locking import FileLock, lock, raise_host_error, remove_stale, scratch_folder
from tuner.model import Artifact, BuildPlan, Settings

_log = logging.getLogger(__name__)


class CachedBuilder:
    """A `Builder` that compiles a key once and hands it out from then on.

    Builds happen in a scratch folder below `root` and are moved into place when they are complete. One
    process builds a key while others wait for it. Whatever `build` returned is kept from being removed
    (by `collect`) until this object is closed or the process ends. A key whose build failed is not tried
    again by this object. `origin` names the source in listings.
    """

    def __init__(self, inner: Builder, root: Path, *, origin: str = "", clock: Clock | None = None) -> None:
        self._inner = inner
        self._root = root
        self._origin = origin
        self._clock = clock or SystemClock()
        self._held: dict[str, FileLock] = {}
        self._failed: dict[str, BuildFailed] = {}
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise_host_error(error, root)
        if removed := remove_stale(root):
            _log.info("removed %d unfinished builds of processes that are gone", removed)

    def plan(self, flags: Settings) -> BuildPlan:
        """What the wrapped builder says."""
        return self._inner.plan(flags)

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """The cached build, or a new one; `into/llama-server`, or what was built, is a link to the cache's.

        Raises what the wrapped builder raises, DiskFull, HostError.
        """
        if (failure := self._failed.get(plan.key)) is not None:
            raise BuildFailed(
                f"this program failed to build before in this run: {failure}",
                reason=failure.reason,
                log=failure.log,
            ) from failure
        fresh: Artifact | None = None
        while (artifact := self._take(plan)) is None:
            with lock(build_lock_path(self._root, plan.key), on_wait=_say_waiting, clock=self._clock):
                # Another process may have built it while this one waited.
                if load_artifact(self._folder(plan), plan) is None:
                    fresh = self._build(plan, log, on_progress)
        if fresh is not None:
            artifact = replace(
                artifact, build_s=fresh.build_s, cached=False, log=log if log.exists() else artifact.log
            )
        try:
            link_server(into, artifact.server.resolve(), artifact.server.name)
        except OSError as error:
            raise_host_error(error, into)
        return artifact

    def close(self) -> None:
        """Let the builds that were handed out be removed when space is needed."""
        for held in self._held.values():
            held.release()
        self._held.clear()

    def _take(self, plan: BuildPlan) -> Artifact | None:
        """The finished build, held; None when there is none, or it is just being removed."""
        if plan.key not in self._held:
            held = hold(self._root, plan.key)
            if held is None:
                return None
            if load_artifact(self._folder(plan), plan) is None:
                held.release()
                return None
            self._held[plan.key] = held
        artifact = load_artifact(self._folder(plan), plan)
        if artifact is None:  # somebody removed it by hand, lock or no lock
            self._held.pop(plan.key).release()
            return None
        mark_used(self._folder(plan))
        return artifact

    def _build(self, plan: BuildPlan, log: Path, on_progress: ProgressListener) -> Artifact:
        try:
            with scratch_folder(self._root) as scratch:
                fresh = scratch / "entry"
                fresh.mkdir()
                artifact = self._inner.build(plan, fresh, log, on_progress)
                publish(fresh, self._folder(plan), artifact, plan, self._origin, log)
        except BuildFailed as error:
            self._failed[plan.key] = error
            raise
        except OSError as error:
            raise_host_error(error, self._root)
        return artifact

    def _folder(self, plan: BuildPlan) -> Path:
        return self._root / plan.key


def _say_waiting() -> None:
    _log.info("another tuner is building the same program; waiting for it")
