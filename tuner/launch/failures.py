"""Log and exit code → reason.

The table's patterns were checked against the sources of llama.cpp from October 2024, August 2025 and
November 2026 (src/, common/, ggml/src/, examples/server or tools/server); both wordings stand where they
changed. The first pattern that matches decides, so that causes stand before the consequences that every
failed load also prints (`failed to load model`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from tuner.errors import ArgumentRefused, LaunchFailed, LoadFailed
from tuner.model import Reason

_MAX_QUOTE = 400
_ERROR = re.compile(r"(?i:\b(?:error|failed|fatal|exception)\b)| E ")


class Phase(Enum):
    """What the server was doing when it ended."""

    STARTING = auto()
    SERVING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a server ended, or must not count."""

    reason: Reason
    line: str
    """The log line that says so; empty when the log says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A line that tells a reason."""

    pattern: re.Pattern[str]
    reason: Reason
    serving: Reason | None = None
    """The reason once the server has been ready, where it is another."""


def _row(pattern: str, reason: Reason, serving: Reason | None = None) -> Signature:
    return Signature(pattern=re.compile(rf".*(?:{pattern}).*"), reason=reason, serving=serving)


SIGNATURES: tuple[Signature, ...] = (
    # the command line
    _row(r"error: invalid argument: |the argument has been removed", Reason.ARGUMENT_UNKNOWN),
    _row(r'error while handling argument "', Reason.ARGUMENT_VALUE),
    _row(r"Unsupported cache type: |Invalid cache type: |n_seq_max must be <= ", Reason.ARGUMENT_VALUE),
    _row(r"couldn't bind HTTP server socket|couldn't bind to server socket", Reason.PORT_IN_USE),
    # the device
    _row(
        r"no kernel image is available|has no device code compatible with (?:CUDA|HIP) arch",
        Reason.NO_KERNEL_FOR_DEVICE,
    ),
    _row(
        r"(?:CUDA|ROCm|HIP) error: out of memory|cudaMalloc(?:Async)? failed: out of memory|hipMalloc failed"
        r"|ErrorOutOfDeviceMemory|unable to allocate (?!CPU|backend CPU)\S+ buffer"
        r"|failed to allocate (?!CPU)(?:CUDA|ROCm|HIP|Vulkan|SYCL|Metal|MTL)\S* buffer"
        r"|CUBLAS_STATUS_ALLOC_FAILED",
        Reason.OUT_OF_DEVICE_MEMORY,
        Reason.OUT_OF_DEVICE_MEMORY_UNDER_LOAD,
    ),
    _row(
        r"insufficient memory \(attempted to allocate|std::bad_alloc"
        r"|unable to allocate (?:backend )?CPU\S* buffer|failed to allocate CPU\S* buffer"
        r"|failed to allocate buffer of size",
        Reason.OUT_OF_HOST_MEMORY,
    ),
    _row(
        r"GPU is lost|fallen off the bus|\bXid\b|[Uu]ncorrectable (?:ECC|NVLink) error"
        r"|CUDA-capable device\(s\) is/are busy or unavailable|driver/library version mismatch"
        r"|unsupported display driver / cuda driver combination|CUDA error: system not yet initialized"
        r"|CUDA driver version is insufficient for CUDA runtime version",
        Reason.DEVICE_LOST,
    ),
    _row(
        r"(?:CUDA|ROCm|HIP) error: (?:unspecified launch failure|unknown error|hardware stack error"
        r"|the launch timed out and was terminated|an illegal memory access was encountered)"
        r"|ErrorDeviceLost",
        Reason.DEVICE_FAULT,
    ),
    # the cache's type and the model's shape
    _row(
        r"V cache quantization requires flash_attn|quantized V cache requires flash_attn"
        r"|quantized V cache was requested, but this requires Flash Attention",
        Reason.KV_TYPE_NEEDS_FLASH_ATTENTION,
    ),
    _row(r"with block size \d+ does not divide n_embd_head_[kv]", Reason.KV_TYPE_HEAD_DIMENSION),
    # these two name no device: with a GPU the cause stands above, without one it is the host's memory
    _row(
        r"failed to allocate buffer for (?:kv|rs) cache|failed to allocate compute (?:pp|tg)? ?buffers",
        Reason.OUT_OF_DEVICE_MEMORY,
        Reason.OUT_OF_DEVICE_MEMORY_UNDER_LOAD,
    ),
    # the model
    _row(
        r"unknown model architecture: |missing tensor '|wrong number of tensors; expected"
        r"|unknown pre-tokenizer type|error loading model hyperparameters|error loading model vocabulary"
        r"|check_tensor_dims: tensor '|has invalid ggml type|unsupported GGUF version",
        Reason.MODEL_UNSUPPORTED,
    ),
    _row(
        r"invalid magic characters|invalid magic number|failed to read magic|failed to read key-value pairs"
        r"|failed to read tensor info|failed to read header|failed to read tensor data"
        r"|data is not within the file bounds|tensor '[^']*' has invalid data",
        Reason.MODEL_CORRUPT,
    ),
    _row(
        r"failed to open GGUF file '|gguf_init_from_file: failed to open '|No such file or directory",
        Reason.MODEL_MISSING,
    ),
    # bugs and limits while computing
    _row(r"GGML_ASSERT\(|: GGML_ABORT|terminate called after throwing", Reason.ASSERTION),
    _row(r"unsupported op '|: unsupported op ", Reason.ASSERTION),
    _row(r"(?:CUDA|ROCm|HIP|Vulkan) error\b", Reason.CRASHED),
)

_SPOILING: tuple[Signature, ...] = (
    _row(
        r"Context size has been exceeded\.|failed to decode the batch: KV cache is full",
        Reason.KV_CACHE_FULL,
    ),
    _row(r"Compute error\.", Reason.COMPUTE_ERROR),
)
"""The server goes on and answers some requests with errors."""

