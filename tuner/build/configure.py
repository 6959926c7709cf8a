"""Runs cmake into an empty folder, and reads what would be built."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tuner.build.diagnosis import cmake_error, out_of_space
from tuner.build.fingerprint import Place, Program, read_program
from tuner.build.ninja_file import NinjaFile, NinjaSyntaxError, parse_ninja
from tuner.build.options import as_cmake
from tuner.build.toolchain import Toolchain
from tuner.errors import BuildFailed, DiskFull
from tuner.model import Reason, Settings
from tuner.process import ProcessTimeout, base_environment, run

SERVER = TARGET = "llama-server"
PERPLEXITY = "llama-perplexity"
"""Built from the same configured tree, where a study judges quality."""

_GENERATED = re.compile(r".*\.(c|cc|cpp|cxx|cu|cuh|h|hh|hpp|hxx|inc|inl|ipp|s|S|comp|glsl|metal|cl|py)")
_NOT_FOR_BUILDS = re.compile(
    r"^(CMAKE_(GENERATOR.*|BUILD_TYPE|(C|CXX|CUDA)_COMPILER_LAUNCHER|EXPORT_COMPILE_COMMANDS|"
    r"BUILD_PARALLEL_LEVEL|CONFIGURATION_TYPES|TOOLCHAIN_FILE|INSTALL_PREFIX)|NINJA_STATUS|MAKEFLAGS|MFLAGS|"
    r"MAKELEVEL|DESTDIR|VERBOSE|CCACHE_(DISABLE|RECACHE|READONLY|DIR|CONFIGPATH|PREFIX.*|BASEDIR)|GIT_.*|"
    r"LC_.*|LANG|LANGUAGE)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """A build folder that ninja can be run in."""

    folder: Path
    program: Program
    server: Path
    """Where the program will be; relative to `folder`."""
    variables: Mapping[str, str]
    """CMake's cache: every option of the tree with its value."""
    compilers: str
    """What cmake found, by language."""
    writes_into_source: bool
    """The tree generates files into itself, so only a private copy may be built."""


def build_environment() -> dict[str, str]:
    """This process's environment without what would redirect cmake, ninja or ccache.

    git sees no repository: version and commit of a build come from the pinned source, and a folder that
    happens to lie inside somebody's repository must not be taken for a part of it.
    """
    kept = {name: value for name, value in base_environment().items() if not _NOT_FOR_BUILDS.match(name)}
    return {**kept, "LC_ALL": "C", "GIT_DIR": "/nonexistent", "NINJA_STATUS": "[%f/%t] "}


def configure(
    root: Path,
    folder: Path,
    options: Settings,
    toolchain: Toolchain,
    *,
    launchers: Settings,
    log: Path,
    timeout_s: float | None = 600.0,
    target: str = TARGET,
) -> Configured:
    """Configure the tree at `root` into the empty `folder`.

    Both must be real paths. Raises BuildFailed (configure-failed) with cmake's own words, DiskFull.
    """
    # The last -D of a name wins.
    words = [f"-D{name}={as_cmake(value)}" for name, value in [*options.items(), *launchers.items()]]
    command = [
        *(str(toolchain.cmake.path), "-G", "Ninja", "-S", str(root), "-B", str(folder)),
        f"-DCMAKE_MAKE_PROGRAM={toolchain.ninja.path}",
        *words,
    ]
    start = log.stat().st_size if log.exists() else 0
    try:
        exit_code = run(command, env=build_environment(), log=log, timeout_s=timeout_s)
    except ProcessTimeout as error:
        raise BuildFailed(
            f"cmake did not finish within {timeout_s:g} s; see {log}",
            reason=Reason.CONFIGURE_FAILED,
            log=str(log),
        ) from error
    if exit_code != 0:
        with log.open("rb") as file:
            file.seek(start)
            said = file.read().decode(errors="replace")
        if out_of_space(said, folder.parent):
            raise DiskFull(f"no space left for {folder} while configuring; free some; see {log}")
        raise BuildFailed(
            f"cmake failed: {cmake_error(said)}; see {log}", reason=Reason.CONFIGURE_FAILED, log=str(log)
        )
    return read_configured(root, folder, [str(value) for value in launchers.values()], log, target)


