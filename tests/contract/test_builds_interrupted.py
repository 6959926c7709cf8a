"""Builds that are killed, doubled, or run out of disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.fake_builder import FakeBuilder
from tests.fixtures.builders import FOREVER, HANG, a_cmake, compilers_in, gone, run_build
from tests.fixtures.tiny_llama import write_tiny_llama
from tuner.build import (
    CachedBuilder,
    Toolchain,
    find_toolchain,
    list_builds,
)
from tuner.errors import DiskFull, ToolMissing
from tuner.model import Settings


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except ToolMissing as error:
        pytest.skip(str(error))


_CHILD = """
import sys
from pathlib import Path
from tuner.build import CachedBuilder, CMakeBuilder, find_toolchain
from tuner.model import Settings
from tuner.source import PathSource
folder, flags = Path(sys.argv[1]), sys.argv[2]
cmake = CMakeBuilder(
    PathSource(folder / "llama.cpp").fetch(),
    fixed=Settings(),
    toolchain=find_toolchain(),
    folder=folder / "cmake",
)
builder = CachedBuilder(cmake, folder / "builds")
into = Path(sys.argv[3])
into.mkdir()
plan = builder.plan(Settings(CMAKE_CXX_FLAGS=flags))
artifact = builder.build(plan, into, into / "log", lambda progress: None)
print("cached" if artifact.cached else "built", flush=True)
"""


@pytest.fixture
def child(tmp_path: Path, toolchain: Toolchain) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(flags: str, into: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, tmp_path, flags, tmp_path / into],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_sigkill_in_the_middle(
    tmp_path: Path, toolchain: Toolchain, child: Callable[[str, str], subprocess.Popen[str]]
) -> None:
    root = write_tiny_llama(tmp_path / "llama.cpp", server_source=FOREVER)
    process = child(str(HANG["CMAKE_CXX_FLAGS"]), "into")
    deadline_s = time.monotonic() + 60
    while not any("cc1plus" in " ".join(psutil.Process(pid).cmdline()) for pid in compilers_in(root)):
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert gone(root)
    assert list_builds(tmp_path / "builds") == ()
    assert list((tmp_path / "builds").glob("tmp-*"))
    CachedBuilder(FakeBuilder(), tmp_path / "builds")
    assert {path.name for path in (tmp_path / "builds").iterdir()} == {"locks"}


def test_two_build_once(tmp_path: Path, child: Callable[[str, str], subprocess.Popen[str]]) -> None:
    write_tiny_llama(tmp_path / "llama.cpp")
    processes = [child("-O1", "one"), child("-O1", "two")]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert said == ["built", "cached"]
    assert len(list_builds(tmp_path / "builds")) == 1


def test_while_compiling(tmp_path: Path, toolchain: Toolchain, small_disk: Callable[[int], Path]) -> None:
    big = "char big[4 << 20] = {1};\nint main() { return big[0]; }\n"
    write_tiny_llama(tmp_path / "llama.cpp", server_source=big)
    disk = small_disk(2 << 20)
    cmake = a_cmake(tmp_path, toolchain)
    builder = CachedBuilder(cmake, disk / "builds")
    with pytest.raises(DiskFull, match="free some"):
        run_build(builder, tmp_path)
    assert {path.name for path in (disk / "builds").iterdir()} == {"locks"}


def test_while_configuring(tmp_path: Path, toolchain: Toolchain, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(64 << 10)
    with pytest.raises(DiskFull):
        a_cmake(tmp_path, toolchain, state=disk / "cmake").plan(Settings())


def test_no_room_for_an_entry(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(64 << 10)
    builder = CachedBuilder(FakeBuilder(), disk / "builds")
    (disk / "rest").write_bytes(bytes(30 << 10))
    try:
        with (disk / "more").open("wb") as file:
            file.write(bytes(64 << 10))
    except OSError:
        pass
    with pytest.raises(DiskFull):
        run_build(builder, tmp_path)
