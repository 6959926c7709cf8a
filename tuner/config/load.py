"""From a path to a checked study file, or to every mistake in it at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from tuner.config import document
from tuner.config.check_figures import check_figures, check_quality_text
from tuner.config.check_settings import check_settings
from tuner.config.document import Document, Problem, UnreadableDocument, read_document
from tuner.config.explain import explain
from tuner.config.outline import Outline
from tuner.config.read_workloads import ReadWorkloads
from tuner.config.study import StudyFile
from tuner.config.workload_files import WorkloadFiles
from tuner.errors import StudyFileError

MAX_PROBLEMS: Final = 100


def load_study(path: Path, *, paths_start_at: Path | None = None) -> StudyFile:
    """Read and check a study file; relative paths in it start at its folder unless another is given.

    Raises StudyFileError whose `problems` are lines `FILE:LINE: key.path: what is wrong; what would be
    right`, one for each mistake, in the file's order.
    """
    try:
        content = read_document(_read_text(path))
    except UnreadableDocument as error:
        raise _failure(path, Document(content={}, lines={}), error.problems) from error
    problems = list(content.problems)
    try:
        study = StudyFile.model_validate(content.content)
    except ValidationError as error:
        study = None
        problems += explain(error, StudyFile, content.content)
    outline = Outline(content.content)
    folder = path.absolute().parent if paths_start_at is None else paths_start_at
    files = WorkloadFiles(folder)
    workloads = ReadWorkloads.read(outline, files)
    problems += workloads.problems
    problems += check_figures(outline, workloads.values)
    problems += check_quality_text(outline, files)
    problems += check_settings(outline, workloads.values)
    if problems or study is None:
        raise _failure(path, content, problems)
    study._folder = folder
    study._files = files
    study._workloads = tuple(workloads.values.values())
    return study


def _read_text(path: Path) -> str:
    try:
        if path.is_dir():
            raise _unreadable("this is a directory; name the study file in it")
        if not path.exists():
            raise _unreadable("there is no such file; check the path, or copy studies/quickstart.yaml")
        if not path.is_file():
            raise _unreadable("this is not a regular file")
        with path.open("rb") as file:
            data = file.read(document.MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(f"cannot be read: {error.strerror or error}") from error
    if len(data) > document.MAX_BYTES:
        raise _unreadable(f"larger than {document.MAX_BYTES // 1024} KiB: this is not a study file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = "not UTF-8 text; a study file is a text file, saved as UTF-8"
        raise UnreadableDocument(Problem(message=message, line=line)) from error


def _unreadable(message: str) -> UnreadableDocument:
    return UnreadableDocument(Problem(message=message))


def _failure(path: Path, content: Document, problems: Iterable[Problem]) -> StudyFileError:
    placed = [(_line(problem, content), problem) for problem in problems]
    placed.sort(key=lambda pair: pair[0] or 0)
    lines = tuple(dict.fromkeys(_format(path, line, problem) for line, problem in placed))
    if len(lines) > MAX_PROBLEMS:
        lines = (*lines[:MAX_PROBLEMS], f"{path}: and {len(lines) - MAX_PROBLEMS} more; correct these first")
    return StudyFileError(str(path), lines)


def _line(problem: Problem, content: Document) -> int | None:
    if problem.line is not None or not content.lines:
        return problem.line
    return content.line_of(problem.path)


def _format(path: Path, line: int | None, problem: Problem) -> str:
    place = str(path) if line is None else f"{path}:{line}"
    key = _key(problem.path)
    return f"{place}: {key}: {problem.message}" if key else f"{place}: {problem.message}"


def _key(path: document.Path) -> str:
    """`workloads[0].clients`."""
    return "".join(_key_parts(path)).removeprefix(".")


def _key_parts(path: document.Path) -> Iterator[str]:
    for part in path:
        yield f"[{part}]" if isinstance(part, int) else f".{part}"
