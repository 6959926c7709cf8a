"""From sampled series to figures of GPUs and host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tuner.measure.hardware import hardware_figures, serving
from tuner.model import FIGURES, Figure, Group, LoadRun, ProbeKind, ProbeSeries

RUN = LoadRun(records=(), started_s=10.0, ended_s=14.0, client_cpu_s=0.0)
TIMES_S = (9.0, 11.0, 13.0, 15.0)


def gpu(*, serves: bool | None = True, why: str = "", **columns: object) -> ProbeSeries:
    """Values at 9, 11, 13 and 15 s; the repetition is from 10 to 14."""
    return _series(ProbeKind.GPU, serves, why, columns)


def host(**columns: object) -> ProbeSeries:
    return _series(ProbeKind.HOST, None, "", columns)


def _series(kind: ProbeKind, serves: bool | None, why: str, columns: dict[str, object]) -> ProbeSeries:
    values = [tuple(column) if isinstance(column, tuple) else (column,) * 4 for column in columns.values()]
    return ProbeSeries(
        kind=kind,
        source=kind.value,
        columns=("time_s", *columns),
        rows=tuple(zip(TIMES_S, *values, strict=True)),
        serves=serves,
        missing=tuple((name, why) for name in columns) if why else (),
    )


def figures(*probes: ProbeSeries, output_tokens: int = 100) -> Callable[[str], Figure]:
    found = hardware_figures(RUN, output_tokens, probes)
    assert set(found) == {k.name for k in FIGURES.values() if k.group in (Group.GPU, Group.HOST)}
    return found.__getitem__


def test_energy_is_that_of_the_repetition_alone() -> None:
    # 100 W: 400 J from 10 to 14 s, between samples in a straight line.
    found = figures(gpu(energy_j=(0.0, 200.0, 400.0, 600.0)))
    assert found("gpu_power_w").value == pytest.approx(100)
    assert found("gpu_energy_j_per_token").value == pytest.approx(4)
    assert figures(gpu(energy_j=(0.0, 1.0, 2.0, 3.0)), output_tokens=0)("gpu_energy_j_per_token").missing


def test_what_is_added_up_over_gpus_and_what_is_the_worst() -> None:
    first = gpu(
        vram_used_bytes=(5, 5, 9, 5), busy_share=0.5, sm_clock_mhz=1000.0, memory_clock_mhz=5.0,
        temperature_c=(40, 50, 60, 80), throttled=0.0, other_processes=0.0, energy_j=(0.0, 2.0, 4.0, 6.0),
    )  # fmt: skip
    second = gpu(
        vram_used_bytes=1, busy_share=0.7, sm_clock_mhz=(100.0, 900.0, 800.0, 100.0), memory_clock_mhz=4.0,
        temperature_c=30.0, throttled=(1.0, 1.0, 0.0, 1.0), other_processes=2.0,
        energy_j=(0.0, 6.0, 12.0, 18.0),
    )  # fmt: skip
    found = figures(first, second)
    assert found("vram_peak_bytes").value == 10
    assert found("gpu_busy_share").value == pytest.approx(0.6)
    # Samples outside of the repetition (100 MHz, idle) do not count.
    assert found("gpu_sm_clock_min_mhz").value == 800
    assert found("gpu_sm_clock_p50_mhz").value == 850
    assert found("gpu_memory_clock_min_mhz").value == 4
    assert found("gpu_temperature_max_c").value == 80
    assert found("gpu_throttled_share").value == 0.5
    assert found("gpu_other_processes").value == 2
    assert found("gpu_power_w").value == pytest.approx(4)


def test_a_gpu_that_does_not_serve_is_nobodys() -> None:
    idle, busy = gpu(serves=False, vram_used_bytes=100.0), gpu(vram_used_bytes=7.0)
    assert figures(idle, busy)("vram_peak_bytes").value == 7
    assert "seen to serve" in figures(idle)("vram_peak_bytes").missing
    unknown = gpu(serves=None, vram_used_bytes=3.0)
    assert serving([idle, unknown]) == (unknown,), "all that it may use where the driver does not say"
    assert serving([idle, unknown, busy]) == (busy,)


def test_a_sum_over_some_of_the_gpus_would_be_wrong() -> None:
    mute = gpu(energy_j=None, why="NVML: Not Supported")
    assert figures(gpu(energy_j=(0.0, 1.0, 2.0, 3.0)), mute)("gpu_power_w").missing == "NVML: Not Supported"


def test_a_device_lost_midway_keeps_what_was_read() -> None:
    lost = gpu(temperature_c=(40.0, 70.0, None, None), energy_j=(0.0, 10.0, None, None), why="GPU is lost")
    assert figures(lost)("gpu_temperature_max_c").value == 70
    assert figures(lost)("gpu_power_w").missing == "GPU is lost", "half of the energy is not the energy"


def test_the_host() -> None:
    found = figures(
        host(
            busy_s=(0.0, 3.0, 6.0, 9.0), total_s=(0.0, 4.0, 8.0, 12.0), steal_s=(0.0, 0.4, 0.8, 1.2),
            server_cpu_s=(0.0, 1.0, 2.0, 3.0), tuner_cpu_s=(0.0, 0.5, 1.0, 1.5), load_1m=(1.0, 3.0, 2.0, 1.0),
            energy_j=(0.0, 20.0, 40.0, 60.0),
        )
    )  # fmt: skip
    assert found("host_busy_share").value == pytest.approx(0.75)
    assert found("host_steal_share").value == pytest.approx(0.1)
    assert found("server_cpu_cores").value == pytest.approx(0.5)
    assert found("host_other_cores").value == pytest.approx(0.75)
    assert found("host_load").value == 3
    assert found("host_power_w").value == pytest.approx(10)
    assert found("host_energy_j_per_token").value == pytest.approx(0.4)


def test_without_probes_every_figure_has_a_reason() -> None:
    found = hardware_figures(RUN, 1, ())
    assert all(figure.value is None and figure.missing for figure in found.values())
    instant = LoadRun(records=(), started_s=1.0, ended_s=1.0, client_cpu_s=0.0)
    assert all(figure.missing for figure in hardware_figures(instant, 1, ()).values())


def test_a_repetition_between_two_samples_has_the_nearest() -> None:
    short = LoadRun(records=(), started_s=11.4, ended_s=11.6, client_cpu_s=0.0)
    found = hardware_figures(short, 1, (gpu(sm_clock_mhz=(1.0, 2.0, 3.0, 4.0)),))
    assert found["gpu_sm_clock_min_mhz"].value == 2
