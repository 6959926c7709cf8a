"""LaunchSpec → the command line that is run, and the one that a person deploys."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tuner.errors import ArgumentRefused
from tuner.launch.arguments import ArgumentTable, read_arguments
from tuner.launch.executor import HERE, Executor, applied
from tuner.launch.syntax import check_syntax
from tuner.launch.translation import refused_value, translate
from tuner.model import LaunchSpec, Reason, Scalar, Settings
from tuner.process import base_environment

CONTEXT_STEP = 256
"""llama.cpp rounds a slot's context up to this."""
_AUTO_SLOTS = 4
"""What `--parallel -1` means (tools/server/server.cpp); /props has the last word."""

_GPU_BACKENDS = (
    "GGML_CUDA",
    "GGML_HIP",
    "GGML_HIPBLAS",
    "GGML_VULKAN",
    "GGML_METAL",
    "GGML_SYCL",
    "GGML_MUSA",
)
_CMAKE_TRUE = ("TRUE", "ON", "1", "YES", "Y")

HARNESS_ONLY = ("cache-ram", "cache-prompt", "ui")
"""Arguments that are there for the search, under their newest names, and are neither confirmed nor exported.

Host prompt caches are off while no workload is about them; without the web page a server starts a little
sooner. Two that tuner sets are not among them: with `fit` on, a deployment could differ from what was
measured, and `metrics` is what operators watch a deployment by.
"""

OWNED = {
    "model": "the study file's `model` names it",
    "hf-repo": "the study file's `model` names the model",
    "hf-file": "the study file's `model` names the model",
    "model-url": "the study file's `model` names the model",
    "docker-repo": "the study file's `model` names the model",
    "models-dir": "tuner measures a server of one model",
    "models-preset": "tuner measures a server of one model",
    "host": "trial servers listen on loopback",
    "port": "every trial server gets a free one",
    "reuse-port": "every trial server gets a port of its own",
    "ctx-size": "it is derived from `context_per_request` and the number of slots",
    "metrics": "it is always on in a trial",
    "api-key": "tuner talks to its servers on loopback without one",
    "api-key-file": "tuner talks to its servers on loopback without one",
    "ssl-key-file": "tuner talks to its servers over plain HTTP on loopback",
    "ssl-cert-file": "tuner talks to its servers over plain HTTP on loopback",
    "api-prefix": "tuner asks at the usual paths",
    "log-file": "the log goes to the trial's folder",
    "log-disable": "the log tells why a server failed",
    "sleep-idle-seconds": "a sleeping server cannot be measured",
    "help": "it does not start a server",
    "version": "it does not start a server",
    "completion-bash": "it does not start a server",
    "list-devices": "it does not start a server",
    "cache-list": "it does not start a server",
    "embeddings": "such a server generates no text",
    "reranking": "such a server generates no text",
}
"""Arguments that a trial cannot set, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line and what it promises."""

    argv: tuple[str, ...]
    deploy: tuple[str, ...]
    """The same server without harness-only arguments, on llama-server's default address."""
    notes: tuple[str, ...]
    slots: int | None
    """None: the server decides (`parallel` is automatic)."""
    context_tokens: int
    """ctx-size: what all slots hold together."""


