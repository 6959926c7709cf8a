"""The thread that says, every few seconds, that a worker lives, and hears whether the others do."""

from __future__ import annotations

import logging
import threading

from tuner.errors import TunerError
from tuner.storage.roster import Roster, Watch

logger = logging.getLogger(__name__)


class Heartbeat:
    """Beats until it is stopped, or its worker was taken for gone; strikes off workers that are gone.

    A thread, because a measurement takes minutes. A storage that is away is no reason to end.
    """

    def __init__(self, roster: Roster, watch: Watch, number: int, every_s: float) -> None:
        self._roster = roster
        self._watch = watch
        self._number = number
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Idempotent."""
        self._stopped.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                present = self._roster.beat(self._number)
                if all(worker.number != self._number for worker in present):
                    return
                for worker, why in self._watch.gone(present):
                    if worker.number != self._number and self._roster.dismiss(worker, why):
                        logger.info("%s is gone: %s", worker.label, why)
            except TunerError as error:
                logger.debug("no heartbeat: %s", error)
