"""Build flags on real trees: which reach the compiler, and which only look as if they did."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.build import FlagEffect, FlagVerdict, Toolchain, examine_flags, find_toolchain
from tuner.errors import BuildFailed, ToolMissing, UserError
from tuner.model import Settings, SourceTree

pytestmark = pytest.mark.integration
Source = Callable[[str], SourceTree]
Examine = Callable[..., dict[str, FlagVerdict]]


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cuda(toolchain: Toolchain) -> Toolchain:
    if toolchain.nvcc is None:
        pytest.skip("there is no nvcc: CUDA flags cannot be told here")
    return toolchain


@pytest.fixture
def examine(tmp_path: Path, llama_source: Source, toolchain: Toolchain) -> Examine:
    def ask(version: str, base: Settings | None = None, **flags: str | int | bool) -> dict[str, FlagVerdict]:
        found = examine_flags(
            llama_source(version), toolchain, Settings(flags), base or Settings(), tmp_path / "scratch"
        )
        assert [verdict.name for verdict in found] == sorted(flags)
        assert list((tmp_path / "scratch").glob("tmp-*")) == []
        return {verdict.name: verdict for verdict in found}

    return ask


def test_a_cuda_flag_of_2024(cuda: Toolchain, examine: Examine) -> None:
    verdicts = examine("0.3.1", GGML_CUDA_DMMV_X=64, GGML_CUDA_MMV_Y=1)
    dmmv, mmv = verdicts["GGML_CUDA_DMMV_X"], verdicts["GGML_CUDA_MMV_Y"]
    assert dmmv.effect is FlagEffect.LIVE
    assert dmmv.changed_records > 50
    assert dmmv.default == "32"
    assert mmv.effect is FlagEffect.EQUAL_TO_DEFAULT
    assert mmv.changed_records == 0


def test_the_same_flag_in_2026(cuda: Toolchain, examine: Examine) -> None:
    verdict = examine("0.3.36", GGML_CUDA_DMMV_X=64)["GGML_CUDA_DMMV_X"]
    assert verdict.effect is FlagEffect.INERT
    assert not verdict.known
    assert verdict.nearest is not None
    assert verdict.changed_records == 0


def test_cmake_does_not_name_it_there(llama_source: Source, toolchain: Toolchain, tmp_path: Path) -> None:
    """Why tuner compares fingerprints: this warning lists other unused variables, but no GGML_* one."""
    said = subprocess.run(
        [
            *(toolchain.cmake.path, "-G", "Ninja", "-S", llama_source("0.3.36").root, "-B", tmp_path / "b"),
            *(f"-DCMAKE_MAKE_PROGRAM={toolchain.ninja.path}", "-DLLAMA_USE_PREBUILT_UI=OFF"),
            *("-DLLAMA_OPENSSL=OFF", "-DGGML_CUDA_DMMV_X=64", "-DNOT_OF_GGML=1"),
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    warning = (said.stdout + said.stderr).partition("Manually-specified variables were not used")[2]
    assert "NOT_OF_GGML" in warning
    assert "DMMV_X" not in warning


def test_without_nvcc_nobody_can_tell(llama_source: Source, toolchain: Toolchain, tmp_path: Path) -> None:
    (verdict,) = examine_flags(
        llama_source("0.3.36"),
        replace(toolchain, nvcc=None),
        Settings(GGML_CUDA_FORCE_CUBLAS=True),
        Settings(),
        tmp_path,
    )
    assert verdict.effect is FlagEffect.CANNOT_TELL_HERE
    assert "nvcc" in verdict.message


def test_flags_for_cpus(examine: Examine) -> None:
    verdicts = examine(
        "0.3.36",
        GGML_OPENMP=False,
        GGML_NATIVE="on",
        GGML_AVX512=True,
        GGML_OPNMP=True,
        LLAMA_BUILD_TESTS=True,
        LLAMA_CURL=True,
        GGML_CCACHE=True,
        LLAMA_CUBLAS=True,
        CMAKE_CXX_FLAGS="-O2",
    )
    assert {name: verdict.effect.value for name, verdict in verdicts.items()} == {
        "CMAKE_CXX_FLAGS": "live",
        "GGML_AVX512": "inert",  # -march=native goes before
        "GGML_CCACHE": "inert",
        "GGML_NATIVE": "equal-to-default",
        "GGML_OPENMP": "live",
        "GGML_OPNMP": "inert",
        "LLAMA_BUILD_TESTS": "inert",
        "LLAMA_CUBLAS": "refused",
        "LLAMA_CURL": "inert",
    }
    assert verdicts["GGML_OPNMP"].nearest == "GGML_OPENMP"
    assert verdicts["GGML_AVX512"].known
    assert "use GGML_CUDA instead" in verdicts["LLAMA_CUBLAS"].message
    assert 1 < verdicts["GGML_OPENMP"].changed_records < 100


def test_a_flag_against_its_base(examine: Examine) -> None:
    base = Settings(GGML_NATIVE=False)
    assert examine("0.3.16", base, GGML_AVX512=True)["GGML_AVX512"].effect is FlagEffect.LIVE
    assert examine("0.3.16", GGML_AVX512=True)["GGML_AVX512"].effect is FlagEffect.INERT


def test_a_flag_that_works_only_with_another(examine: Examine) -> None:
    verdicts = examine("0.3.16", GGML_AVX512=True, GGML_NATIVE=False)
    assert verdicts["GGML_AVX512"].effect is FlagEffect.LIVE
    assert "together with the other flags" in verdicts["GGML_AVX512"].message


def test_answers_are_kept(llama_source: Source, toolchain: Toolchain, tmp_path: Path) -> None:
    flags = Settings(GGML_LTO=True)
    first = examine_flags(llama_source("0.3.1"), toolchain, flags, Settings(), tmp_path)
    broken = replace(toolchain, ninja=replace(toolchain.ninja, path=Path("/nonexistent/ninja")))
    assert examine_flags(llama_source("0.3.1"), broken, flags, Settings(), tmp_path) == first


def test_what_cannot_be_examined(llama_source: Source, toolchain: Toolchain, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not possible"):
        examine_flags(
            llama_source("0.3.36"), toolchain, Settings(BUILD_SHARED_LIBS=True), Settings(), tmp_path
        )
    with pytest.raises(BuildFailed, match="LLAMA_CUBLAS is deprecated"):
        examine_flags(
            llama_source("0.3.36"), toolchain, Settings(GGML_LTO=True), Settings(LLAMA_CUBLAS=True), tmp_path
        )


def test_the_installed_blas_decides(examine: Examine) -> None:
    verdict = examine("0.3.36", GGML_BLAS=True)["GGML_BLAS"]
    if shutil.which("pkg-config") and verdict.effect is FlagEffect.LIVE:
        return  # this host has one
    assert verdict.effect is FlagEffect.CANNOT_TELL_HERE
    assert "BLAS not found" in verdict.message
