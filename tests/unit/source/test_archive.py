"""Unpacking what nobody vouches for."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import SourceInvalid
from tuner.source.archive import unpack

Add = Callable[[tarfile.TarFile], None]
INSIDE = PurePosixPath("vendor/llama.cpp")


def a_file(name: str, content: bytes = b"x", mode: int = 0o644) -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content), mode
        tar.addfile(info, io.BytesIO(content))

    return add


def a_member(name: str, kind: bytes, target: str = "") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)

    return add


def a_tar(path: Path, *members: Add) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for add in members:
            add(tar)
    return path


@pytest.fixture
def into(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def test_only_the_folder_asked_for(tmp_path: Path, into: Path) -> None:
    archive = a_tar(
        tmp_path / "a.tar.gz",
        a_file("top/setup.py"),
        a_file("top/vendor/llama.cpp/ggml/a.c", b"int a;"),
        a_file("top/vendor/llama.cpp/run.sh", mode=0o755),
        a_file("top/vendor/llama.cpp/docs/x.md"),
        a_file("top/vendor/llama.cppx/b.c"),
        a_member("top/vendor/llama.cpp/empty", tarfile.DIRTYPE),
        a_member("top/vendor/llama.cpp/link.h", tarfile.SYMTYPE, "ggml/a.c"),
        a_member("top/vendor/llama.cpp/hard.c", tarfile.LNKTYPE, "top/vendor/llama.cpp/ggml/a.c"),
    )
    unpack(archive, into, INSIDE, skip=lambda relative, folder: folder and relative == "docs")
    assert sorted(str(path.relative_to(into)) for path in into.rglob("*")) == [
        "empty",
        "ggml",
        "ggml/a.c",
        "hard.c",
        "link.h",
        "run.sh",
    ]
    assert (into / "link.h").read_text() == (into / "hard.c").read_text() == "int a;"
    assert (into / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (into / "ggml/a.c").stat().st_mode & 0o777 == 0o644


P = "top/vendor/llama.cpp"


@pytest.mark.parametrize(
    "members",
    [
        [a_file("/etc/evil")],
        [a_file("../evil")],
        [a_file(f"{P}/../../../../evil")],
        [a_member(f"{P}/out", tarfile.SYMTYPE, "/etc/passwd")],
        [a_member(f"{P}/out", tarfile.SYMTYPE, "../other")],
        [a_member(f"{P}/out", tarfile.LNKTYPE, "/etc/passwd")],
        [a_member(f"{P}/out", tarfile.LNKTYPE, "top/setup.py")],
        [a_member(f"{P}/out", tarfile.LNKTYPE, f"{P}/nowhere")],
        [a_member(f"{P}/zero", tarfile.CHRTYPE)],
        [a_member(f"{P}/pipe", tarfile.FIFOTYPE)],
        [a_file(f"{P}/a"), a_file(f"{P}/a")],
        [a_file(f"{P}/a"), a_file(f"{P}/a/b")],
        [a_member(f"{P}/d", tarfile.SYMTYPE, "."), a_file(f"{P}/d/evil")],
        [
            a_file(f"{P}/x/y/f"),
            a_member(f"{P}/l", tarfile.SYMTYPE, "x"),
            a_member(f"{P}/l/m", tarfile.SYMTYPE, "f"),
        ],
        # p/q/l is x; p/q/m says l/../.., which reads as p but is above everything
        [
            a_file(f"{P}/x/f"),
            a_file(f"{P}/p/q/f"),
            a_member(f"{P}/p/q/l", tarfile.SYMTYPE, "../../x"),
            a_member(f"{P}/p/q/m", tarfile.SYMTYPE, "l/../.."),
            a_member(f"{P}/p/q/m/evil", tarfile.SYMTYPE, "f"),
        ],
    ],
)
def test_what_gets_out_is_refused(tmp_path: Path, into: Path, members: list[Add]) -> None:
    archive = a_tar(tmp_path / "a.tar.gz", a_file(f"{P}/CMakeLists.txt"), *members)
    before = {path for path in tmp_path.rglob("*") if into not in path.parents}
    with pytest.raises(SourceInvalid):
        unpack(archive, into, INSIDE)
    assert {path for path in tmp_path.rglob("*") if into not in path.parents} == before


def test_a_bomb_is_refused(tmp_path: Path, into: Path) -> None:
    archive = a_tar(tmp_path / "a.tar.gz", a_file(f"{P}/zeros", bytes(100_000)))
    with pytest.raises(SourceInvalid, match="unpacks to more than"):
        unpack(archive, into, INSIDE, max_bytes=99_999)


def test_a_damaged_archive(tmp_path: Path, into: Path) -> None:
    good = a_tar(tmp_path / "good.tar.gz", a_file(f"{P}/a", bytes(range(256)) * 4000)).read_bytes()
    for number, content in enumerate(
        (b"", b"nonsense", good[: len(good) // 2], good[:200] + b"?" * 50 + good[250:])
    ):
        archive = tmp_path / f"{number}.tar.gz"
        archive.write_bytes(content)
        target = into / str(number)
        target.mkdir()
        with pytest.raises(SourceInvalid):
            unpack(archive, target, INSIDE)


def test_no_such_folder(tmp_path: Path, into: Path) -> None:
    with pytest.raises(SourceInvalid, match="correct subdir"):
        unpack(a_tar(tmp_path / "a.tar.gz", a_file("top/a")), into, INSIDE)


def test_zip(tmp_path: Path, into: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(f"{P}/a.c", "int a;")
        program = zipfile.ZipInfo(f"{P}/run.sh")
        program.external_attr = 0o100755 << 16
        zipped.writestr(program, "x")
        link = zipfile.ZipInfo(f"{P}/link")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "a.c")
    unpack(tmp_path / "a.zip", into, INSIDE)
    assert (into / "link").read_text() == "int a;"
    assert (into / "run.sh").stat().st_mode & 0o100


@pytest.mark.parametrize("name", ["/evil", "../evil", f"{P}/../../../evil"])
def test_hostile_zip(tmp_path: Path, into: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(name, "x")
    with pytest.raises(SourceInvalid):
        unpack(tmp_path / "a.zip", into, INSIDE)
    (tmp_path / "b.zip").write_text("no zip")
    with pytest.raises(SourceInvalid, match="damaged"):
        unpack(tmp_path / "b.zip", into, INSIDE)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
            st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3),
            st.lists(st.sampled_from(["a", "b", "..", ".."]), min_size=1, max_size=4),
        ),
        max_size=8,
    )
)
def test_whatever_is_in_it_nothing_lands_outside(
    tmp_path_factory: pytest.TempPathFactory, members: list[tuple[bytes, list[str], list[str]]]
) -> None:
    home = tmp_path_factory.mktemp("archive")
    into = home / "deep" / "into"
    into.mkdir(parents=True)
    adds = []
    for kind, name, target in members:
        path = f"{P}/{'/'.join(name)}"
        if kind == tarfile.REGTYPE:
            adds.append(a_file(path))
        else:
            prefix = f"{P}/" if kind == tarfile.LNKTYPE else ""
            adds.append(a_member(path, kind, prefix + "/".join(target)))
    archive = a_tar(home / "a.tar.gz", *adds)
    try:
        unpack(archive, into, INSIDE)
    except SourceInvalid:
        pass
    else:
        for unpacked in into.rglob("*"):
            assert Path(os.path.realpath(unpacked)).is_relative_to(into)
    assert sorted(path.name for path in home.iterdir()) == ["a.tar.gz", "deep"]
    assert [path.name for path in (home / "deep").iterdir()] == ["into"]
