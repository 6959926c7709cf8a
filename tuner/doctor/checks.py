"""All checks, in the order in which they are shown. A further one is one more row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuner.doctor.devices import check_container_toolkit, check_engine, check_gpu
from tuner.doctor.finding import Finding
from tuner.doctor.host import Host
from tuner.doctor.images import (
    check_image_builds,
    check_image_disk,
    check_image_driver,
    check_model_fits,
)
from tuner.doctor.machine import (
    check_cpu,
    check_cpu_quota,
    check_disk,
    check_load,
    check_memory,
    check_state,
)
from tuner.doctor.tools import (
    check_ccache,
    check_cmake,
    check_compiler,
    check_git,
    check_ninja,
    check_nvcc,
    check_pip,
    check_python,
)

Check = Callable[[Host], Finding]

CHECKS: tuple[Check, ...] = (
    check_python,
    check_compiler,
    check_cmake,
    check_ninja,
    check_ccache,
    check_git,
    check_pip,
    check_nvcc,
    check_gpu,
    check_engine,
    check_image_builds,
    check_container_toolkit,
    check_image_driver,
    check_image_disk,
    check_cpu,
    check_cpu_quota,
    check_load,
    check_memory,
    check_disk,
    check_state,
)


def run_checks(state_dir: Path, model: Path | None = None) -> tuple[Finding, ...]:
    """Look at this host, and whether it has room for `model`. Takes a few seconds, changes nothing.

    Raises UserError, ModelInvalid for what is no model.
    """
    host = Host(state_dir=state_dir)
    found = tuple(check(host) for check in CHECKS)
    return found if model is None else (*found, check_model_fits(host, model))