def build_command(spec: LaunchSpec, table: ArgumentTable, *, port: int, host: str = "127.0.0.1") -> Command:
    """The command line of a trial server on `host`:`port`.

    Raises ArgumentRefused (argument-unknown, argument-value).
    """
    _refuse_owned(spec.args, table)
    _check_sizes(spec.args, table)
    slots = _explicit_slots(spec.args, table)
    if slots is None and not _is_auto(table):
        slots = _default_slots(table)
    per_slot = -(-spec.context_per_request // CONTEXT_STEP) * CONTEXT_STEP
    context_tokens = per_slot * (_AUTO_SLOTS if slots is None else slots)
    translation = translate(spec.args, table)
    # Changing what was not set would make a trial depend on what else uses the memory at that moment.
    fit = _words("fit", "off", table) if "fit" not in spec.args else []
    metrics = _words("metrics", True, table)
    start = (str(spec.artifact.server), "--model", str(spec.model))
    measured = ("--ctx-size", str(context_tokens), *translation.argv, *fit, *metrics)
    harness: list[str] = []
    if not spec.as_deployed:
        harness = [word for name, value in _harness(spec, table) for word in _words(name, value, table)]
    return Command(
        argv=(*start, "--host", host, "--port", str(port), *measured, *harness),
        deploy=(*start, *measured),
        notes=translation.notes,
        slots=slots,
        context_tokens=context_tokens,
    )


def describe_command(spec: LaunchSpec) -> tuple[str, ...]:
    """The command line for a person: what was measured, without harness-only arguments, host and port.

    Raises ArgumentRefused, BinaryInvalid.
    """
    return build_command(spec, read_arguments(spec.artifact.server), port=8080).deploy


def check_launch(spec: LaunchSpec, executor: Executor = HERE) -> tuple[str, ...]:
    """Check everything about `spec` that can be checked without loading a model; returns the notes.

    Raises ArgumentRefused, BinaryInvalid, HostError.
    """
    server = spec.artifact.server
    command = build_command(spec, read_arguments(server, executor), port=8080)
    check_syntax(server, command.argv[1:], server_variables(spec), executor)
    return command.notes


def server_variables(spec: LaunchSpec) -> dict[str, str | None]:
    """The trial's environment variables; None takes one away."""
    return variables_of(spec.env)


def variables_of(env: Settings) -> dict[str, str | None]:
    """Settings as environment variables; None takes one away.

    Most of llama.cpp's switches are on when they are set to anything, so `true` sets a variable to 1 and
    `false` leaves it unset.
    """
    return {
        name: None if value is False else "1" if value is True else str(value) for name, value in env.items()
    }


def server_environment(spec: LaunchSpec) -> dict[str, str]:
    """The child's environment: this process's, scrubbed, with the trial's variables."""
    return applied(server_variables(spec), base_environment())


def wants_gpu(spec: LaunchSpec) -> bool:
    """Whether a server of this configuration that runs on the CPU is not what was asked for."""
    layers = next((spec.args[name] for name in ("n-gpu-layers", "gpu-layers") if name in spec.args), None)
    if layers is not None and layers not in ("auto", -1):
        return layers not in (0, "0", False)
    return is_gpu_build(spec.artifact.flags)


def is_gpu_build(flags: Settings) -> bool:
    """Whether a program with these build flags is for GPUs."""
    return any(str(flags.get(name, "")).upper() in _CMAKE_TRUE for name in _GPU_BACKENDS)


def _harness(spec: LaunchSpec, table: ArgumentTable) -> list[tuple[str, Scalar]]:
    """Harness-only arguments that this binary has and the trial does not set itself."""
    wanted: list[tuple[str, Scalar]] = [("ui", False), ("webui", False)]
    if spec.caches_off:
        wanted += [("cache-ram", 0), ("cache-prompt", False)]
    given = {_key(name, table) for name in spec.args}
    found: list[tuple[str, Scalar]] = []
    for name, value in wanted:
        if _key(name, table) not in given:
            given.add(_key(name, table))  # ui and webui are two names of one where both exist
            found.append((name, value))
    return found


def _words(name: str, value: Scalar, table: ArgumentTable) -> list[str]:
    """`name` on the command line, or nothing where the binary lacks it."""
    spelling = f"--no-{name}" if value is False else f"--{name}"
    argument = table.by_spelling.get(spelling)
    if argument is None or argument.removed:
        return []
    return [spelling] if isinstance(value, bool) else [spelling, str(value)]


def _key(name: str, table: ArgumentTable) -> str:
    argument = table.find(name) or table.find(f"no-{name}")
    return argument.name.removeprefix("no-") if argument is not None else name.removeprefix("no-")


def _refuse_owned(args: Settings, table: ArgumentTable) -> None:
    for name in args:
        argument = table.find(name)
        names = {name} if argument is None else {name, argument.name, *argument.long_names}
        for owned in names & OWNED.keys():
            raise ArgumentRefused(f"{name} cannot be set: {OWNED[owned]}", reason=Reason.ARGUMENT_VALUE.value)


def _check_sizes(args: Settings, table: ArgumentTable) -> None:
    """llama-server accepts a batch of zero or less and then fails in ways that name nothing."""
    for name, value in args.items():
        if table.canonical(name) in ("batch", "ubatch", "batch-size", "ubatch-size") and (
            not isinstance(value, int) or isinstance(value, bool) or value < 1
        ):
            raise refused_value(name, value, "must be a whole number of at least 1")


def _explicit_slots(args: Settings, table: ArgumentTable) -> int | None:
    value = next((value for name, value in args.items() if table.canonical(name) == "parallel"), -1)
    if isinstance(value, bool) or not isinstance(value, int) or value == 0 or value < -1:
        raise refused_value("parallel", value, "must be a number of slots, or -1 for llama-server's choice")
    return None if value == -1 else value


def _is_auto(table: ArgumentTable) -> bool:
    argument = table.find("parallel")
    return argument is not None and re.search(r"-1 = auto", argument.help) is not None


def _default_slots(table: ArgumentTable) -> int:
    argument = table.find("parallel")
    if argument is None or not (argument.default or "").isdigit():
        return _AUTO_SLOTS
    return int(argument.default or _AUTO_SLOTS)
