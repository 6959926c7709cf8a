"""What a trial is about: one way to build and to launch llama-server."""

from __future__ import annotations

from dataclasses import dataclass, field

from tuner.model.settings import Settings, digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialConfig:
    """One point of the search: CMake cache variables, environment variables, server arguments.

    Names are upstream's own: `GGML_OPENMP`, `GGML_CUDA_DISABLE_GRAPHS`, `ubatch-size` (the long argument
    without its dashes). A boolean argument is a switch: true puts `--name` on the command line (`--no-name`
    where the binary has that and the value is false).
    """

    build: Settings = field(default_factory=Settings)
    env: Settings = field(default_factory=Settings)
    args: Settings = field(default_factory=Settings)

    @property
    def key(self) -> str:
        """The configuration's identity: 64 hex digits."""
        return digest(self.build.to_json(), self.env.to_json(), self.args.to_json())
