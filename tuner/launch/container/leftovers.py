"""Labels of our containers, and what a killed tuner has left behind."""

from __future__ import annotations

import logging
from typing import Any

from tuner.launch.container.engine import ContainerEngine, translated
from tuner.launch.container.lifecycle import remove
from tuner.owner import LABEL_OWNER, is_left_over, owner_labels

LABEL_STUDY = "org.llama-tuner.study"
LABEL_TRIAL = "org.llama-tuner.trial"
_LOG = logging.getLogger(__name__)


def trial_labels(study: str, trial: str) -> dict[str, str]:
    """Labels of a trial's container, made by this process."""
    return {LABEL_STUDY: study, LABEL_TRIAL: trial, **owner_labels()}


def remove_leftovers(engine: ContainerEngine) -> tuple[str, ...]:
    """Remove the containers of tuners that are gone; their names.

    Containers without our label, and those whose owner lives or may live, are not touched. Raises HostError.
    """
    removed = []
    with engine.client() as client:
        with translated():
            found = client.api.containers(all=True, filters={"label": LABEL_OWNER})
        for told in found:
            if is_left_over(told.get("Labels") or {}, runs=_runs(told)):
                name = str((told.get("Names") or [told["Id"]])[0]).lstrip("/")
                _LOG.info("removing container %s, which a tuner that is gone has left", name)
                remove(client, str(told["Id"]))
                removed.append(name)
    return tuple(removed)


def remove_own(engine: ContainerEngine) -> None:
    """Remove the containers of this very process, which must not be using any. Raises HostError."""
    with engine.client() as client:
        ours = [f"{name}={value}" for name, value in owner_labels().items()]
        with translated():
            found = client.api.containers(all=True, filters={"label": ours})
        for told in found:
            remove(client, str(told["Id"]))


def _runs(told: dict[str, Any]) -> bool:
    return told.get("State") not in ("exited", "dead")
