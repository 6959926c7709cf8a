"""The files that workloads name: lengths, prompts and traces. Their content is part of a study's identity."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tuner.config.names import did_you_mean, one_of
from tuner.config.section import describe
from tuner.model import TraceRow

MAX_BYTES: Final = 256 * 1024 * 1024
MAX_LINES: Final = 1_000_000
_MOST_TOKENS: Final = 10_000_000
_TRACE_KEYS: Final = (
    "time",
    "prompt_tokens",
    "prompt",
    "output_tokens",
    "prefix",
    "prefix_tokens",
    "session",
)
_PROMPT_KEYS: Final = ("prompt", "text")


class WorkloadFileInvalid(Exception):
    """`FILE:LINE: what is wrong`. Caught in this package."""

    def __init__(self, file: str, message: str, line: int | None = None) -> None:
        self.file = file
        """As the study file writes it."""
        super().__init__(f"{file}: {message}" if line is None else f"{file}:{line}: {message}")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a file, and where it stands."""

    file: str
    number: int
    text: str

    def wrong(self, message: str) -> WorkloadFileInvalid:
        return WorkloadFileInvalid(self.file, message, self.number)


class WorkloadFiles:
    """Reads files once, relative to a folder, and remembers what was in them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.contents: dict[str, bytes] = {}
        """By the path as written."""

    def digest(self, path: str) -> str:
        """64 hex digits over the content. Raises WorkloadFileInvalid."""
        return hashlib.sha256(self._read(path)).hexdigest()

    def lengths(self, path: str) -> tuple[int, ...]:
        """A number of tokens in each line. Raises WorkloadFileInvalid."""
        values: list[int] = []
        for line in self._lines(path):
            text = line.text
            if not text.isascii() or not text.isdigit() or not 1 <= int(text[:20]) <= _MOST_TOKENS:
                raise line.wrong(
                    f"{describe(text)} is not a number of tokens; write a whole number in each line"
                )
            values.append(int(text))
        return tuple(values)

    def prompts(self, path: str) -> tuple[str, ...]:
        """A prompt in each line: as it is or, in a .jsonl file, as a JSON text or under the key `prompt`.

        Raises WorkloadFileInvalid.
        """
        if not path.endswith((".jsonl", ".json")):
            return tuple(line.text for line in self._lines(path))
        return tuple(_prompt(line, _parse(line)) for line in self._lines(path))

    def trace(self, path: str) -> tuple[TraceRow, ...]:
        """One request in each line, by time; times count from the first. Raises WorkloadFileInvalid."""
        rows = [_row(line, _parse(line)) for line in self._lines(path)]
        rows.sort(key=lambda row: row.at_s)
        first_s = rows[0].at_s
        return tuple(replace(row, at_s=row.at_s - first_s) for row in rows)

    def _lines(self, path: str) -> Iterator[_Line]:
        """The lines that are not blank, without space around them."""
        try:
            text = self._read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            wrong = error.object.count(b"\n", 0, error.start) + 1
            raise WorkloadFileInvalid(path, "not UTF-8 text", wrong) from error
        found = 0
        # Not splitlines: a prompt may hold characters that Unicode counts as line ends.
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                found += 1
                if found > MAX_LINES:
                    raise WorkloadFileInvalid(path, f"more than {MAX_LINES} lines")
                yield _Line(path, number, line.strip())
        if not found:
            raise WorkloadFileInvalid(path, "the file is empty")

    def _read(self, path: str) -> bytes:
        if path not in self.contents:
            written = Path(path).expanduser() if path.startswith("~") else Path(path)
            file = self._folder / written
            try:
                if file.exists() and not file.is_file():
                    raise WorkloadFileInvalid(path, f"{file} is not a regular file")
                with file.open("rb") as opened:
                    content = opened.read(MAX_BYTES + 1)
            except OSError as error:
                reason = error.strerror or error
                raise WorkloadFileInvalid(path, f"{file} cannot be read: {reason}") from error
            if len(content) > MAX_BYTES:
                raise WorkloadFileInvalid(path, f"{file} is larger than {MAX_BYTES // 2**20} MiB")
            self.contents[path] = content
        return self.contents[path]


def most_tokens(text: str) -> int:
    """The most tokens that a natural text can be, nearly always: a token is two bytes of it or more."""
    return len(text.encode()) // 2 + 8


def least_tokens(text: str) -> int:
    """Fewer tokens than a natural text is: one that has more room than this may still not fit."""
    return len(text.encode()) // 16 + 1


def _parse(line: _Line) -> Any:
    try:
        return json.loads(line.text)
    except (ValueError, RecursionError) as error:
        raise line.wrong(f"not JSON: {error}; every line is one JSON value") from error


def _prompt(line: _Line, value: Any) -> str:
    if isinstance(value, dict):
        known = [key for key in _PROMPT_KEYS if key in value]
        if not known:
            hint = "".join(did_you_mean(str(key), _PROMPT_KEYS) for key in value)
            raise line.wrong(f"the key 'prompt' is missing{hint}")
        value = value[known[0]]
    if not isinstance(value, str) or not value.strip():
        raise line.wrong(f"a prompt is a text that is not empty, not {describe(value)}")
    return value


def _row(line: _Line, value: Any) -> TraceRow:
    if not isinstance(value, dict):
        raise line.wrong(f"a request is a JSON object, not {describe(value)}")
    for key in value:
        if key not in _TRACE_KEYS:
            raise line.wrong(
                f"unknown key {key!r}{did_you_mean(key, _TRACE_KEYS)}; known are {one_of(_TRACE_KEYS)}"
            )
    text = _prompt(line, value) if "prompt" in value else None
    if text is None and "prompt_tokens" not in value:
        raise line.wrong("'prompt_tokens' is missing, or the text itself under 'prompt'")
    prefix = _name(line, value, "prefix")
    if (prefix is None) != ("prefix_tokens" not in value):
        raise line.wrong("'prefix' and 'prefix_tokens' need each other")
    return TraceRow(
        at_s=_time(line, value),
        output_tokens=_tokens(line, value, "output_tokens"),
        prompt_tokens=most_tokens(text or "")
        if "prompt_tokens" not in value
        else _tokens(line, value, "prompt_tokens"),
        text=text,
        prefix=prefix,
        prefix_tokens=0 if prefix is None else _tokens(line, value, "prefix_tokens"),
        session=_name(line, value, "session"),
    )


def _time(line: _Line, row: dict[str, Any]) -> float:
    if "time" not in row:
        raise line.wrong("'time' is missing: seconds from any moment on")
    value = row["time"]
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    if not usable or not math.isfinite(value):
        raise line.wrong(f"'time' is a number of seconds, not {describe(value)}")
    return float(value)


def _tokens(line: _Line, row: dict[str, Any], key: str) -> int:
    if key not in row:
        raise line.wrong(f"{key!r} is missing")
    value = row[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_TOKENS:
        raise line.wrong(f"{key!r} is a whole number of tokens, not {describe(value)}")
    return value


def _name(line: _Line, row: dict[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise line.wrong(f"{key!r} is a name or a number, not {describe(value)}")
    return str(value)
