"""How long what a study needs may be away, as the environment says."""

from __future__ import annotations

import os
from typing import Final

from tuner.errors import UserError
from tuner.storage import PATIENCE_S

STORAGE_PATIENCE: Final = "TUNER_STORAGE_PATIENCE"
ENGINE_PATIENCE: Final = "TUNER_ENGINE_PATIENCE"


def storage_patience_s() -> float:
    """TUNER_STORAGE_PATIENCE. Raises UserError."""
    return _seconds(STORAGE_PATIENCE)


def engine_patience_s() -> float:
    """TUNER_ENGINE_PATIENCE. Raises UserError."""
    return _seconds(ENGINE_PATIENCE)


def _seconds(variable: str) -> float:
    said = os.environ.get(variable)
    if not said:
        return PATIENCE_S
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(f"{variable} is {said!r}: a number of seconds is wanted, such as 300")
    return seconds
