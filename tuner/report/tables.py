"""Tables as files: CSV for everybody, Parquet where pyarrow is installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pandas as pd

_FORMULA = ("=", "+", "@", "-", "\t", "\r")


def write_table(frame: pd.DataFrame, folder: Path, name: str) -> list[str]:
    """Write `name`.csv, and .parquet if it can be; the names of the files. Raises OSError."""
    frame = _plain(frame)
    written = [f"{name}.csv"]
    _for_spreadsheets(frame).to_csv(folder / written[0], index=False, lineterminator="\n")
    if has_parquet():
        written.append(f"{name}.parquet")
        frame.to_parquet(folder / written[1], index=False)
    return written


def has_parquet() -> bool:
    """Whether pyarrow is installed (the optional extra `report`)."""
    return importlib.util.find_spec("pyarrow") is not None


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Settings may be of several types in one column, and arrays are in some: both become text."""
    mixed = {
        name: frame[name].map(_text)
        for name in frame.columns
        if frame[name].dtype == object and frame[name].notna().any()
    }
    return frame.assign(**mixed)


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    if hasattr(value, "tolist"):
        return json.dumps(value.tolist())
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _for_spreadsheets(frame: pd.DataFrame) -> pd.DataFrame:
    """Text that a spreadsheet would run as a formula is quoted."""
    quoted = {
        name: frame[name].map(_quoted, na_action="ignore")
        for name in frame.columns
        if pd.api.types.is_string_dtype(frame[name].dtype)
    }
    return frame.assign(**quoted)


def _quoted(text: object) -> object:
    if not isinstance(text, str) or not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text