def copy_source(root: Path, into: Path) -> None:
    """A private copy for a tree that writes into itself, without history and models."""
    shutil.copytree(root, into, symlinks=True, ignore=shutil.ignore_patterns(".git", "*.gguf"))


def read_configured(
    root: Path, folder: Path, launchers: list[str], log: Path, target: str = TARGET
) -> Configured:
    """What cmake wrote into `folder` for the tree at `root`; `launchers` as written in its commands.

    `target` is the program that is wanted of it.

    Raises BuildFailed (configure-failed).
    """
    try:
        ninja = parse_ninja((folder / "build.ninja").read_text(), lambda name: (folder / name).read_text())
        variables = read_cache((folder / "CMakeCache.txt").read_text())
        edges = ninja.reachable(target)
        program = read_program(
            ninja,
            target,
            _generated(folder, ninja, target),
            _places(root, folder, variables),
            launchers,
        )
    except KeyError as error:
        raise BuildFailed(
            f"this tree has no target {target} with these flags; see {log}",
            reason=Reason.CONFIGURE_FAILED,
            log=str(log),
        ) from error
    except (NinjaSyntaxError, OSError) as error:
        # cmake does not notice that a file which it wrote is cut short.
        if out_of_space("", folder.parent):
            raise DiskFull(f"no space left for {folder} while configuring; free some; see {log}") from error
        raise BuildFailed(
            f"what cmake wrote into {folder} cannot be read: {error}",
            reason=Reason.CONFIGURE_FAILED,
            log=str(log),
        ) from error
    return Configured(
        folder=folder,
        program=program,
        server=_program_path(ninja, target),
        variables=variables,
        compilers=_compilers(folder),
        writes_into_source=any(
            Path(output).is_relative_to(root) and not Path(output).is_relative_to(folder)
            for edge in edges
            if edge.rule != "phony"
            for output in edge.outputs
        ),
    )


def read_cache(text: str) -> dict[str, str]:
    """CMakeCache.txt as names and values; INTERNAL and STATIC entries are cmake's own, but for its path."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = re.fullmatch(r'"?([^#/"][^:="]*)"?:([A-Z]+)=(.*)', line)
        if match and (match[2] not in ("INTERNAL", "STATIC") or match[1] == "CMAKE_COMMAND"):
            found[match[1]] = match[3]
    return found


def _places(root: Path, folder: Path, variables: Mapping[str, str]) -> list[Place]:
    return [
        Place(path=str(folder), name="<build>"),
        Place(path=str(root), name="<source>"),
        Place(path=variables.get("CMAKE_COMMAND", ""), name="<cmake>"),
    ]


def _generated(folder: Path, ninja: NinjaFile, target: str) -> dict[str, str]:
    """Sources that cmake wrote while configuring, by path."""
    made = {
        name
        for edge in ninja.reachable(target)
        for name in (*edge.inputs, *edge.needs)
        if name not in ninja.by_output and (not name.startswith("/") or Path(name).is_relative_to(folder))
    }
    paths = {folder / name for name in made} | set(_code_below(folder))
    return {str(path): path.read_text(errors="replace") for path in paths if path.is_file()}


def _code_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name != "CMakeFiles":  # probes of the compiler: what matters comes back as an input
                yield from _code_below(path)
        elif _GENERATED.fullmatch(path.name):
            yield path


def _program_path(ninja: NinjaFile, target: str) -> Path:
    edge = ninja.by_output[target]
    while edge.rule == "phony":
        edge = ninja.by_output[edge.inputs[0]]
    return Path(edge.outputs[0])


def _compilers(folder: Path) -> str:
    """'C GNU 12.2.0, CUDA NVIDIA 13.0.88, CXX GNU 12.2.0'."""
    found = []
    for path in sorted(folder.glob("CMakeFiles/*/CMake*Compiler.cmake")):
        match = re.search(r"CMake(\w+)Compiler", path.name)
        language = match[1] if match else path.name
        values = dict(re.findall(r'set\(CMAKE_\w+?_COMPILER(_ID|_VERSION)? "([^"]*)"\)', path.read_text()))
        if values.get("_ID"):
            found.append(f"{language} {values['_ID']} {values.get('_VERSION', '')}".strip())
    return ", ".join(found)
