"""The workloads of a study file as values, each on its own: a mistake in one hides none in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tuner.config.document import Path, Problem
from tuner.config.explain import explain
from tuner.config.outline import Outline
from tuner.config.section import Section
from tuner.config.workload_files import WorkloadFileInvalid, WorkloadFiles
from tuner.config.workloads import ClosedLoopSpec, OpenLoopSpec, TraceSpec, WorkloadSpec
from tuner.model import Workload

_WORKLOAD: TypeAdapter[ClosedLoopSpec | OpenLoopSpec | TraceSpec] = TypeAdapter(WorkloadSpec)


class _Alone(Section):
    """A study file of workloads only, for its explanations."""

    workloads: list[WorkloadSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWorkloads:
    """What could be read."""

    values: Mapping[int, Workload]
    """By their position in the file; malformed ones, which are reported elsewhere, are absent."""
    problems: tuple[Problem, ...]
    """Of the files that they name."""

    @staticmethod
    def read(outline: Outline, files: WorkloadFiles) -> ReadWorkloads:
        """Every workload that is well-formed, with what its files hold."""
        values: dict[int, Workload] = {}
        problems: list[Problem] = []
        for index, content in outline.workloads():
            try:
                values[index] = _WORKLOAD.validate_python(content).to_model(files)
            except ValidationError:
                continue
            except WorkloadFileInvalid as error:
                places = [place for place, name in _file_keys(content) if name == error.file]
                path: Path = ("workloads", index, *(places[0] if places else ()))
                problems.append(Problem(path=path, message=str(error)))
        return ReadWorkloads(values=values, problems=tuple(problems))


def read_workload(
    content: Mapping[str, Any], folder: FilePath
) -> tuple[Workload | None, tuple[tuple[str, str], ...]]:
    """One workload out of what a study file would say of it; relative paths start at `folder`.

    Without one: pairs of the key that is wrong, such as `slo.ttft_s`, and what is wrong with it.
    """
    document = {"workloads": [dict(content)]}
    try:
        [spec] = _Alone.model_validate(document).workloads
        return spec.to_model(WorkloadFiles(folder)), ()
    except ValidationError as error:
        problems = explain(error, _Alone, document)
        return None, tuple((".".join(map(str, problem.path[2:])), problem.message) for problem in problems)
    except WorkloadFileInvalid as error:
        return None, (("", str(error)),)


def _file_keys(content: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _file_keys(value, (*path, key))
        elif key == "file":
            yield (*path, key), value
