"""Whether fixed settings, baselines and the space fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from tuner.config.arguments import (
    CACHE_ARGUMENTS,
    CACHES_OFF,
    SHORT_FORMS,
    STABLE_DEFAULTS,
    is_speculation,
    preferred_spelling,
)
from tuner.config.document import Path, Problem
from tuner.config.layers import LAYERS, Layer, find, key_of
from tuner.config.names import did_you_mean, one_of
from tuner.config.outline import Outline, Searched
from tuner.config.parameters import ValuesSpec
from tuner.config.section import describe
from tuner.config.study import DEFAULT_BASELINE
from tuner.expression import Expression, ExpressionError, parse
from tuner.model import Scalar, Workload


def check_settings(outline: Outline, workloads: Mapping[int, Workload]) -> Iterator[Problem]:
    """Problems of what is fixed, searched and compared with; `workloads` are those that could be read."""
    searched = outline.searched()
    if isinstance(outline.at("space"), Mapping) and not searched:
        yield Problem(
            path=("space",),
            message="nothing is searched; name at least one parameter under build, env or args",
        )
    yield from _check_build(outline)
    yield from _check_container(outline)
    yield from _check_fixed_and_searched(outline, searched)
    yield from _check_spellings(outline)
    yield from _check_speculation(outline, workloads)
    yield from _check_caches(outline, workloads)
    if DEFAULT_BASELINE in outline.mapping("baselines"):
        yield Problem(
            path=("baselines", DEFAULT_BASELINE),
            message="this name belongs to the baseline that every study has, llama.cpp's defaults; rename it",
        )
    yield from _check_conditions(outline, searched)
    yield from _check_requirements(outline, searched)


def _check_build(outline: Outline) -> Iterator[Problem]:
    build = outline.at("build")
    backend = outline.mapping("build").get("backend", "cmake")
    if backend == "prebuilt":
        if outline.at("source") is not None:
            message = "a prebuilt binary has no source; remove this key, or use backend: cmake"
            yield Problem(path=("source",), message=message)
        places: list[Path] = [("space", "build")]
        places += [("baselines", name, "build") for name in outline.mapping("baselines")]
        for place in places:
            if outline.mapping(*place):
                message = "a prebuilt binary has no build flags; remove them, or use backend: cmake"
                yield Problem(path=place, message=message)
    elif (
        backend in ("cmake", "docker")
        and "source" not in outline.content
        and (build is None or isinstance(build, Mapping))
    ):
        yield Problem(
            path=("source",),
            message="this key is missing: a build needs {sdist: PACKAGE==VERSION}, {git: URL, ref: ...} "
            "or {path: FOLDER}",
        )


def _check_container(outline: Outline) -> Iterator[Problem]:
    backend = outline.mapping("build").get("backend", "cmake")
    if outline.mapping("serve").get("container") is not None and backend != "docker":
        message = f"only images run in containers, and backend: {backend} makes none; remove this key"
        yield Problem(path=("serve", "container"), message=message)


def _check_fixed_and_searched(outline: Outline, searched: tuple[Searched, ...]) -> Iterator[Problem]:
    for parameter in searched:
        if parameter.name in outline.fixed(parameter.layer):
            where = ".".join(map(str, outline.fixed_path(parameter.layer)))
            message = f"searched here and fixed in {where}; remove one of the two"
            yield Problem(path=parameter.path, message=message)


def _check_spellings(outline: Outline) -> Iterator[Problem]:
    spellings: dict[str, Path] = {}
    for path, _ in outline.arguments():
        name = str(path[-1])
        if SHORT_FORMS.get(name, name) != name:
            continue  # reported as a short form already
        first = spellings.setdefault(preferred_spelling(name), path)
        if first[-1] != name:
            where = ".".join(map(str, first))
            message = (
                f"the same argument as {where}; use one spelling everywhere (did you mean {first[-1]!r}?)"
            )
            yield Problem(path=path, message=message)


def _check_speculation(outline: Outline, workloads: Mapping[int, Workload]) -> Iterator[Problem]:
    random = [workload.name for workload in workloads.values() if not workload.text_prompts]
    if not random:
        return
    for path, value in outline.arguments():
        if is_speculation(str(path[-1])) and not (path[-1] == "spec-type" and value == "none"):
            yield Problem(
                path=path,
                message=f"speculative decoding cannot be judged under {one_of(random)}: random tokens decode "
                "into loops that are easy to guess and flatter speculation; give every workload text, by "
                "`prompts: {file: ...}` or a trace with prompts, or leave this argument out",
            )


def _check_caches(outline: Outline, workloads: Mapping[int, Workload]) -> Iterator[Problem]:
    if any(workload.caches for workload in workloads.values()):
        return
    for path, _ in outline.arguments():
        name = str(path[-1])
        if name not in SHORT_FORMS and preferred_spelling(name) in CACHE_ARGUMENTS:
            yield Problem(path=path, message=CACHES_OFF)


def _names_by_layer(searched: tuple[Searched, ...]) -> dict[Layer, set[str]]:
    return {layer: {p.name for p in searched if p.layer == layer} for layer in LAYERS}


def _check_conditions(outline: Outline, searched: tuple[Searched, ...]) -> Iterator[Problem]:
    known = _names_by_layer(searched)
    by_key = {parameter.key: parameter for parameter in searched}
    parents: dict[str, set[str]] = {}
    for parameter in searched:
        if parameter.spec is None:
            continue
        for name, wanted in parameter.spec.when.items():
            path: Path = (*parameter.path, "when", name)
            matches = find(name, known)
            problem = _naming_problem(name, matches, known, outline)
            if problem is not None:
                yield Problem(path=path, message=problem)
                continue
            if matches[0] == parameter.key:
                yield Problem(path=path, message="a parameter cannot depend on itself; remove this condition")
                continue
            parents.setdefault(parameter.key, set()).add(matches[0])
            parent = by_key[matches[0]].spec
            if parent is None:
                continue
            for value in wanted:
                if not parent.allows(value):
                    choices = (
                        f"; it is one of {', '.join(describe(v) for v in parent.values)}"
                        if isinstance(parent, ValuesSpec)
                        else ""
                    )
                    message = f"{name} never is {describe(value)}, so the condition cannot hold{choices}"
                    yield Problem(path=path, message=message)
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        # graphlib lists each parameter before the one that depends on it, and the first again at the end.
        circle = list(reversed(error.args[1]))[:-1]
        start = circle.index(min(circle))
        circle = [*circle[start:], *circle[: start + 1]]
        message = f"conditions go round in a circle: {' needs '.join(circle)}; remove one of them"
        yield Problem(path=(*by_key[circle[0]].path, "when"), message=message)


def _naming_problem(
    name: str, matches: tuple[str, ...], known: Mapping[Layer, set[str]], outline: Outline
) -> str | None:
    if len(matches) > 1:
        return f"{name!r} may be {one_of(matches)}; write the one that is meant"
    if matches:
        return None
    if find(name, {layer: outline.fixed(layer) for layer in LAYERS}):
        return f"{name!r} is fixed, so the condition never changes; search it, or remove the condition"
    everything = [name for layer in LAYERS for name in known[layer]]
    return f"there is no parameter {name!r} in the space{did_you_mean(name, everything)}"


def _check_requirements(outline: Outline, searched: tuple[Searched, ...]) -> Iterator[Problem]:
    known = _names_by_layer(searched)
    for layer in LAYERS:
        known[layer] |= set(outline.fixed(layer))
    with_defaults = {**known, "args": known["args"] | set(STABLE_DEFAULTS)}
    for index, text in enumerate(outline.items("space", "require")):
        if not isinstance(text, str):
            continue
        path: Path = ("space", "require", index)
        try:
            expression = parse(text)
        except ExpressionError as error:
            yield Problem(path=path, message=f"{text!r} is not a comparison: {error}")
            continue
        unclear = False
        for name in sorted(expression.names):
            matches = find(name, known) or find(name, with_defaults)
            if len(matches) != 1:
                unclear = True
                yield Problem(path=path, message=_requirement_problem(name, matches, with_defaults))
        if not expression.names:
            yield Problem(path=path, message="it names no setting; compare a setting with something")
        elif not unclear:
            yield from _check_types(expression, path, outline, searched)


def _requirement_problem(name: str, matches: tuple[str, ...], known: Mapping[Layer, set[str]]) -> str:
    if matches:
        return f"{name!r} may be {one_of(matches)}; write the one that is meant"
    everything = [name for layer in LAYERS for name in known[layer]]
    hint = did_you_mean(name, everything)
    if not hint and "-" in name:
        hint = "; a subtraction needs spaces around its sign"
    return f"{name!r} is neither searched nor fixed, and has no documented default{hint}"


def _check_types(
    expression: Expression, path: Path, outline: Outline, searched: tuple[Searched, ...]
) -> Iterator[Problem]:
    """Try one value of every type that a name can have, so that no trial meets text in arithmetic."""
    examples: dict[str, list[Scalar]] = {}
    for name in expression.names:
        values = _examples(name, outline, searched)
        if not values:
            return
        examples[name] = list({type(value): value for value in values}.values())
    first = {name: values[0] for name, values in examples.items()}
    for name, values in examples.items():
        for value in values:
            try:
                expression.violation({**first, name: value})
            except ExpressionError as error:
                yield Problem(path=path, message=f"cannot be computed for every trial: {error}")
                return


def _examples(name: str, outline: Outline, searched: tuple[Searched, ...]) -> list[Scalar]:
    for parameter in searched:
        if name in (parameter.name, parameter.key):
            if isinstance(parameter.spec, ValuesSpec):
                return [value for value in parameter.spec.values if value is not None]
            return [] if parameter.spec is None else [parameter.spec.low]
    for layer in LAYERS:
        for fixed, value in outline.fixed(layer).items():
            if name in (fixed, key_of(layer, fixed)):
                return [value] if isinstance(value, bool | int | float | str) else []
    return [STABLE_DEFAULTS[name.removeprefix("args.")]]
