"""How a container is made: as little as a server needs, and nothing else.

One value, and two forms of it: what the SDK takes, and the `docker run` that a person deploys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from tuner.launch.container.files import Mounted, User
from tuner.launch.container.limits import ContainerLimits, Gpus
from tuner.launch.executor import Variables

SERVER_PORT = 8004
"""Inside; the one that our images' health check asks."""
_PIDS = 4096
"""Threads count: compute threads, HTTP threads, a driver's own."""
_SCRATCH = "rw,noexec,nosuid,nodev,mode=1777,size=1g"
_NO_CORE = {"core": 0}
"""A crash does not write gigabytes to the host."""
_LOCKING = {"memlock": -1}
"""A model may be locked into memory; no capability is needed for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """A container that is to be made."""

    image: str
    argv: tuple[str, ...]
    variables: Variables
    """Over the image's own."""
    files: tuple[Mounted, ...]
    """Mounted read-only."""
    user: User
    scratch: tuple[str, ...]
    """Folders that can be written, in memory."""
    limits: ContainerLimits
    gpus: Gpus
    may_lock: bool
    """Memory, without limit. An engine without CAP_SYS_RESOURCE (a rootless one) cannot allow it."""

    @property
    def ulimits(self) -> dict[str, int]:
        return _NO_CORE | (_LOCKING if self.may_lock else {})

    def for_sdk(
        self, *, name: str, labels: Mapping[str, str], port: int | None, keep_log: bool
    ) -> dict[str, Any]:
        """Arguments of `containers.create`. `port`: of 127.0.0.1; None: without any network."""
        published = {} if port is None else {"ports": {f"{SERVER_PORT}/tcp": ("127.0.0.1", port)}}
        return {
            "image": self.image,
            "name": name,
            "labels": dict(labels),
            "entrypoint": [self.argv[0]],
            "command": list(self.argv[1:]),
            "environment": dict(self.variables),
            "user": self.user.name,
            "group_add": list(self.user.groups),
            "mounts": [
                Mount(target=file.target, source=str(file.source), type="bind", read_only=True)
                for file in self.files
            ],
            "tmpfs": dict.fromkeys(self.scratch, _SCRATCH),
            "network_mode": "none" if port is None else "bridge",
            **published,
            # Without one the server is process 1, which a fatal signal of its own does not end.
            "init": True,
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "pids_limit": _PIDS,
            "ulimits": [Ulimit(name=name, soft=value, hard=value) for name, value in self.ulimits.items()],
            # The image's own would wake up in the middle of a measurement.
            "healthcheck": {"test": ["NONE"]},
            "log_config": LogConfig(type=LogConfig.types.JSON if keep_log else "none"),
            **self._limits_for_sdk(),
        }

    def as_words(self) -> tuple[str, ...]:
        """`docker run …`: the same container for a person, on 127.0.0.1:`SERVER_PORT`."""
        words = [
            "docker", "run", "--rm", "--init", "--read-only", "--cap-drop=ALL",
            "--security-opt=no-new-privileges:true", f"--pids-limit={_PIDS}",
            *(f"--ulimit={name}={value}" for name, value in self.ulimits.items()),
            *(f"--tmpfs={folder}:{_SCRATCH}" for folder in self.scratch),
            f"--user={self.user.name}",
            *(f"--group-add={group}" for group in self.user.groups),
        ]  # fmt: skip
        if self.limits.memory_bytes is not None:
            words += [f"--memory={self.limits.memory_bytes}", f"--memory-swap={self.limits.memory_bytes}"]
        if self.limits.cpus is not None:
            words.append(f"--cpus={self.limits.cpus:g}")
        if self.limits.cores is not None:
            words.append(f"--cpuset-cpus={_cpuset(self.limits.cores)}")
        words += _gpu_words(self.gpus)
        words += [
            # A bare name takes the variable away, unless the shell has it.
            f"--env={name}" if value is None else f"--env={name}={value}"
            for name, value in sorted(self.variables.items())
        ]
        words += [bind_mount(file) for file in self.files]
        words += [f"--publish=127.0.0.1:{SERVER_PORT}:{SERVER_PORT}", f"--entrypoint={self.argv[0]}"]
        return (*words, self.image, *self.argv[1:])

    def _limits_for_sdk(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.limits.memory_bytes is not None:
            found |= {"mem_limit": self.limits.memory_bytes, "memswap_limit": self.limits.memory_bytes}
        if self.limits.cpus is not None:
            found["nano_cpus"] = round(self.limits.cpus * 1e9)
        if self.limits.cores is not None:
            found["cpuset_cpus"] = _cpuset(self.limits.cores)
        match self.gpus:
            case "none":
                return found
            case "all":
                request = DeviceRequest(count=-1, capabilities=[["gpu"]])
            case int(count):
                request = DeviceRequest(count=count, capabilities=[["gpu"]])
            case ids:
                request = DeviceRequest(device_ids=list(ids), capabilities=[["gpu"]])
        return found | {"device_requests": [request]}


def bind_mount(file: Mounted) -> str:
    """A read-only `--mount` word; its fields are CSV, so that a comma or a quote in a path is no harm."""
    fields = ["type=bind", f"source={file.source}", f"target={file.target}", "readonly"]
    quoted = ('"' + field.replace('"', '""') + '"' if set(field) & set(',"\n') else field for field in fields)
    return f"--mount={','.join(quoted)}"


def _cpuset(cores: tuple[int, ...]) -> str:
    return ",".join(map(str, cores))


def _gpu_words(gpus: Gpus) -> list[str]:
    match gpus:
        case "none":
            return []
        case "all":
            return ["--gpus=all"]
        case int(count):
            return [f"--gpus={count}"]
        case ids:
            # docker reads this as CSV as well: a list of devices is one quoted field.
            return [f'--gpus="device={",".join(ids)}"']