_NO_GPU = re.compile(
    r".*(?:no usable GPU found, --gpu-layers option will be ignored"
    r"|not compiled with GPU offload support, --gpu-layers option will be ignored"
    r"|failed to initialize CUDA: |no CUDA-capable device is detected|no ROCm-capable device is detected).*"
)

_NOTES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r".*(?:Flash Attention not supported, set to disabled|flash_attn .*forcing off).*"),
        "FlashAttention is off: not supported for this model on this device",
    ),
    (
        re.compile(r".*no FlashAttention vector kernel compiled for K/V types (\S+),.*"),
        "the KV cache's types are converted to f16 for every FlashAttention call (slow): this pair of types"
        " was not compiled in",
    ),
    (
        re.compile(r".*failed to find free space in the KV cache, retrying.*"),
        "the KV cache ran out of free space and batches were cut smaller",
    ),
    (
        re.compile(r".*the slot context \(\d+\) exceeds the training context of the model.*"),
        "slots are capped to the context that the model was trained with",
    ),
)

_REMEDIES: dict[Reason, str] = {
    Reason.ARGUMENT_UNKNOWN: "`tuner args BINARY` lists what it accepts",
    Reason.PORT_IN_USE: "another program took the port in the meantime",
    Reason.MODEL_CORRUPT: "fetch the model again or check its size",
    Reason.MODEL_UNSUPPORTED: "this llama.cpp is too old or too new for this model",
    Reason.KV_TYPE_NEEDS_FLASH_ATTENTION: "set flash-attn to on, or keep cache-type-v at f16",
    Reason.KV_TYPE_HEAD_DIMENSION: "choose a cache type whose block size divides the head dimension",
    Reason.OUT_OF_DEVICE_MEMORY: "less context, fewer slots or fewer layers on the GPU would fit",
    Reason.OUT_OF_HOST_MEMORY: "less context or fewer slots would fit",
    Reason.NO_KERNEL_FOR_DEVICE: "build for this GPU: set CMAKE_CUDA_ARCHITECTURES",
    Reason.DEVICE_LOST: "look at `nvidia-smi` and `dmesg`: the card may need a reset, or the host a reboot",
    Reason.DEVICE_FAULT: "`dmesg` says more where it is the card's (Xid)",
    Reason.NO_DEVICE: "check the driver with `tuner doctor`, or set n-gpu-layers: 0 to measure the CPU",
}

_SIGNALS = {129: "SIGHUP", 130: "SIGINT", 132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE",
            137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}  # fmt: skip


def classify_exit(log: str, exit_code: int, phase: Phase) -> Failure:
    """Why a server ended, from its log (already cleaned) and its exit code (128 + N: signal N)."""
    for signature in SIGNATURES:
        if found := signature.pattern.search(log):
            serving = signature.serving or signature.reason
            return Failure(
                reason=signature.reason if phase is Phase.STARTING else serving, line=_quote(found.group())
            )
    line = _last_error(log)
    if exit_code in (137, 143):
        return Failure(reason=Reason.KILLED, line=line)
    if exit_code > 128 or phase is Phase.SERVING:
        return Failure(reason=Reason.CRASHED, line=line)
    return Failure(reason=Reason.EXITED_WHILE_STARTING, line=line)


def find_spoiling(log: str, *, wants_gpu: bool) -> Failure | None:
    """Something in a running server's log because of which its measurement must not count."""
    if wants_gpu and (found := _NO_GPU.search(log)):
        return Failure(reason=Reason.NO_DEVICE, line=_quote(found.group()))
    for signature in _SPOILING:
        if found := signature.pattern.search(log):
            return Failure(reason=signature.reason, line=_quote(found.group()))
    return None


def find_notes(log: str) -> tuple[str, ...]:
    """Fallbacks that a reader of the measurement must know of."""
    return tuple(
        f"{text} (log: {_quote(found.group())})" for pattern, text in _NOTES if (found := pattern.search(log))
    )


def failure_error(
    failure: Failure, *, exit_code: int | None, phase: Phase, log: Path
) -> LaunchFailed | LoadFailed | ArgumentRefused:
    """The error for a failure: what happened, the decisive line, what to do, and where the log is."""
    how = "while starting" if phase is Phase.STARTING else "under load"
    ended = exit_code is not None
    happened = (
        f"llama-server {_ending(exit_code)} {how}" if exit_code is not None else "llama-server runs, but"
    )
    said = failure.line or ("its log says nothing of it" if ended else failure.reason.value)
    parts = [f"{happened}: {said}"]
    if failure.reason in _REMEDIES:
        parts.append(_REMEDIES[failure.reason])
    elif failure.reason is Reason.KILLED:
        parts.append("if it was the kernel's out-of-memory killer, `dmesg` says so")
    message = "; ".join([*parts, f"the log is {log}"])
    if phase is Phase.SERVING:
        return LoadFailed(message, reason=failure.reason.value, log=str(log))
    if failure.reason in (Reason.ARGUMENT_UNKNOWN, Reason.ARGUMENT_VALUE):
        return ArgumentRefused(message, reason=failure.reason.value, log=str(log))
    return LaunchFailed(message, reason=failure.reason.value, log=str(log))


def _ending(exit_code: int) -> str:
    if exit_code > 128:
        return f"was ended by {_SIGNALS.get(exit_code, f'signal {exit_code - 128}')}"
    return f"exited with code {exit_code}"


def _last_error(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    return _quote((errors or lines or [""])[-1])


def _quote(line: str) -> str:
    stripped = line.strip()
    return stripped if len(stripped) <= _MAX_QUOTE else stripped[:_MAX_QUOTE] + "…"
