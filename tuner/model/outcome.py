"""How a trial ended, and why, in codes that are stored and read by people."""

from __future__ import annotations

from enum import StrEnum


class Blame(StrEnum):
    """Whose doing an end is: the configuration's (the sampler should learn) or the host's (it should not)."""

    CONFIGURATION = "configuration"
    HOST = "host"


class Reason(StrEnum):
    """Reason codes. Stored: never rename one."""

    # build
    BUILD_FAILED = "build-failed"
    BUILD_TIMEOUT = "build-timeout"
    CONFIGURE_FAILED = "configure-failed"
    # launch
    ARGUMENT_UNKNOWN = "argument-unknown"
    ARGUMENT_VALUE = "argument-value"
    MODEL_MISSING = "model-missing"
    MODEL_CORRUPT = "model-corrupt"
    MODEL_UNSUPPORTED = "model-unsupported"
    PORT_IN_USE = "port-in-use"
    KV_TYPE_NEEDS_FLASH_ATTENTION = "kv-type-needs-flash-attention"
    KV_TYPE_HEAD_DIMENSION = "kv-type-head-dimension"
    OUT_OF_DEVICE_MEMORY = "out-of-device-memory"
    OUT_OF_HOST_MEMORY = "out-of-host-memory"
    NO_KERNEL_FOR_DEVICE = "no-kernel-for-device"
    NO_DEVICE = "no-device"
    CONTEXT_TOO_SMALL = "context-too-small"
    NOT_READY_IN_TIME = "not-ready-in-time"
    EXITED_WHILE_STARTING = "exited-while-starting"
    WRONG_SERVER = "wrong-server"
    # load
    OUT_OF_DEVICE_MEMORY_UNDER_LOAD = "out-of-device-memory-under-load"
    KV_CACHE_FULL = "kv-cache-full"
    COMPUTE_ERROR = "compute-error"
    CRASHED = "crashed"
    ASSERTION = "assertion"
    KILLED = "killed"
    DEVICE_FAULT = "device-fault"
    """The device stopped in the middle of its work: a kernel's fault, or the device's own."""
    DEVICE_LOST = "device-lost"
    STALLED = "stalled"
    ALL_REQUESTS_FAILED = "all-requests-failed"
    FIGURE_MISSING = "figure-missing"
    # quality
    QUALITY_UNKNOWN = "quality-unknown"
    # verdicts
    CONSTRAINT = "constraint"
    REQUIREMENT = "requirement"
    TOO_SLOW = "too-slow"
    # not the trial's doing
    HOST = "host"
    INTERRUPTED = "interrupted"
    ABANDONED = "abandoned"
    INTERNAL = "internal"

    @property
    def blame(self) -> Blame:
        """Whether the sampler should learn from it."""
        return Blame.HOST if self in _HOST else Blame.CONFIGURATION


_HOST = frozenset(
    {
        Reason.MODEL_MISSING,
        Reason.MODEL_CORRUPT,
        Reason.PORT_IN_USE,
        Reason.NO_DEVICE,
        Reason.DEVICE_LOST,
        Reason.WRONG_SERVER,
        Reason.HOST,
        Reason.INTERRUPTED,
        Reason.ABANDONED,
        Reason.INTERNAL,
    }
)
