"""Divergence by llama.cpp's own llama-perplexity: exact, offline, and the default."""

from __future__ import annotations

import logging
import shlex
import shutil
from pathlib import Path
from typing import Final

from tuner.errors import DiskFull, HostError, QualityFailed, TrialError, UserError
from tuner.locking import raise_host_error
from tuner.model import Reason
from tuner.model.quality import QualityPlan
from tuner.process import ProcessTimeout, run
from tuner.quality.base_file import read_base, size_of_positions
from tuner.quality.divergence import Divergence
from tuner.quality.method import Explain, Invoke, ObtainProgram, Reference, Subject, failed
from tuner.quality.output import parse_output
from tuner.units import format_bytes

_LOG_BYTES: Final = 4 << 20
_SPARE_BYTES: Final = 64 << 20
"""What must stay free beside the reference's file."""
_TRIES: Final = 4
"""Passes of a subject until its statistics are there. Since 2026 llama.cpp's programs may exit before a
thread has written the last lines of their log (common/log.cpp, `common_log_main`): seen in half of the runs
of a model of 6 million parameters, and never yet of a real one, whose removal from memory takes longer."""
_SWITCH_OFF: Final = "or write `quality: off` into the study file to go without"
_log = logging.getLogger(__name__)


class PerplexityMethod:
    """Two passes over the text: one of the reference, which is kept, and one of each subject.

    The reference's answers take 2 bytes for each token of the vocabulary at each position: 0.5 GB for
    262,144 tokens and 1,020 positions.
    """

    name = "llama-perplexity"

    def __init__(
        self,
        model: Path,
        vocab_size: int,
        plan: QualityPlan,
        *,
        obtain: ObtainProgram,
        invoke: Invoke,
        explain: Explain,
    ) -> None:
        self._model = model
        self._vocab_size = vocab_size
        self._plan = plan
        self._obtain = obtain
        self._invoke = invoke
        self._explain = explain
        self._base: Path | None = None

    def compare(self, subject: Subject, reference: Reference) -> Divergence:
        """See `Method.compare`."""
        base = self._base_of(reference)
        log = subject.folder / "quality.log"
        reason, line = "", ""
        for _ in range(_TRIES):
            said = self._run(subject, log, ("--kl-divergence", "--kl-divergence-base", str(base)))
            found = parse_output(said, self._plan.positions)
            if found is not None:
                return found
            reason, line = self._explain(said, 0)
            if reason != Reason.QUALITY_UNKNOWN:
                break
        raise failed(
            f"llama-perplexity ended without its statistics: {line or 'it says nothing of why'}",
            reason=reason,
            log=log,
        )

    def close(self) -> None:
        """Remove the reference's answers."""
        if self._base is not None:
            self._base.unlink(missing_ok=True)
            self._base = None

    def _base_of(self, reference: Reference) -> Path:
        path = reference.folder / "reference.kld"
        if self._base is None:
            # One that a killed run has left may be of another reference.
            path.unlink(missing_ok=True)
            self._base = path
        if read_base(path) is None:
            self._write_base(reference, path)
        return path

    def _write_base(self, reference: Reference, path: Path) -> None:
        log = reference.folder / "reference.log"
        needed = size_of_positions(self._plan.context, self._plan.chunks, self._vocab_size)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            log.unlink(missing_ok=True)
            free = shutil.disk_usage(path.parent).free
        except OSError as error:
            raise_host_error(error, path)
        if free < needed + _SPARE_BYTES:
            raise DiskFull(
                f"the reference's answers for quality take {format_bytes(needed)} in {path.parent}, and "
                f"{format_bytes(free)} are free: free some, lower `quality.chunks`, {_SWITCH_OFF}"
            )
        words = (
            "-f",
            str(reference.text),
            "--chunks",
            str(self._plan.chunks),
            "--save-all-logits",
            str(path),
        )
        subject = Subject(config=reference.config, folder=reference.folder)
        try:
            said = self._run(subject, log, words)
        except TrialError as error:
            path.unlink(missing_ok=True)
            raise HostError(
                f"the reference that quality is judged against does not run: {error}. Mend that, "
                f"{_SWITCH_OFF}"
            ) from error
        written = read_base(path)
        if written is not None and written.chunks == self._plan.chunks:
            return
        path.unlink(missing_ok=True)
        if written is not None or "you need at least" in said:
            raise UserError(
                f"the text for quality, {reference.text}, is too short: {self._plan.tokens} tokens of this "
                "model "
                f"are needed; give a longer one, lower `quality.chunks`, {_SWITCH_OFF}"
            )
        raise HostError(
            f"llama-perplexity did not write the reference's answers ({format_bytes(needed)}) to {path} in "
            "full; "
            f"see {log}, {_SWITCH_OFF}"
        )

    def _run(self, subject: Subject, log: Path, words: tuple[str, ...]) -> str:
        """What llama-perplexity printed. Raises QualityFailed, and what finding the program raises."""
        program = self._obtain(subject.config, subject.folder)
        invocation = self._invoke(program, subject.config)
        if invocation.left_out:
            _log.info("llama-perplexity has no %s: not judged", ", ".join(invocation.left_out))
        context = str(self._plan.context)
        # A batch of one chunk: with more, the logits of several chunks would lie in memory together.
        command = (
            str(program),
            "-m",
            str(self._model),
            "-c",
            context,
            "-b",
            context,
            *words,
            *invocation.words,
        )
        try:
            with log.open("a", encoding="utf-8") as file:
                file.write(f"$ {shlex.join(command)}\n")
                begin = file.tell()
        except OSError as error:
            raise_host_error(error, log)
        try:
            code = run(command, env=invocation.environment, log=log, timeout_s=self._plan.timeout_s)
        except ProcessTimeout as error:
            raise QualityFailed(
                f"llama-perplexity ran longer than {self._plan.timeout_s:g} s and was stopped: raise "
                f"`quality.timeout_minutes` or lower `quality.chunks`; the log is {log}",
                reason=Reason.QUALITY_UNKNOWN.value,
                log=str(log),
            ) from error
        said = _read(log, begin)
        if code != 0:
            reason, line = self._explain(said, code)
            raise failed(
                f"llama-perplexity ended with exit code {code}: {line or 'its log says nothing of it'}",
                reason=reason,
                log=log,
            )
        return said


def _read(log: Path, begin: int) -> str:
    """What came after `begin`; of much, the end, where the statistics are: programs can print without end."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(begin, size - _LOG_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except OSError as error:
        raise_host_error(error, log)
