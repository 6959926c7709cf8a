"""Whether workloads, objectives and constraints fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from tuner.config.document import Path, Problem
from tuner.config.names import did_you_mean, one_of
from tuner.config.outline import Outline
from tuner.config.quality import QualitySpec
from tuner.config.study import BASELINE_WORD
from tuner.config.workload_files import WorkloadFileInvalid, WorkloadFiles, least_tokens
from tuner.expression import Expression, ExpressionError, parse
from tuner.model import FIGURES, QUALITY, QUALITY_FIGURES, Trace, Workload, longest, split_figure
from tuner.model.quality import TAIL_POSITIONS, positions_per_chunk

_NEEDS_TWO_TOKENS: Final = ("tpot_", "itl_", "decode_")


def check_figures(outline: Outline, workloads: Mapping[int, Workload]) -> Iterator[Problem]:
    """Problems of what is measured and judged; `workloads` are those that could be read, by position."""
    yield from _check_workloads(outline, workloads)
    yield from _check_objectives(outline)
    yield from _check_constraints(outline)


def check_quality_text(outline: Outline, files: WorkloadFiles) -> Iterator[Problem]:
    """A problem when `quality.text` cannot be read."""
    text = outline.mapping("quality").get("text")
    if isinstance(text, str) and text.strip():
        try:
            files.digest(text)
        except WorkloadFileInvalid as error:
            yield Problem(path=("quality", "text"), message=str(error))


def _check_workloads(outline: Outline, workloads: Mapping[int, Workload]) -> Iterator[Problem]:
    context = _count(outline.at("serve", "context_per_request"))
    seen: set[str] = set()
    for index, workload in outline.workloads():
        name = workload.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Problem(
                    path=("workloads", index, "name"),
                    message=f"a second workload named {name!r}; rename one, so that figures are told apart",
                )
            seen.add(name)
    for index, value in workloads.items():
        # Current servers call an answer that fills its slot to the last token truncated, so one is spare.
        needed = _least(value).context_tokens + 1
        if context and needed > context:
            yield Problem(
                path=("workloads", index),
                message=f"{_need(value)}, and one that the server keeps spare, need {needed} tokens of "
                f"context, and serve.context_per_request is {context}; raise that, or shorten the workload",
            )


def _need(workload: Workload) -> str:
    """What takes the context, in words."""
    if isinstance(workload, Trace):
        return "the neediest row's tokens, with the turns before it"
    if workload.session is not None:
        return f"the tokens of a whole conversation of {workload.session.turns} turns"
    prompt, output = workload.most_prompt_tokens, workload.most_output_tokens
    return f"{'the longest' if workload.texts else prompt} prompt and {output} output tokens"


def _least(workload: Workload) -> Workload:
    """With texts counted as the fewest tokens that they can be: what does not fit then, never does."""
    if isinstance(workload, Trace):
        rows = tuple(
            replace(row, prompt_tokens=min(row.prompt_tokens, least_tokens(row.text or "")))
            if row.text is not None
            else row
            for row in workload.rows
        )
        return replace(workload, rows=rows)
    if workload.texts:
        least = max(map(least_tokens, workload.texts))
        return replace(workload, prompt_tokens=min(longest(workload.prompt_tokens), least))
    return workload


def _count(value: Any) -> int:
    """A number of tokens; 0 for anything else, which is reported elsewhere."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _check_objectives(outline: Outline) -> Iterator[Problem]:
    figures: dict[str, int] = {}
    for index in range(len(outline.items("objectives"))):
        for direction in ("maximize", "minimize"):
            figure = outline.at("objectives", index, direction)
            if not isinstance(figure, str):
                continue
            path: Path = ("objectives", index, direction)
            yield from _check_figure(outline, figure, path)
            if figure in figures:
                message = f"{figure} is an objective already (objectives[{figures[figure]}]); remove one"
                yield Problem(path=path, message=message)
            figures.setdefault(figure, index)
    prefer = outline.at("prefer")
    if isinstance(prefer, str) and figures and prefer not in figures:
        yield Problem(
            path=("prefer",),
            message=f"{prefer!r} is not one of the objectives, {one_of(figures)}"
            f"{did_you_mean(prefer, figures)}",
        )


