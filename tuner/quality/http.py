"""Divergence over HTTP, where there is no llama-perplexity: a lower bound from the likeliest tokens."""

from __future__ import annotations

from typing import Final

from tuner.clock import Clock
from tuner.errors import HostError, QualityFailed, TrialError, UserError
from tuner.locking import raise_host_error
from tuner.model import Reason, TrialConfig
from tuner.model.quality import QualityPlan
from tuner.quality.distributions import TopTokens, compare
from tuner.quality.divergence import Divergence
from tuner.quality.method import Reference, Serve, Subject
from tuner.quality.server import Server, ServerUnable
from tuner.quality.text import read_text

TOP: Final = 256
"""How many of the likeliest tokens are asked for. What they leave out is one lump."""


class HttpMethod:
    """A llama-server of each side, one request for each position; the positions are llama-perplexity's."""

    name = f"http-top-{TOP}"

    def __init__(self, plan: QualityPlan, *, serve: Serve, clock: Clock) -> None:
        self._plan = plan
        self._serve = serve
        self._clock = clock
        self._reference: tuple[TopTokens, ...] | None = None
        self._prefixes: tuple[tuple[int, ...], ...] = ()

    def compare(self, subject: Subject, reference: Reference) -> Divergence:
        """See `Method.compare`."""
        if self._reference is None:
            try:
                self._reference = self._ask(reference.config, reference, "reference-server.log")
            except QualityFailed as error:
                raise UserError(
                    f"this llama-server cannot tell how likely tokens are ({error}): use one of 2025 or "
                    "newer, put "
                    "a llama-perplexity beside it, or write `quality: off` into the study file to go without"
                ) from error
            except TrialError as error:
                raise HostError(
                    f"the reference that quality is judged against does not run: {error}. Mend that, or "
                    "write "
                    "`quality: off` into the study file to go without"
                ) from error
        found = self._ask(subject.config, reference, "quality.log", subject)
        return compare(self._reference, found)

    def close(self) -> None:
        """Nothing is kept on disk."""
        self._reference = None

    def _ask(
        self, config: TrialConfig, reference: Reference, log_name: str, subject: Subject | None = None
    ) -> tuple[TopTokens, ...]:
        log = (subject.folder if subject else reference.folder) / log_name
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise_host_error(error, log)
        started_s = self._clock.monotonic_s()
        found: list[TopTokens] = []
        with self._serve(config, log) as base_url, Server(base_url) as server:
            try:
                if not self._prefixes:
                    self._prefixes = self._positions(server, reference)
                for prefix in self._prefixes:
                    found.append(server.successors(prefix, TOP))
                    if self._clock.monotonic_s() - started_s > self._plan.timeout_s:
                        raise _unknown(
                            f"{len(found)} of {len(self._prefixes)} positions took "
                            f"{self._plan.timeout_s:g} s: raise "
                            f"`quality.timeout_minutes` or lower `quality.chunks`; the server's log is {log}"
                        )
            except ServerUnable as error:
                raise _unknown(
                    f"quality could not be asked for: {error}; the server's log is {log}"
                ) from error
        return tuple(found)

    def _positions(self, server: Server, reference: Reference) -> tuple[tuple[int, ...], ...]:
        """The prefixes whose successors are compared: llama-perplexity's, each chunk beginning with BOS."""
        tokens, bos = server.tokenize(read_text(reference.text)), server.bos()
        plan = self._plan
        if len(tokens) < plan.tokens:
            raise UserError(
                f"the text for quality, {reference.text}, has {len(tokens)} tokens of this model, and "
                f"{plan.tokens} "
                "are needed: give a longer one or lower `quality.chunks`"
            )
        prefixes = []
        for number in range(plan.chunks):
            chunk = tokens[number * plan.context : (number + 1) * plan.context]
            if bos is not None:
                chunk[0] = bos
            prefixes += [tuple(chunk[:end]) for end in range(plan.context // 2 + 1, plan.context)]
        return tuple(prefixes)


def _unknown(message: str) -> TrialError:
    return QualityFailed(message, reason=Reason.QUALITY_UNKNOWN.value)
