"""`trials.log` in the study's folder: what the terminal showed, one line a trial, with the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tuner.model import Objective
from tuner.storage import TrialRecord
from tuner.study import record_line

FILE: Final = "trials.log"


class TrialLog:
    """Appends; a disk that is full costs lines, and no trial."""

    def __init__(
        self, study_folder: Path, objectives: tuple[Objective, ...], timestamp: Callable[[], str]
    ) -> None:
        self._path = study_folder / FILE
        self._objectives = objectives
        self._timestamp = timestamp

    def record(self, record: TrialRecord) -> None:
        """A configuration has ended."""
        self.say(record_line(record, self._objectives))

    def say(self, text: str) -> None:
        """A line of its own, whatever is in the text."""
        line = "".join(character if character.isprintable() else " " for character in text)
        with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.write(f"{self._timestamp()} {line}\n")