def _check_constraints(outline: Outline) -> Iterator[Problem]:
    for index, text in enumerate(outline.items("constraints")):
        if not isinstance(text, str):
            continue
        path: Path = ("constraints", index)
        try:
            expression = parse(text)
        except ExpressionError as error:
            yield Problem(path=path, message=f"{text!r} is not a comparison: {error}")
            continue
        yield from _check_constraint(outline, expression, path)


def _check_constraint(outline: Outline, expression: Expression, path: Path) -> Iterator[Problem]:
    figures = sorted(expression.names - {BASELINE_WORD})
    if not figures:
        message = "it names no figure; compare a WORKLOAD.FIGURE with something"
        yield Problem(path=path, message=message)
    for figure in figures:
        yield from _check_figure(outline, figure, path)
    if BASELINE_WORD in expression.names and len(figures) > 1:
        yield Problem(
            path=path,
            message=f"{BASELINE_WORD!r} stands for one figure of the default baseline, and "
            f"{len(figures)} are named here; write one constraint for each figure",
        )
    try:
        expression.violation(dict.fromkeys(expression.names, 1.0))
    except ExpressionError as error:
        yield Problem(path=path, message=f"figures are numbers: {error}")


def _check_figure(outline: Outline, full_name: str, path: Path) -> Iterator[Problem]:
    workloads = {
        workload["name"]: workload
        for _, workload in outline.workloads()
        if isinstance(workload.get("name"), str)
    }
    known = [f"{workload}.{figure}" for workload in workloads for figure in FIGURES]
    try:
        workload, figure = split_figure(full_name)
    except ValueError:
        # Without its workload a figure is closest to the same figure of any workload.
        close = next((name for name in known if name.endswith(f".{full_name}")), None)
        hint = f" (did you mean {close!r}?)" if close else did_you_mean(full_name, known)
        yield Problem(path=path, message=f"{full_name!r} is not WORKLOAD.FIGURE{hint}")
        return
    if workload == QUALITY:
        yield from _check_quality_figure(outline, full_name, figure, path)
        return
    if workloads and workload not in workloads:
        hint = did_you_mean(workload, workloads)
        message = f"{full_name!r}: there is no workload {workload!r}{hint}; there is {one_of(workloads)}"
        yield Problem(path=path, message=message)
    if figure not in FIGURES:
        hint = did_you_mean(figure, FIGURES) or f"; the figures are {one_of(FIGURES)}"
        yield Problem(path=path, message=f"{full_name!r}: there is no figure {figure!r}{hint}")
    elif figure.startswith(_NEEDS_TWO_TOKENS) and workloads.get(workload, {}).get("output_tokens") == 1:
        message = f"{full_name!r} needs answers of at least 2 tokens, and {workload!r} asks for 1"
        yield Problem(path=path, message=message)


def _check_quality_figure(outline: Outline, full_name: str, figure: str, path: Path) -> Iterator[Problem]:
    said = outline.at("quality")
    if said is False or said == "off" or outline.mapping("quality").get("judge") is False:
        message = f"{full_name!r} is not measured, because quality is off; remove one of the two"
        yield Problem(path=path, message=message)
    if figure not in QUALITY_FIGURES:
        hint = did_you_mean(figure, QUALITY_FIGURES) or f"; the figures are {one_of(QUALITY_FIGURES)}"
        yield Problem(path=path, message=f"{full_name!r}: there is no figure {figure!r}{hint}")
        return
    plan = QualitySpec()
    chunks = _count(outline.mapping("quality").get("chunks")) or plan.chunks
    context = _count(outline.mapping("quality").get("context")) or plan.context
    positions, needed = chunks * positions_per_chunk(context), TAIL_POSITIONS.get(figure, 0)
    if positions < needed:
        yield Problem(
            path=path,
            message=f"{full_name!r} needs {needed} positions, and {chunks} chunks of {context} tokens "
            f"have {positions}; "
            "raise quality.chunks",
        )
