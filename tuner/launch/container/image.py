"""What an image says of itself, and the container that follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from docker.client import DockerClient

from tuner.launch.command import is_gpu_build
from tuner.launch.container.engine import translated
from tuner.launch.container.files import choose_user, inside, mounted_files
from tuner.launch.container.limits import ContainerLimits
from tuner.launch.container.options import ContainerOptions
from tuner.launch.executor import Variables
from tuner.model import Artifact
from tuner.process import is_hidden_setting

_KERNEL_CACHE = "CUDA_CACHE_PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What containers of an image have unless it is set otherwise."""

    user: str
    """As in `docker run --user`; empty for root."""
    variables: Mapping[str, str]


def read_image(client: DockerClient, image: str) -> ImageSettings:
    """Raises HostError, also when the engine has no such image."""
    with translated():
        config = client.images.get(image).attrs.get("Config") or {}
    pairs = (written.partition("=") for written in config.get("Env") or ())
    return ImageSettings(
        user=str(config.get("User") or ""), variables={name: value for name, _, value in pairs}
    )


def container_options(
    settings: ImageSettings,
    artifact: Artifact,
    argv: Sequence[str],
    variables: Variables,
    limits: ContainerLimits,
    *,
    may_lock: bool,
) -> ContainerOptions:
    """A container of the artifact's image that runs `argv`, a command line with this host's paths.

    Raises HostError for files that only root may read.
    """
    files = mounted_files(argv[1:])
    hidden = {name: None for name in settings.variables if is_hidden_setting(name)}
    cache = settings.variables.get(_KERNEL_CACHE, "")
    gpus = limits.gpus
    if gpus is None:
        # Without a GPU's driver such a program does not even start.
        gpus = "all" if is_gpu_build(artifact.flags) else "none"
    return ContainerOptions(
        image=artifact.image,
        argv=(argv[0], *inside(argv[1:], files)),
        variables={**hidden, **variables},
        files=files,
        user=choose_user(settings.user, (file.source for file in files)),
        scratch=("/tmp", *([cache] if cache.startswith("/") else [])),  # noqa: S108 - the container's own
        limits=limits,
        gpus=gpus,
        may_lock=may_lock,
    )
