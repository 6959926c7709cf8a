"""How fast memory is, and how much of it caches hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.probe import last_level_cache_bytes, measure_bandwidth


def test_it_is_measured() -> None:
    found = measure_bandwidth(threads=2, array_bytes=8 << 20, rounds=2)
    assert found.threads == 2
    assert found.array_bytes == 8 << 20
    assert found.kernel in ("read", "copy", "triad")
    # From an old laptop to a cache: what is outside was computed wrong.
    assert 1e8 < found.bytes_per_s < 1e13


def cache(cpus: Path, cpu: int, index: int, size: str, shared: str) -> None:
    level = cpus / f"cpu{cpu}" / "cache" / f"index{index}"
    level.mkdir(parents=True)
    (level / "size").write_text(size + "\n")
    (level / "shared_cpu_list").write_text(shared + "\n")


def test_caches_of_chiplets_are_added_up(tmp_path: Path) -> None:
    for cpu in range(4):
        cache(tmp_path, cpu, 0, "32K", str(cpu))
        cache(tmp_path, cpu, 3, "32768K", "0-1" if cpu < 2 else "2-3")
    assert last_level_cache_bytes(tmp_path) == 64 << 20


@pytest.mark.parametrize("size", ["", "many", "?"])
def test_a_kernel_that_does_not_say(tmp_path: Path, size: str) -> None:
    assert last_level_cache_bytes(tmp_path / "none") == 0
    cache(tmp_path, 0, 0, size, "0")
    assert last_level_cache_bytes(tmp_path) == 0
