"""Build flags that llama.cpp once had: that a tree lacks one is news for its user, not a typing error."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

HISTORIC_FLAGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GGML_CUDA_DMMV_X": "its kernels were removed in November 2024 (PR 10318)",
        "GGML_CUDA_MMV_Y": "its kernels were removed in November 2024 (PR 10318)",
        "GGML_CUDA_KQUANTS_ITER": "its kernels were removed in November 2024 (PR 10318)",
        "GGML_CUDA_FORCE_DMMV": "its kernels were removed in November 2024 (PR 10318)",
        "GGML_CUDA_F16": "removed in August 2025 (PR 15433)",
        "GGML_CUDA_PEER_MAX_BATCH_SIZE": "removed in September 2026 (PR 28177)",
        "GGML_CUDA_USE_GRAPHS": "called GGML_CUDA_GRAPHS since late 2024",
        "GGML_CUDA_GRAPHS": "called GGML_CUDA_USE_GRAPHS before late 2024",
        "GGML_CUDA_FA": "new in 2025",
        "GGML_CUDA_FA_QUANTS": "new in 2026",
        "GGML_CUDA_FA_ALL_QUANTS": "new in 2024",
        "GGML_CUDA_COMPRESSION_MODE": "new in 2025",
        "GGML_CPU_AARCH64": "called GGML_CPU_REPACK since 2025",
        "GGML_CPU_REPACK": "called GGML_CPU_AARCH64 before 2025",
        "LLAMA_CURL": "without effect since 2026",
        "LLAMA_CUBLAS": "called GGML_CUDA since mid-2024",
        "LLAMA_CUDA": "called GGML_CUDA since mid-2024",
    }
)
"""What became of each, for a person."""
