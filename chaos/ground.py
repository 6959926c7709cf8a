"""What a cell's servers are made and run on: programs of this host, or images of a real engine.

Both make a small tree whose llama-server becomes the real one, after a pause in which it is met launching.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import Protocol

import psutil

from tests.fixtures.dockerd import Dockerd
from tests.fixtures.engine import Engine
from tests.fixtures.tiny_llama import write_serving_llama

_LAUNCHER = """#!/bin/sh
# Long enough in the state `launching` to be met there; tuner's questions are answered at once.
for word in "$@"; do [ "$word" = --port ] && sleep 1.5; done
exec {server} "$@"
"""
_SLOW = """
add_custom_target(slow COMMAND sleep {seconds} VERBATIM)
add_dependencies(ggml slow)
"""
_STRUCK_FIRST = ("server", "launching", "compiling")


class Ground(Protocol):
    """Of one cell."""

    @property
    def study(self) -> str:
        """The study's name."""
        ...

    def prepare(self, folder: Path) -> tuple[Path, str]:
        """Write what is built to `folder`; the source, and the line `build` of the study file."""
        ...

    def environment(self) -> dict[str, str]:
        """For tuner."""
        ...

    def first_at_work(self) -> psutil.Process | None:
        """The server, or the shell that becomes it, or what compiles."""
        ...

    def hold_build(self) -> None:
        """Builds from now on last until they are released."""
        ...

    def release_build(self) -> None: ...

    def left(self, *, containers: bool) -> list[str]:
        """Servers and compilers that there are, and containers whatever their state; not tuner."""
        ...

    def clean_up(self) -> None:
        """End what there is."""
        ...


class HostGround:
    """Programs of this host."""

    study = "chaos"

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path("/nonexistent")

    def prepare(self, folder: Path) -> tuple[Path, str]:
        self._folder = folder
        launcher = folder / "slow" / "llama-server"
        launcher.parent.mkdir()
        launcher.write_text(_LAUNCHER.format(server=self._binaries / "llama-server"))
        launcher.chmod(0o755)
        source = write_serving_llama(folder / "llama.cpp", launcher, pause=folder / "pause")
        return source, "build: {backend: cmake, timeout_minutes: 0.25}"

    def environment(self) -> dict[str, str]:
        return {}

    def first_at_work(self) -> psutil.Process | None:
        return _first(self._at_work())

    def hold_build(self) -> None:
        (self._folder / "pause").touch()

    def release_build(self) -> None:
        (self._folder / "pause").unlink(missing_ok=True)

    def left(self, *, containers: bool) -> list[str]:
        return [process.info["name"] for process in self._at_work()]

    def clean_up(self) -> None:
        for process in self._at_work():
            process.kill()

    def _at_work(self) -> list[psutil.Process]:
        """Whatever has this cell's folder in its command line, less tuner."""
        return [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if any(str(self._folder) in word for word in process.info["cmdline"] or ())
            and "chaos.observed" not in process.info["cmdline"]
        ]


class EngineGround:
    """Images, and containers of them."""

    def __init__(self, binaries: Path, engine: Engine, dockerd: Dockerd) -> None:
        self.dockerd = dockerd
        self._engine = engine
        self._binaries = binaries
        self._token = secrets.token_hex(6)
        self._seconds = f"4.{int(self._token, 16) % 10**8:08}"
        """How long a build takes at least; told from all other sleeping processes by its length."""
        self._source = Path("/nonexistent")

    def prepare(self, folder: Path) -> tuple[Path, str]:
        base = self._base(folder / "base")
        source = write_serving_llama(
            folder / "llama.cpp", Path("/opt/llama/launcher"), pause=folder / "nothing"
        )
        (source / "ggml" / "unique.h").write_text(f"// {self._token}\n")
        with (source / "ggml" / "CMakeLists.txt").open("a") as file:
            file.write(_SLOW.format(seconds=self._seconds))
        self._source = source
        images = f"build_image: {base}, runtime_image: {base}, build_packages: [], runtime_packages: []"
        return source, f"build: {{backend: docker, timeout_minutes: 1, {images}}}"

    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self._engine.host, "TUNER_ENGINE_PATIENCE": "60"}

    def first_at_work(self) -> psutil.Process | None:
        found = [process for process in psutil.process_iter(["cmdline"]) if self._is_ours(process)]
        for container in self._containers():
            pid = self._engine.docker("inspect", "--format", "{{.State.Pid}}", container, check=False)
            try:
                first = psutil.Process(int(pid or 0))
                found += [first, *first.children(recursive=True)] if int(pid or 0) else []
            except psutil.Error:
                continue
        return _first(found)

    def hold_build(self) -> None:
        """It is slow enough as it is."""

    def release_build(self) -> None: ...

    def left(self, *, containers: bool) -> list[str]:
        compiling = [p.info["cmdline"][0] for p in psutil.process_iter(["cmdline"]) if self._is_ours(p)]
        return compiling + (self._containers() if containers else [])

    def clean_up(self) -> None:
        for container in self._containers():
            self._engine.docker("rm", "--force", container, check=False)
        images = self._engine.docker(
            "images", "--quiet", f"--filter=label=org.llama-tuner.source=path:{self._source}", check=False
        )
        for image in set(images.split()):
            self._engine.docker("rmi", "--force", image, check=False)

    def _is_ours(self, process: psutil.Process) -> bool:
        return self._seconds in (process.info["cmdline"] or ())

    def _containers(self) -> list[str]:
        model = f"--filter=label=org.llama-tuner.study={self.study}"
        return self._engine.docker("ps", "--all", "--quiet", model, check=False).split()

    @property
    def study(self) -> str:
        """A name of its own: the engine is everybody's."""
        return f"chaos-{self._token}"

    def _base(self, context: Path) -> str:
        """Debian with compilers and the real server; the engine keeps its layers."""
        context.mkdir()
        shutil.copyfile(self._binaries / "llama-server", context / "llama-server")
        (context / "launcher").write_text(_LAUNCHER.format(server="/opt/llama/llama-server"))
        (context / "Dockerfile").write_text(
            f"FROM {self._engine.debian_build}\nCOPY llama-server launcher /opt/llama/\n"
            "RUN chmod 755 /opt/llama/*\n"
        )
        tag = "tuner-test/chaos:latest"
        self._engine.docker("build", "--quiet", f"--tag={tag}", context)
        shutil.rmtree(context)
        return tag


def _first(processes: list[psutil.Process]) -> psutil.Process | None:
    found = {_kind(process): process for process in processes}
    return next((found[kind] for kind in _STRUCK_FIRST if kind in found), None)


def _kind(process: psutil.Process) -> str:
    """`server`, `launching` (the shell that becomes one), `compiling`, or what is not to be struck."""
    try:
        words, name = process.cmdline(), process.name()
    except psutil.Error:
        return ""
    if "--port" in words and "guard" not in " ".join(words[:4]) and name not in ("tini", "docker-init"):
        return "server" if name == "llama-server" else "launching"
    return "compiling" if name in ("ninja", "cc1", "cc1plus", "sleep") and "--port" not in words else ""
