"""Raw samples as tables, from the folders of trials.

Whatever cannot be read is left out and told: a folder may be gone, or a disk may have been full.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tuner.storage import TrialRecord

_KEYS = ("workload", "launch", "repetition")
_STORED = (
    *("client", "index", "session", "turn", "status", "prompt_tokens", "requested_output_tokens"),
    *("output_tokens", "scheduled_s", "sent_s", "ended_s", "answer_s", "detail"),
)
_TIMINGS = {
    "server_prompt_tokens": "prompt_tokens",
    "server_prompt_s": "prompt_s",
    "server_output_tokens": "output_tokens",
    "server_output_s": "output_s",
    "cached_tokens": "cached_tokens",
}
_COUNTERS = {
    "server_prompt_tokens": "prompt_tokens_total",
    "server_cached_tokens": "prompt_tokens_cached_total",
    "server_prompt_s": "prompt_seconds_total",
    "server_output_tokens": "tokens_predicted_total",
    "server_output_s": "tokens_predicted_seconds_total",
    "server_decodes": "n_decode_total",
}
_NUMBERS = (
    *("scheduled_s", "sent_s", "ended_s", "answer_s", "output_tokens", "session"),
    *("first_token_s", "last_token_s", *_TIMINGS),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What the folders of some records hold. `folder` tells records apart; labels may come twice."""

    repetitions: pd.DataFrame
    requests: pd.DataFrame
    probes: pd.DataFrame
    missing: tuple[str, ...] = ()
    """What could not be read, and why, in sentences."""


@dataclass(slots=True)
class _Gathered:
    requests: list[pd.DataFrame] = field(default_factory=list)
    repetitions: list[dict[str, Any]] = field(default_factory=list)
    probes: list[pd.DataFrame] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_samples(study_folder: Path, records: Iterable[TrialRecord]) -> Samples:
    """Of measured records that were launched themselves; one that shares a measurement has no samples."""
    gathered = _Gathered()
    for record in records:
        if record.reused_from is not None or not record.folder or not record.measured:
            continue
        folder = study_folder / record.folder
        watched = _probed(record, folder, gathered)
        _read_requests(record, folder, gathered)
        for row in _json(record, folder / "counters.json", gathered).get("repetitions", ()):
            key = tuple(row[name] for name in _KEYS)
            gathered.repetitions.append(_repetition(record, row, watched.get(key, {})))
    return Samples(
        repetitions=pd.DataFrame(gathered.repetitions),
        requests=_joined(gathered.requests),
        probes=_joined(gathered.probes),
        missing=tuple(gathered.missing),
    )


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _read_requests(record: TrialRecord, folder: Path, gathered: _Gathered) -> None:
    path = folder / "requests.jsonl"
    try:
        rows = json.loads(f"[{','.join(path.read_text(encoding='utf-8').splitlines())}]")
        gathered.requests.append(_requests(record, rows))
    except (OSError, ValueError, KeyError, TypeError) as error:
        gathered.missing.append(_sentence(record, path, error))


def _requests(record: TrialRecord, rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in (*_KEYS, *_STORED)}
    chunks = [np.asarray(row["chunk_times_s"], dtype="float64") for row in rows]
    columns["first_token_s"] = [times[0] if len(times) else None for times in chunks]
    columns["last_token_s"] = [times[-1] if len(times) else None for times in chunks]
    timings = [row["timings"] or {} for row in rows]
    columns |= {name: [found.get(stored) for found in timings] for name, stored in _TIMINGS.items()}
    columns |= {name: np.asarray(columns[name], dtype="float64") for name in _NUMBERS}
    columns["ttft_s"] = columns["first_token_s"] - columns["sent_s"]
    columns["e2e_s"] = columns["last_token_s"] - columns["sent_s"]
    spans = np.where(columns["output_tokens"] > 1, columns["output_tokens"] - 1, np.nan)
    columns["tpot_s"] = (columns["last_token_s"] - columns["first_token_s"]) / spans
    columns["chunk_times_s"] = chunks
    return pd.DataFrame({"label": record.label, "folder": record.folder, **columns})


def _repetition(record: TrialRecord, row: Mapping[str, Any], watched: Mapping[str, Any]) -> dict[str, Any]:
    before, after = row["before"] or {}, row["after"] or {}
    warm_up, roof = watched.get("warm_up") or {}, watched.get("roof") or {}
    return {
        "label": record.label,
        "folder": record.folder,
        **{name: row[name] for name in _KEYS},
        "started_s": row["started_s"],
        "ended_s": row["ended_s"],
        "duration_s": row["ended_s"] - row["started_s"],
        "client_cpu_s": row["client_cpu_s"],
        **{name: _difference(before, after, stored) for name, stored in _COUNTERS.items()},
        "warm_up_rounds": warm_up.get("rounds"),
        "warm_up_requests": warm_up.get("requests"),
        "warm_up_s": warm_up.get("duration_s"),
        "warm_up_settled": warm_up.get("settled"),
        "bandwidth_bytes_per_s": roof.get("bandwidth_bytes_per_s"),
        "bandwidth_source": roof.get("bandwidth_source"),
        "roof_missing": watched.get("roof_missing") or None,
        "notes": "; ".join(watched.get("notes", ())),
    }


def _difference(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> float | None:
    first, last = before.get(name), after.get(name)
    return None if first is None or last is None else float(last) - float(first)


def _probed(record: TrialRecord, folder: Path, gathered: _Gathered) -> dict[tuple[Any, ...], dict[str, Any]]:
    found = {}
    for row in _json(record, folder / "probes.json", gathered).get("repetitions", ()):
        found[tuple(row[name] for name in _KEYS)] = row
        gathered.probes += list(_series(record, row))
        for series in row["series"]:
            for column, why in series["missing"]:
                said = f"{record.label}, {series['source']}{', ' + column if column else ''}: {why}"
                if said not in gathered.missing:
                    gathered.missing.append(said)
    return found


def _series(record: TrialRecord, row: Mapping[str, Any]) -> Iterator[pd.DataFrame]:
    for series in row["series"]:
        if series["rows"]:
            frame = pd.DataFrame(series["rows"], columns=series["columns"], dtype="float64")
            keys = {name: row[name] for name in _KEYS}
            front = {"label": record.label, "folder": record.folder, **keys, "source": series["source"]}
            yield pd.concat([pd.DataFrame(front, index=frame.index), frame], axis="columns")


def _json(record: TrialRecord, path: Path, gathered: _Gathered) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        gathered.missing.append(_sentence(record, path, error))
        return {}
    return found if isinstance(found, dict) else {}


def _sentence(record: TrialRecord, path: Path, error: Exception) -> str:
    why = (error.strerror or str(error)) if isinstance(error, OSError) else f"damaged ({error})"
    return f"{record.label}: {path.name} cannot be read: {why}"
