"""Which build flags reach the compiler: cmake is asked with and without each, and the programs compared.

cmake's own 'Manually-specified variables were not used' does not answer this: since 2025 ggml reads every
`GGML_*` variable when it writes its package file, so cmake counts all of them as used.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Protocol, assert_never

from tuner.build.configure import Configured
from tuner.build.option_names import TreeNames, read_tree_names
from tuner.build.options import as_cmake, check_flags, cmake_options, is_on, same_value
from tuner.build.toolchain import Toolchain
from tuner.build.verdicts import FlagEffect, FlagVerdict, VerdictStore
from tuner.build.workspace import Workspace
from tuner.errors import BuildFailed, ToolMissing
from tuner.locking import scratch_folder
from tuner.model import Scalar, Settings, SourceTree, digest

_BACKENDS = {
    "GGML_CUDA": re.compile(r"GGML_CUDA_|CMAKE_CUDA_"),
    "GGML_HIP": re.compile(r"GGML_HIP_"),
    "GGML_VULKAN": re.compile(r"GGML_VULKAN_"),
    "GGML_SYCL": re.compile(r"GGML_SYCL_"),
    "GGML_METAL": re.compile(r"GGML_METAL_"),
    "GGML_MUSA": re.compile(r"GGML_MUSA_"),
    "GGML_OPENCL": re.compile(r"GGML_OPENCL_"),
    "GGML_BLAS": re.compile(r"GGML_BLAS_"),
}
"""A backend's switch, and the flags that mean something only when it is on."""

_CUDA_STUBS = Settings(
    CUDA_cublas_LIBRARY="/nonexistent/libcublas.so",
    CUDA_cublasLt_LIBRARY="/nonexistent/libcublasLt.so",
    CUDA_cuda_driver_LIBRARY="/nonexistent/libcuda.so",
)
"""A host with nvcc but without these libraries can still say what would be compiled."""


class Configurer(Protocol):
    """Configures one tree with any flags, somewhere."""

    @property
    def identity(self) -> str:
        """Of compilers and cmake: another one may give other verdicts."""
        ...

    def configured(self, flags: Settings) -> Configured:
        """What would be built; its folder is gone. Raises BuildFailed, ToolMissing, HostError."""
        ...


def examine_flags(
    source: SourceTree, toolchain: Toolchain, flags: Settings, base: Settings, folder: Path
) -> tuple[FlagVerdict, ...]:
    """`examine_flags_in` with the tools of this host. `folder` takes scratch files."""
    return examine_flags_in(_HostConfigurer(source, toolchain, folder), source, flags, base, folder)


def examine_flags_in(
    configurer: Configurer, source: SourceTree, flags: Settings, base: Settings, folder: Path
) -> tuple[FlagVerdict, ...]:
    """A verdict for each of `flags`, each seen against `base` alone and, when that shows nothing, against
    `base` with the other flags.

    Flags of a backend are examined with the backend switched on. Takes one or two configures a flag (2 s
    each, CUDA 5 s). `folder` keeps verdicts. Raises BuildFailed when not even `base` can be
    configured, UserError for a flag that tuner cannot let through, ToolMissing, HostError.
    """
    check_flags(base.merged(flags))
    examiner = _Examiner(source, configurer)
    store = VerdictStore(folder=folder / "verdicts")
    verdicts = []
    for name, value in flags.items():
        question = digest(name, source.content_hash, configurer.identity, flags.to_json(), base.to_json())
        verdict = store.load(question)
        if verdict is None:
            verdict = examiner.examine(name, value, flags, base)
            store.save(question, verdict)
        verdicts.append(verdict)
    return tuple(verdicts)


class _HostConfigurer:
    def __init__(self, source: SourceTree, toolchain: Toolchain, folder: Path) -> None:
        self._source = source
        self._toolchain = toolchain
        self._folder = folder
        self._workspace = Workspace(source, toolchain)
        self._stubs = Settings()

    @property
    def identity(self) -> str:
        nvcc = "" if self._toolchain.nvcc is None else self._toolchain.nvcc.version
        return digest(self._toolchain.identity, nvcc)

    def configured(self, flags: Settings) -> Configured:
        """With stub libraries where CUDA's own are missing."""
        options = cmake_options(flags, self._source, self._toolchain)
        try:
            return self._configured(self._stubs.merged(options))
        except BuildFailed as error:
            if "CUDA::" not in str(error) or self._stubs:
                raise
            try:
                answer = self._configured(_CUDA_STUBS.merged(options))
            except BuildFailed:
                raise error from None
            self._stubs = _CUDA_STUBS
            return answer

    def _configured(self, options: Settings) -> Configured:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (
            scratch_folder(self._folder) as scratch,
            self._workspace.configured(scratch, options, scratch / "configure.log") as configured,
        ):
            return configured


