"""llama-server's short answers, from inside an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from requests.exceptions import ConnectionError as NoAnswer
from requests.exceptions import ReadTimeout
from urllib3.exceptions import ReadTimeoutError

from tuner.launch.container.engine import ContainerEngine, translated
from tuner.launch.container.image import container_options, read_image
from tuner.launch.container.lifecycle import create, new_name, remove, start
from tuner.launch.container.limits import NO_LIMITS, ContainerLimits
from tuner.launch.executor import NO_VARIABLES, Variables
from tuner.model import Artifact
from tuner.owner import owner_labels
from tuner.process import Captured, ProcessTimeout


class ImageExecutor:
    """Runs an artifact's program in containers of its image, without a network."""

    def __init__(
        self, engine: ContainerEngine, artifact: Artifact, limits: ContainerLimits = NO_LIMITS
    ) -> None:
        self._engine = engine
        self._artifact = artifact
        self._limits = limits

    def identify(self, binary: Path) -> str:
        return f"{self._artifact.image} {binary}"

    def capture(
        self, argv: Sequence[str | Path], variables: Variables = NO_VARIABLES, *, timeout_s: float
    ) -> Captured:
        """See `Executor.capture`."""
        words = [str(word) for word in argv]
        name = new_name()
        with self._engine.client() as client:
            options = container_options(
                read_image(client, self._artifact.image),
                self._artifact,
                words,
                variables,
                self._limits,
                may_lock=False,
            )
            made = options.for_sdk(name=name, labels=owner_labels(), port=None, keep_log=True)
            try:
                container = create(client, made)
                start(container)
                try:
                    with translated():
                        ended = container.wait(timeout=timeout_s)
                        return Captured(
                            exit_code=int(ended["StatusCode"]),
                            stdout=container.logs(stdout=True, stderr=False).decode(errors="replace"),
                            stderr=container.logs(stdout=False, stderr=True).decode(errors="replace"),
                        )
                except Exception as error:
                    if is_late(error.__cause__):
                        raise ProcessTimeout(
                            f"{' '.join(words)} gave no answer within {timeout_s:g} s"
                        ) from error
                    raise
            finally:
                remove(client, name)


def is_late(error: BaseException | None) -> bool:
    """Whether the engine is there and the container runs on; requests has two errors for it."""
    if isinstance(error, NoAnswer):
        return bool(error.args) and isinstance(error.args[0], ReadTimeoutError)
    return isinstance(error, ReadTimeout)
