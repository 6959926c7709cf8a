"""A llama-server that somebody else built."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tuner.build.base import BuildProgress, ProgressListener
from tuner.build.entry import link_server
from tuner.build.server_binary import check_is_server, server_version
from tuner.errors import BinaryInvalid, UserError
from tuner.locking import raise_host_error
from tuner.model import Artifact, BuildPlan, Settings, digest


class PrebuiltBuilder:
    """A `Builder` that compiles nothing: its key is the content of the binary and its own libraries."""

    def __init__(self, binary: Path) -> None:
        self._binary = binary
        self._version: str | None = None

    def plan(self, flags: Settings) -> BuildPlan:
        """Check and hash the binary. Raises BinaryInvalid, and UserError when there are flags."""
        if flags:
            raise UserError(
                f"a prebuilt llama-server takes no build flags ({', '.join(flags)}): remove them, or let "
                "tuner build (backend: cmake)"
            )
        binary = self._checked()
        if self._version is None:
            self._version = server_version(binary)
            check_is_server(binary)
        content = _content_hash(binary)
        return BuildPlan(
            flags=Settings(), fingerprint=content, key=content, toolchain=f"prebuilt, {self._version}"
        )

    def build(self, plan: BuildPlan, into: Path, log: Path, on_progress: ProgressListener) -> Artifact:
        """Link the binary into `into`; it stays where it is, beside its libraries."""
        binary = self._checked()
        if _content_hash(binary) != plan.key:
            raise BinaryInvalid(f"{binary} was replaced while it was in use; start again with the new one")
        try:
            link_server(into, binary)
            with log.open("a") as file:
                file.write(f"prebuilt: {binary}\n")
        except OSError as error:
            raise_host_error(error, into)
        on_progress(BuildProgress(done=1, total=1))
        return Artifact(
            server=binary,
            key=plan.key,
            version=self._version or server_version(binary),
            flags=Settings(),
            build_s=0.0,
            cached=True,
            log=log,
        )

    def _checked(self) -> Path:
        if not self._binary.exists():
            raise BinaryInvalid(f"{self._binary} does not exist")
        if self._binary.is_dir():
            raise BinaryInvalid(f"{self._binary} is a folder; give the llama-server in it")
        return self._binary.resolve()


def _content_hash(binary: Path) -> str:
    """Of a build with shared libraries the program is only a stub: what lies beside it counts, too."""
    libraries = [
        path
        for pattern in ("libllama*.so*", "libggml*.so*", "libmtmd*.so*")
        for path in binary.parent.glob(pattern)
    ]
    parts: list[str] = []
    try:
        for path in (binary, *sorted(libraries)):
            with path.open("rb") as file:
                parts += (
                    "" if path == binary else path.name,
                    hashlib.file_digest(file, "sha256").hexdigest(),
                )
    except OSError as error:
        raise BinaryInvalid(f"{error.filename} cannot be read: {error.strerror}") from error
    return digest(*parts)