class _Examiner:
    def __init__(self, source: SourceTree, configurer: Configurer) -> None:
        self._source = source
        self._configurer = configurer
        self._seen: dict[Settings, Configured | BuildFailed] = {}

    @cached_property
    def _names(self) -> TreeNames:
        return read_tree_names(self._source.root)

    def examine(self, name: str, value: Scalar, flags: Settings, base: Settings) -> FlagVerdict:
        backend = _backend_of(name)
        context = base.without(name)
        if backend is not None and backend != name and not is_on(context.get(backend, False)):
            context = context.merged({backend: True})
        try:
            without = self._configured(context)
        except ToolMissing as error:
            return self._verdict(name, value, FlagEffect.CANNOT_TELL_HERE, message=str(error))
        if isinstance(without, BuildFailed):
            if backend is None or is_on(base.get(backend, False)):
                raise without
            return self._verdict(
                name,
                value,
                FlagEffect.CANNOT_TELL_HERE,
                message=f"{backend} cannot be configured on this host: {without}",
            )
        default = _default(name, without, base)
        try:
            with_it = self._configured(context.merged({name: value}))
        except ToolMissing as error:
            return self._verdict(name, value, FlagEffect.CANNOT_TELL_HERE, default, message=str(error))
        if isinstance(with_it, BuildFailed):
            # A backend that cannot be switched on says something of the host, not of the flag.
            effect = FlagEffect.CANNOT_TELL_HERE if backend == name else FlagEffect.REFUSED
            return self._verdict(name, value, effect, default, message=str(with_it), seen=without)
        changed = with_it.program.changed_records(without.program)
        if changed:
            return self._verdict(name, value, FlagEffect.LIVE, default, changed=changed, seen=without)
        if default is not None and same_value(value, default):
            return self._verdict(name, value, FlagEffect.EQUAL_TO_DEFAULT, default, seen=without)
        known = default is not None or name in self._names.read
        changed = self._changed_with_others(name, value, flags, context) if known else 0
        if changed:
            message = f"only together with the other flags: {changed} steps differ"
            return self._verdict(
                name, value, FlagEffect.LIVE, default, changed=changed, message=message, seen=without
            )
        return self._verdict(name, value, FlagEffect.INERT, default, seen=without)

    def _changed_with_others(self, name: str, value: Scalar, flags: Settings, context: Settings) -> int:
        others = context.merged(flags.without(name))
        if others == context:
            return 0
        try:
            without, with_it = self._configured(others), self._configured(others.merged({name: value}))
        except ToolMissing:
            return 0
        if isinstance(without, BuildFailed) or isinstance(with_it, BuildFailed):
            return 0
        return with_it.program.changed_records(without.program)

    def _configured(self, flags: Settings) -> Configured | BuildFailed:
        """Configure, or say why that fails."""
        if flags not in self._seen:
            try:
                self._seen[flags] = self._configurer.configured(flags)
            except BuildFailed as error:
                # The log goes with the scratch folder.
                self._seen[flags] = BuildFailed(re.sub(r"; see \S*$", "", str(error)), reason=error.reason)
        return self._seen[flags]

    def _verdict(
        self,
        name: str,
        value: Scalar,
        effect: FlagEffect,
        default: str | None = None,
        *,
        changed: int = 0,
        message: str = "",
        seen: Configured | None = None,
    ) -> FlagVerdict:
        cached: Mapping[str, str] = {} if seen is None else seen.variables
        known = default is not None or name in cached or name in self._names.read
        near = [] if known else difflib.get_close_matches(name, sorted(self._names.declared), n=1)
        nearest = near[0] if near else None
        return FlagVerdict(
            name=name,
            value=value,
            effect=effect,
            changed_records=changed,
            known=known,
            nearest=nearest,
            default=default,
            message=message or _sentence(name, value, effect, changed, known, nearest),
        )


def _sentence(
    name: str, value: Scalar, effect: FlagEffect, changed: int, known: bool, nearest: str | None
) -> str:
    match effect:
        case FlagEffect.LIVE:
            return f"changes {changed} of the steps that make llama-server"
        case FlagEffect.EQUAL_TO_DEFAULT:
            return f"{as_cmake(value)} is what this tree does anyway"
        case FlagEffect.INERT if not known:
            hint = f"; the nearest name is {nearest}" if nearest else ""
            return f"this tree has no {name}: it changes nothing{hint}"
        case FlagEffect.INERT:
            return "this tree knows the name, but llama-server is compiled the same with and without it"
        case FlagEffect.CANNOT_TELL_HERE | FlagEffect.REFUSED:
            return ""
        case _:
            assert_never(effect)


def _default(name: str, without: Configured, base: Settings) -> str | None:
    """What the tree gives the variable when nobody sets it."""
    return None if name in base else without.variables.get(name)


def _backend_of(name: str) -> str | None:
    for backend, belongs in _BACKENDS.items():
        if name == backend or belongs.match(name):
            return backend
    return None
