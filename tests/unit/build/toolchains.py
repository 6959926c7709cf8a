"""A toolchain for tests that run none of it."""

from __future__ import annotations

from pathlib import Path

from tuner.build import Tool, Toolchain


def a_toolchain() -> Toolchain:
    def tool(name: str) -> Tool:
        return Tool(path=Path(f"/nonexistent/{name}"), version=f"{name} 1.0")

    return Toolchain(
        cmake=tool("cmake"),
        ninja=tool("ninja"),
        c_compiler=tool("cc"),
        cxx_compiler=tool("c++"),
        ccache=None,
        nvcc=None,
        cpu_model="test",
        environment="0" * 64,
    )
