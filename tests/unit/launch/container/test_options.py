from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.launch.container.files import Mounted, User
from tuner.launch.container.limits import ContainerLimits, Gpus
from tuner.launch.container.options import SERVER_PORT, ContainerOptions, bind_mount


def options(**changes: Any) -> ContainerOptions:
    values: dict[str, Any] = {
        "image": "sha256:1",
        "argv": ("/llama-server", "--model", "/models/m.gguf"),
        "variables": {},
        "files": (Mounted(source=Path("/m.gguf"), target="/models/m.gguf"),),
        "user": User(name="10001:10001"),
        "scratch": ("/tmp",),  # noqa: S108 - the container's own
        "limits": ContainerLimits(),
        "gpus": "none",
        "may_lock": True,
    }
    return ContainerOptions(**(values | changes))


def for_sdk(**changes: Any) -> dict[str, Any]:
    return options(**changes).for_sdk(name="n", labels={}, port=1234, keep_log=False)


def test_as_little_as_a_server_needs() -> None:
    made = for_sdk()
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert made["read_only"] is True
    assert made["user"] == "10001:10001"
    assert made["ports"] == {f"{SERVER_PORT}/tcp": ("127.0.0.1", 1234)}
    assert "privileged" not in made
    assert "mem_limit" not in made


def test_the_same_for_a_person() -> None:
    limits = ContainerLimits(memory_bytes=1 << 30, cpus=1.5)
    words = options(limits=limits, variables={"A": "x y", "B": None}, gpus=("0", "GPU-1")).as_words()
    assert words[:2] == ("docker", "run")
    for word in (
        "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--user=10001:10001",
        "--ulimit=memlock=-1", "--memory=1073741824", "--memory-swap=1073741824", "--cpus=1.5",
        "--env=A=x y", "--env=B", '--gpus="device=0,GPU-1"', "--entrypoint=/llama-server",
        f"--publish=127.0.0.1:{SERVER_PORT}:{SERVER_PORT}",
        "--mount=type=bind,source=/m.gguf,target=/models/m.gguf,readonly",
    ):  # fmt: skip
        assert word in words
    assert words[-3:] == ("sha256:1", "--model", "/models/m.gguf")


def test_no_network_without_a_port() -> None:
    made = options().for_sdk(name="n", labels={}, port=None, keep_log=True)
    assert made["network_mode"] == "none"
    assert "ports" not in made


@pytest.mark.parametrize(
    ("gpus", "count", "ids", "words"),
    [
        ("all", -1, [], ["--gpus=all"]),
        (2, 2, [], ["--gpus=2"]),
        (("1", "GPU-x"), 0, ["1", "GPU-x"], ['--gpus="device=1,GPU-x"']),
    ],
)
def test_gpus(gpus: Gpus, count: int, ids: list[str], words: list[str]) -> None:
    (request,) = for_sdk(gpus=gpus)["device_requests"]
    assert (request["Count"], request["DeviceIDs"], request["Capabilities"]) == (count, ids, [["gpu"]])
    assert [word for word in options(gpus=gpus).as_words() if word.startswith("--gpus")] == words


def test_no_gpus() -> None:
    assert "device_requests" not in for_sdk()
    assert not any("gpus" in word for word in options().as_words())


def test_limits() -> None:
    made = for_sdk(limits=ContainerLimits(memory_bytes=1 << 30, cpus=0.5))
    assert "cpuset_cpus" not in made
    pinned = ContainerLimits(cores=(0, 1, 5))
    assert for_sdk(limits=pinned)["cpuset_cpus"] == "0,1,5"
    assert "--cpuset-cpus=0,1,5" in options(limits=pinned).as_words()
    assert (made["mem_limit"], made["memswap_limit"], made["nano_cpus"]) == (1 << 30, 1 << 30, 500_000_000)


def test_an_engine_that_cannot_lock_is_not_asked_to() -> None:
    assert {limit["Name"] for limit in for_sdk()["ulimits"]} == {"memlock", "core"}
    assert {limit["Name"] for limit in for_sdk(may_lock=False)["ulimits"]} == {"core"}
    assert not any("memlock" in word for word in options(may_lock=False).as_words())


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(
    lambda text: "/" not in text and text not in (".", "..")
)


@given(PRINTABLE, PRINTABLE)
def test_a_mount_is_read_back_as_it_was_meant(source: str, target: str) -> None:
    """docker reads the word as one record of CSV, after the shell."""
    (word,) = shlex.split(
        shlex.join([bind_mount(Mounted(source=Path("/", source), target=f"/models/{target}"))])
    )
    (fields,) = csv.reader([word.removeprefix("--mount=")], strict=True)
    assert fields == ["type=bind", f"source=/{source}", f"target=/models/{target}", "readonly"]


@given(st.dictionaries(PRINTABLE.filter(lambda name: "=" not in name), st.text(st.characters(codec="utf-8"))))
def test_variables_are_one_word_each(variables: dict[str, str]) -> None:
    words = options(variables=variables).as_words()
    assert {word for word in words if word.startswith("--env=")} == {
        f"--env={name}={value}" for name, value in variables.items()
    }
    assert tuple(shlex.split(shlex.join(words))) == words
