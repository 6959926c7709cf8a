from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuner.errors import HostError
from tuner.launch.container.files import NOBODY, User, choose_user, inside, mounted_files


def file(path: Path, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    path.chmod(mode)
    return path


def test_files_of_a_command_line(tmp_path: Path) -> None:
    model, lora = file(tmp_path / "a b" / "m.gguf"), file(tmp_path / "c" / "m.gguf")
    words = [
        "--model",
        str(model),
        "--lora",
        str(lora),
        "--alias",
        "m.gguf",
        "--path",
        str(tmp_path),
        "/none",
    ]
    files = mounted_files(words)
    assert [(found.source, found.target) for found in files] == [
        (model, "/models/m.gguf"),
        (lora, "/models/1/m.gguf"),
    ]
    assert inside(words, files) == (
        *("--model", "/models/m.gguf", "--lora", "/models/1/m.gguf"),
        *("--alias", "m.gguf", "--path", str(tmp_path), "/none"),
    )


def test_all_parts_of_a_split_model(tmp_path: Path) -> None:
    parts = [file(tmp_path / f"m-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    file(tmp_path / "m-00004-of-00003.gguf")
    file(tmp_path / "n-00001-of-00003.gguf")
    found = mounted_files([str(parts[0])])
    assert [mounted.source for mounted in found] == parts
    assert {Path(mounted.target).parent for mounted in found} == {Path("/models")}


@pytest.mark.parametrize("word", ["/" + "x" * 5000, "/a\0b", "", "-", "/dev/null", "/etc"])
def test_words_that_are_no_files(word: str) -> None:
    assert mounted_files([word]) == ()


@pytest.mark.parametrize(
    ("image_user", "user"),
    [("", NOBODY), ("0", NOBODY), ("root", NOBODY), ("0:5", NOBODY), ("root:x", NOBODY),
     ("10001:10001", "10001:10001"), ("llama", "llama")],
)  # fmt: skip
def test_never_root(tmp_path: Path, image_user: str, user: str) -> None:
    assert choose_user(image_user, [file(tmp_path / "m")]) == User(name=user)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(
    ("owner", "mode", "user"),
    [
        ((7, 8), 0o600, User(name="7:8")),
        ((7, 8), 0o640, User(name="7:8")),
        ((0, 8), 0o640, User(name=NOBODY, groups=("8",))),
        ((0, 0), 0o604, User(name=NOBODY)),
    ],
)
def test_whoever_can_read_it(tmp_path: Path, owner: tuple[int, int], mode: int, user: User) -> None:
    model = file(tmp_path / "m", mode)
    os.chown(model, *owner)
    assert choose_user("", [model, file(tmp_path / "open")]) == user


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("owner", "mode"), [((0, 0), 0o640), ((0, 8), 0o600), ((7, 8), 0o000)])
def test_what_nobody_may_read(tmp_path: Path, owner: tuple[int, int], mode: int) -> None:
    model = file(tmp_path / "m", mode)
    os.chown(model, *owner)
    with pytest.raises(HostError, match=rf"chmod a\+r {model}"):
        choose_user("", [model])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_two_owners(tmp_path: Path) -> None:
    files = [file(tmp_path / name, 0o640) for name in ("a", "b")]
    os.chown(files[0], 7, 8)
    os.chown(files[1], 9, 10)
    assert choose_user("", files) == User(name=NOBODY, groups=("10", "8"))
