"""`tuner`, but what it is doing stands in the file `$CHAOS_STATE`, for whoever injects faults."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tuner.cli import study as study_commands
from tuner.cli.live import PlainWatcher
from tuner.cli.main import main
from tuner.study import Snapshot


class ObservedWatcher(PlainWatcher):
    """Plain lines, and the state in a file: `measuring` of a confirmation is `confirming`."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._file = Path(os.environ["CHAOS_STATE"])
        self._written = ""

    def on_progress(self, snapshot: Snapshot) -> None:
        state = snapshot.progress.state.value
        if snapshot.label.startswith("confirmation") and state == "measuring":
            state = "confirming"
        if state != self._written:
            beside = self._file.with_suffix(".new")
            beside.write_text(state)
            beside.rename(self._file)
            self._written = state
        super().on_progress(snapshot)


if __name__ == "__main__":
    setattr(study_commands, "make_watcher", ObservedWatcher)  # noqa: B010 - the name is not exported
    sys.argv[0] = "tuner"
    main()
