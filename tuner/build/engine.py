"""The Docker engine, by its command line: the SDK cannot build with BuildKit."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.build.diagnosis import out_of_space
from tuner.errors import DiskFull, EngineAway, HostError, ToolMissing
from tuner.process import Captured, ProcessTimeout, base_environment, capture, run

_NEEDED = (20, 10)
_NEEDS_BUILDX = 23
"""From this version on, docker's command line builds through a plugin only."""
_CUT_OFF = re.compile(
    r"Cannot connect to the Docker daemon|error during connect: |code = Unavailable"
    r"|error reading from server: |transport is closing|error waiting for container: "
    r"|^(?:ERROR: )?unexpected EOF$"
    # A step that failed by itself has an exit code here; an engine that is being stopped cannot run it.
    r"|^executor failed running \[(?!.*: exit code: \d+$)|: context canceled$"
)
"""What docker says when it finds nobody, or is left in the middle: the engine was stopped or restarted."""
_LAST_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answers, and has BuildKit."""

    program: Path
    """docker's command line."""
    version: str
    host: str = ""
    """For DOCKER_HOST; empty: as the environment says."""

    def ask(self, *words: str | Path, timeout_s: float = 60.0) -> Captured:
        """A short command. Raises HostError when the engine gives no answer."""
        return _ask(self.program, words, timeout_s, self.host)

    def run(
        self,
        *words: str | Path,
        log: Path,
        timeout_s: float | None,
        on_tick: Callable[[], None] | None = None,
    ) -> int:
        """A long command with its output in `log`; its exit code. Ends with tuner, however that ends.

        Raises ProcessTimeout.
        """
        return run(
            [self.program, *words], env=_environment(self.host), log=log, timeout_s=timeout_s, on_tick=on_tick
        )

    def image(self, reference: str) -> Image | None:
        """The image of this name or id, None when the engine has none."""
        template = "{{.Id}}\n{{range $name, $value := .Config.Labels}}{{$name}}={{$value}}\n{{end}}"
        answer = self.ask("image", "inspect", "--format", template, reference)
        if answer.exit_code != 0:
            if "no such image" in answer.stderr.lower():
                return None
            raise engine_error(answer.stderr)
        first, *labels = answer.stdout.strip().splitlines()
        pairs = (line.partition("=") for line in labels)
        return Image(id=first, labels={name: value for name, _, value in pairs})

    def pinned(self, reference: str) -> str:
        """`reference` with the digest under which a registry has it: `name:tag@sha256:…`.

        As it is where the engine knows none: an image made here, or one that only BuildKit has fetched.
        """
        if "@" in reference:
            return reference
        answer = self.ask("image", "inspect", "--format", "{{json .RepoDigests}}", reference)
        if answer.exit_code != 0:
            return reference
        wanted = _repository(reference)
        for known in json.loads(answer.stdout) or ():
            name, _, digest = str(known).partition("@")
            if _repository(name) == wanted:
                return f"{reference}@{digest}"
        return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that the engine has."""

    id: str
    """`sha256:` and 64 hex digits."""
    labels: Mapping[str, str]


def bind_mount(source: Path, target: Path, *, readonly: bool = False) -> str:
    """A `--mount` word; its fields are CSV, so a comma or a quote in a path is no harm."""
    fields = ["type=bind", f"source={source}", f"target={target}", *(["readonly"] if readonly else [])]
    quoted = ('"' + field.replace('"', '""') + '"' if set(field) & set(',"\n') else field for field in fields)
    return f"--mount={','.join(quoted)}"


def find_engine(host: str = "") -> Engine:
    """The engine at `host`, or where DOCKER_HOST or the default lead. Raises ToolMissing, HostError."""
    program = _program()
    answer = _ask(program, ("version", "--format", "{{.Server.Version}}"), 30.0, host)
    if answer.exit_code != 0:
        raise engine_error(answer.stderr)
    version = answer.stdout.strip()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < _NEEDED:
        raise ToolMissing(
            f"Docker Engine {version} has no BuildKit that tuner can use: 20.10 or newer is needed"
        )
    return Engine(program=program, version=version, host=host)


def _repository(reference: str) -> str:
    """`docker.io/library/debian:bookworm` and `debian` are one: without Docker's own prefixes and the tag."""
    folder, slash, name = reference.rpartition("/")
    bare = f"{folder}{slash}{name.partition(':')[0]}"
    return bare.removeprefix("docker.io/").removeprefix("library/")


def _program() -> Path:
    """The first docker on PATH that can build with BuildKit: from 23 on that takes the buildx plugin."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = [Path(path) for folder in folders if (path := shutil.which("docker", path=folder)) is not None]
    if not found:
        raise ToolMissing(
            "there is no docker on PATH: install Docker Engine (https://docs.docker.com/engine/install/, or "
            "`apt-get install docker.io`), or use `build: {backend: cmake}`"
        )
    for program in found:
        version = re.search(r"version (\d+)\.", _ask(program, ("--version",), 30.0).stdout)
        is_old = version is not None and int(version[1]) < _NEEDS_BUILDX
        if is_old or _ask(program, ("buildx", "version"), 30.0).exit_code == 0:
            return program
    raise ToolMissing(
        f"{found[0]} cannot build with BuildKit, because its buildx plugin is missing: "
        "`apt-get install docker-buildx-plugin` (Docker's packages) or `docker-buildx` (the distribution's)"
    )


def engine_error(said: str) -> HostError:
    """What docker's complaint means, with the remedy."""
    text = " ".join(said.split())
    if "permission denied" in text:
        return HostError(
            "this user may not use the Docker engine: `sudo usermod -aG docker $USER` and log in again "
            f"(docker: {text})"
        )
    if "no such host" in text or "dial " in text or _CUT_OFF.search(text):
        return _away(text)
    return HostError(f"docker: {text}")


def raise_for_engine(said: str, folder: Path, log: Path) -> None:
    """Raise for what has nothing to do with the flags: no engine, no disk (`folder` is on the same one)."""
    if out_of_space(said, folder):
        raise DiskFull(
            f"no space left for images: free some (`tuner builds gc`, `docker system df`); see {log}"
        )
    if "permission denied while trying to connect" in said:
        raise engine_error(said)
    # Docker has its own last word; what a compiler says before it is not about the engine.
    last = said.splitlines()[-_LAST_LINES:]
    if cut := next((line for line in last if _CUT_OFF.search(line)), None):
        raise _away(cut.strip()[-300:])


def _away(said: str) -> EngineAway:
    return EngineAway(
        f"the Docker engine does not answer: start it (`systemctl start docker`), or correct DOCKER_HOST "
        f"(docker: {said})"
    )


def _ask(program: Path, words: Sequence[str | Path], timeout_s: float, host: str = "") -> Captured:
    try:
        return capture([program, *words], env=_environment(host), timeout_s=timeout_s)
    except ProcessTimeout as error:
        raise HostError(
            f"the Docker engine gave no answer within {timeout_s:g} s: look at its log "
            "(`journalctl -u docker`) and restart it"
        ) from error


def _environment(host: str) -> dict[str, str]:
    chosen = {"DOCKER_HOST": host} if host else {}
    return {**base_environment(), **chosen, "DOCKER_BUILDKIT": "1", "LC_ALL": "C"}
