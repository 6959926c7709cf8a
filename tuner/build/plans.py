"""Plans on disk, so that a study that was planned before needs no cmake."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tuner.locking import write_whole
from tuner.model import BuildPlan, Settings

_VERSION = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStore:
    """One small file for each plan. The caller's `key` covers all that a plan depends on."""

    folder: Path

    def load(self, key: str, flags: Settings) -> BuildPlan | None:
        """The plan, or None when there is none or its file is damaged."""
        try:
            stored = json.loads(self._path(key).read_text())
            if stored["version"] != _VERSION:
                return None
            fingerprint, build_key = str(stored["fingerprint"]), str(stored["key"])
            if not (_DIGEST.fullmatch(fingerprint) and _DIGEST.fullmatch(build_key)):
                return None
            return BuildPlan(
                flags=flags, fingerprint=fingerprint, key=build_key, toolchain=str(stored["toolchain"])
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, key: str, plan: BuildPlan) -> None:
        """Raises DiskFull, HostError."""
        fields = {
            "version": _VERSION,
            "fingerprint": plan.fingerprint,
            "key": plan.key,
            "toolchain": plan.toolchain,
            "flags": dict(plan.flags),
        }
        write_whole(self._path(key), json.dumps(fields) + "\n")

    def forget(self, key: str) -> None:
        """Drop a plan that turned out to be stale."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
