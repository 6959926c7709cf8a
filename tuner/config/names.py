"""Names in the study file: how they may be spelled, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator

from tuner.config.arguments import OWNED_ENVIRONMENT, OWNED_FLAGS, SHORT_FORMS, owned_reason

_LONG_ARGUMENT: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WORKLOAD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:-[A-Za-z0-9_]+)*")
_MAX_NAME: Final = 64
_TAKEN: Final = ("baseline", "quality")
"""What workloads may not be called: constraints have other uses for it."""
_MAX_VARIABLE: Final = 128


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be, or None."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` with its leading space, or nothing."""
    match = nearest(name, known)
    return f" (did you mean {match!r}?)" if match else ""


def one_of(known: Iterable[str]) -> str:
    """`'a', 'b' or 'c'`."""
    quoted = [repr(name) for name in known]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _check_argument(name: str) -> str:
    bare = name.lstrip("-_")
    meant = SHORT_FORMS.get(bare, SHORT_FORMS.get(bare.lower(), bare.lower())).replace("_", "-")
    reason = owned_reason(meant)
    if reason is not None:
        raise ValueError(f"this argument cannot be given here: {reason}")
    if bare in SHORT_FORMS and SHORT_FORMS[bare] != name:
        raise ValueError(
            f"arguments have their long names here, without dashes (did you mean {SHORT_FORMS[bare]!r}?)"
        )
    if not _LONG_ARGUMENT.fullmatch(name) or len(name) > _MAX_NAME:
        hint = f" (did you mean {meant!r}?)" if _LONG_ARGUMENT.fullmatch(meant) and meant != name else ""
        raise ValueError(
            f"not a server argument: use its long name, lower case, hyphens, no dashes in front{hint}"
        )
    return name


def _check_flag(name: str) -> str:
    if name in OWNED_FLAGS:
        raise ValueError(f"this flag cannot be given here: {OWNED_FLAGS[name]}")
    if not _VARIABLE.fullmatch(name) or len(name) > _MAX_VARIABLE:
        bare = name.lstrip("-").removeprefix("D").split("=")[0].split(":")[0].strip()
        hint = f" (did you mean {bare!r}?)" if name.startswith("-D") and _VARIABLE.fullmatch(bare) else ""
        raise ValueError(f"not a CMake variable: letters, digits and _, without -D{hint}")
    return name


def _check_environment(name: str) -> str:
    for prefix, reason in OWNED_ENVIRONMENT:
        if name.startswith(prefix):
            raise ValueError(f"this variable cannot be given here: {reason}")
    if not _VARIABLE.fullmatch(name) or len(name) > _MAX_VARIABLE:
        raise ValueError("not an environment variable: letters, digits and _, not starting with a digit")
    return name


def _check_label(name: str) -> str:
    if not _LABEL.fullmatch(name) or len(name) > _MAX_NAME:
        raise ValueError(
            f"not a usable name: letters, digits, '.', '_' and '-', starting with a letter or digit, "
            f"at most {_MAX_NAME} characters"
        )
    return name


def _check_workload(name: str) -> str:
    if not _WORKLOAD.fullmatch(name) or len(name) > _MAX_NAME or name in _TAKEN:
        raise ValueError(
            f"not a usable workload name: letters, digits and _ with single hyphens, starting with a letter, "
            f"at most {_MAX_NAME} characters, and not 'baseline' or 'quality'; constraints refer to them"
        )
    return name


ArgumentName = Annotated[str, AfterValidator(_check_argument)]
"""A llama-server argument: long, without dashes, not one that tuner sets itself."""
FlagName = Annotated[str, AfterValidator(_check_flag)]
"""A CMake cache variable."""
EnvironmentName = Annotated[str, AfterValidator(_check_environment)]
"""An environment variable of the server."""
Label = Annotated[str, AfterValidator(_check_label)]
"""A name that also names files and database rows."""
WorkloadName = Annotated[str, AfterValidator(_check_workload)]
"""A name that expressions can hold in front of a dot."""
