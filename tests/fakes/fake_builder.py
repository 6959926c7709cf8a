"""A builder that compiles nothing, for what goes wrong around builds."""

from __future__ import annotations

import time
from pathlib import Path

from tuner.build import BuildProgress, ProgressListener
from tuner.model import Artifact, BuildPlan, Settings, digest

_SERVER = "#!/bin/sh\ncase $1 in --version) echo 'version: fake';; --help) echo ' --metrics';; esac\n"


class FakeBuilder:
    """Writes a shell script after `build_s` seconds, or raises `failure`. GGML_INERT changes nothing."""

    def __init__(self, *, build_s: float = 0.0, failure: BaseException | None = None) -> None:
        self.build_s = build_s
        self.failure = failure
        self.builds = 0

    def plan(self, flags: Settings) -> BuildPlan:
        fingerprint = digest(flags.without("GGML_INERT").to_json())
        return BuildPlan(
            flags=flags, fingerprint=fingerprint, key=digest("fake", fingerprint), toolchain="fake"
        )

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        self.builds += 1
        with log.open("a") as file:
            file.write("building\n")
        on_progress(BuildProgress(done=1, total=2))
        (into / "half-done.o").write_text("x")
        time.sleep(self.build_s)
        if self.failure is not None:
            raise self.failure
        (into / "half-done.o").unlink()
        server = into / "llama-server"
        server.write_text(_SERVER)
        server.chmod(0o755)
        on_progress(BuildProgress(done=2, total=2))
        return Artifact(
            server=server,
            key=plan.key,
            version="version: fake",
            flags=plan.flags,
            build_s=self.build_s,
            cached=False,
            log=log,
        )
