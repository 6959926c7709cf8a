"""Judges the quality of configurations, each that is the same in effect once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuner.errors import HostError, TrialError
from tuner.model import QualityFound, TrialConfig, digest
from tuner.model.quality import QualityPlan
from tuner.quality.method import Method, Reference, Serve, Subject
from tuner.quality.store import DivergenceStore
from tuner.quality.subjects import reference_config, subject_config
from tuner.quality.text import read_text, write_text

_KEY_VERSION = "3"
"""Raise it when divergences or texts of an older tuner must not be reused."""
_OFF = "quality is off: how far these answers are from the defaults' was not judged"
_BOUND = (
    "quality.*_kld are lower bounds: the likeliest tokens over HTTP, the rest of the vocabulary as one "
    "lump; a "
    "limit that one breaks is broken, one that it keeps may be broken all the same"
)


class Unjudged:
    """For studies that go without, although something in them changes results: every such score says so."""

    def __init__(self, baseline: TrialConfig) -> None:
        self._reference = reference_config(baseline)

    def check(self, config: TrialConfig, folder: Path) -> QualityFound:
        """No figures."""
        same = subject_config(config) == self._reference
        return QualityFound(figures={}, flags=() if same else (_OFF,))

    def close(self) -> None:
        """There is nothing to remove."""


class QualityGuard:
    """Compares configurations with the default baseline on an f16 KV cache.

    `identify` tells programs apart: the key of a configuration's build. `texts` keeps what references wrote,
    `folder` what stands for the reference while a study runs; `close` removes that. `model_key` changes with
    the model file.
    """

    def __init__(
        self,
        plan: QualityPlan,
        method: Method,
        *,
        baseline: TrialConfig,
        model_key: str,
        identify: Callable[[TrialConfig], str],
        serve: Serve,
        store: DivergenceStore,
        texts: Path,
        folder: Path,
        on_note: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._method = method
        self._reference_config = reference_config(baseline)
        self._model_key = model_key
        self._identify = identify
        self._serve = serve
        self._store = store
        self._texts = texts
        self._folder = folder
        self._on_note = on_note
        self._text: Path | None = None

    def check(self, config: TrialConfig, folder: Path) -> QualityFound:
        """The divergence of `config`; a log in `folder` where it was not known before.

        Raises TrialError for the configuration's fault, UserError and HostError for what no configuration can
        be judged with.
        """
        subject = subject_config(config)
        text = self._obtained_text()
        key = digest(
            _KEY_VERSION,
            self._method.name,
            self._model_key,
            digest(read_text(text)),
            f"{self._plan.chunks}x{self._plan.context}",
            self._identity(self._reference_config),
            self._identity(subject),
        )
        found = self._store.load(key)
        if found is None:
            reference = Reference(config=self._reference_config, text=text, folder=self._folder)
            found = self._method.compare(Subject(config=subject, folder=folder), reference)
            self._store.save(key, found)
        return QualityFound(figures=found.figures(), flags=(_BOUND,) if found.bound else ())

    def close(self) -> None:
        """Remove the reference's answers, which are large; divergences and texts stay."""
        self._method.close()

    def _identity(self, config: TrialConfig) -> str:
        return digest(self._identify(config), config.env.to_json(), config.args.to_json())

    def _obtained_text(self) -> Path:
        if self._text is None:
            self._text = Path(self._plan.text) if self._plan.text is not None else self._written_text()
        return self._text

    def _written_text(self) -> Path:
        key = digest(
            _KEY_VERSION, self._model_key, self._identity(self._reference_config), str(self._plan.tokens)
        )
        path = self._texts / f"{key}.txt"
        if not path.exists():
            self._on_note(f"the reference writes {self._plan.tokens:,} tokens on which quality is judged")
            log = self._folder / "text-server.log"
            try:
                log.parent.mkdir(parents=True, exist_ok=True)
                with self._serve(self._reference_config, log) as base_url:
                    write_text(base_url, path, self._plan.tokens)
            except TrialError as error:
                raise HostError(
                    f"the reference that quality is judged against does not run: {error}. Mend that, or "
                    "write "
                    "`quality: off` into the study file to go without"
                ) from error
        return path
