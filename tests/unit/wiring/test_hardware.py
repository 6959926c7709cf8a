"""Which bandwidth bounds a server, by where it was seen to decode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.model import ModelShape, ProbeKind, ProbeSeries, Roof, Settings
from tuner.weights import inspect
from tuner.wiring import hardware

NO_DRIVER = ProbeSeries(kind=ProbeKind.GPU, source="GPU", missing=(("", "NVML: Driver Not Loaded"),))


def a_gpu(**more: object) -> ProbeSeries:
    fields: dict[str, object] = {
        "kind": ProbeKind.GPU,
        "source": "GPU 0, T4",
        "columns": ("time_s", "vram_used_bytes"),
        "rows": ((0.0, 2.0**33),),
        "serves": True,
        "server_vram_bytes": 2**33,
        "bandwidth_bytes_per_s": 3e11,
    }
    return ProbeSeries(**(fields | more))  # type: ignore[arg-type]  # a test's overrides


@pytest.fixture
def shape(tiny_model: Path) -> ModelShape:
    return inspect(tiny_model)


@pytest.fixture(autouse=True)
def _known_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_measured", lambda: (2e10, "measured"))
    monkeypatch.setattr(hardware, "last_level_cache_bytes", lambda: 1 << 20)


def bandwidth(shape: ModelShape, *gpus: ProbeSeries, **args: str) -> float | str:
    settings = Settings({name.replace("_", "-"): value for name, value in args.items()})
    found = hardware.make_roof(shape)(settings, gpus)
    return found.bandwidth_bytes_per_s if isinstance(found, Roof) else found


def test_the_hosts_memory_where_no_gpu_serves(shape: ModelShape) -> None:
    assert bandwidth(shape) == 2e10
    assert bandwidth(shape, NO_DRIVER) == 2e10
    assert bandwidth(shape, a_gpu(serves=False)) == 2e10


def test_the_gpu_that_serves(shape: ModelShape) -> None:
    assert bandwidth(shape, a_gpu(serves=False, bandwidth_bytes_per_s=9e12), a_gpu()) == 3e11


@pytest.mark.parametrize(
    ("mode", "expected"), [("layer", 3e11), ("none", 3e11), ("row", 6e11), ("tensor", 6e11)]
)
def test_several_gpus(shape: ModelShape, mode: str, expected: float) -> None:
    assert bandwidth(shape, a_gpu(), a_gpu(), split_mode=mode) == expected
    assert bandwidth(shape, a_gpu(), a_gpu(), sm=mode) == expected


@pytest.mark.parametrize(
    ("gpu", "why"),
    [
        (a_gpu(serves=None), "not known whether the server uses the GPUs"),
        (a_gpu(server_vram_bytes=1000), "the rest is decoded from the host's memory"),
        (a_gpu(bandwidth_bytes_per_s=None, missing=(("bandwidth", "NVML: Not Supported"),)), "Not Supported"),
    ],
)
def test_what_is_not_known(shape: ModelShape, gpu: ProbeSeries, why: str) -> None:
    assert why in str(bandwidth(shape, gpu))


def test_memory_that_the_driver_does_not_divide_by_process(shape: ModelShape) -> None:
    assert bandwidth(shape, a_gpu(server_vram_bytes=None)) == 3e11


def test_a_model_that_caches_hold(shape: ModelShape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "last_level_cache_bytes", lambda: 1 << 30)
    assert "the processors' caches hold 1.0 GiB" in str(bandwidth(shape))


def test_speculation_has_no_roof(shape: ModelShape) -> None:
    assert "with speculation" in str(bandwidth(shape, a_gpu(), model_draft="x.gguf"))
    assert bandwidth(shape, a_gpu(), spec_type="none") == 3e11


def test_the_caches_types_count(shape: ModelShape) -> None:
    roof = hardware.make_roof(shape)
    plain, quantised = roof(Settings(), (a_gpu(),)), roof(Settings({"ctk": "q8_0"}), (a_gpu(),))
    assert isinstance(plain, Roof)
    assert isinstance(quantised, Roof)
    assert quantised.cache[0].token_bytes < plain.cache[0].token_bytes
    assert "q9" in str(roof(Settings({"cache-type-k": "q9"}), (a_gpu(),)))
