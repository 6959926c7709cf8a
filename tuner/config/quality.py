"""How far a trial's answers may be from the reference's, and when that is asked without being said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from tuner.config.layers import Layer
from tuner.config.names import did_you_mean
from tuner.config.section import Section, Text, describe
from tuner.model import QualityPlan

DEFAULT_LIMIT: Final = "quality.mean_kld <= 0.01"
"""About what Q5_K_M weights lose against F16 ones: 0.0108, and Q6_K 0.0055 (Llama 3 8B, the table in
llama.cpp's tools/perplexity/README.md). Measured here: docs/quality.md."""
_LEAST_POSITIONS: Final = 100
"""Below these llama-perplexity prints no statistics."""

_CHANGES_RESULTS: Final[Mapping[Layer, re.Pattern[str]]] = {
    "build": re.compile(
        r"GGML_(CUDA|HIP|SYCL)_F16|GGML_CUDA_FORCE_(CUBLAS|MMQ|DMMV)|GGML_CUDA_CUBLAS_.*|GGML_CUDA_FAST.*|GGML_BLAS"
    ),
    "env": re.compile(
        r"GGML_CUDA_(CUBLAS_COMPUTE_TYPE|MMQ_PREC|FORCE_.*)|NVIDIA_TF32_OVERRIDE|GGML_VK_DISABLE_F16"
    ),
    "args": re.compile(
        r"cache-type-[kv]|override-kv|lora(-scaled)?|control-vector.*|rope-.*|yarn-.*|grp-attn-.*"
    ),
}
_COMPILER_FLAGS: Final = re.compile(r"CMAKE_(C|CXX|CUDA|HIP)_FLAGS(_\w+)?")
_FAST_MATH: Final = re.compile(r"fast[-_]math|-Ofast|unsafe-math|-fp-model|associative-math|reciprocal-math")


_OFF_VALUES: Final = (None, False, "OFF", "")


class QualitySpec(Section):
    """How a configuration's answers are compared with the reference's: default baseline, f16 KV cache."""

    judge: bool = Field(
        default=True, description="false, which `quality: off` says too: quality is not judged."
    )
    text: Text | None = Field(
        default=None,
        description="A file of text on which answers are compared; a relative path starts at the study "
        "file's folder. "
        "Default: what the reference itself writes.",
    )
    chunks: int = Field(
        default=4, ge=1, le=10_000, description="Pieces of the text; the second half of each is compared."
    )
    context: int = Field(
        default=512,
        ge=64,
        le=1_000_000,
        description="Tokens of one piece; a long one shows what a KV cache loses.",
    )
    method: Literal["auto", "perplexity", "http"] = Field(
        default="auto",
        description="perplexity: llama.cpp's own llama-perplexity, exact. http: a lower bound from the "
        "likeliest "
        "tokens. auto: the first where there is one.",
    )
    timeout_minutes: float = Field(
        default=30.0, gt=0, le=1440, description="Minutes after which one pass over the text is stopped."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _known(cls, method: Any) -> Any:
        known = ("auto", "perplexity", "http")
        if method not in known:
            hint = did_you_mean(method, known) if isinstance(method, str) else ""
            raise ValueError(f"{describe(method)} is not a method; use auto, perplexity or http{hint}")
        return method

    @model_validator(mode="after")
    def _enough(self) -> QualitySpec:
        positions = self.to_model(None).positions
        if positions < _LEAST_POSITIONS:
            raise ValueError(
                f"{self.chunks} chunks of {self.context} tokens are {positions} positions, and "
                f"{_LEAST_POSITIONS} are "
                "needed for statistics; raise chunks or context"
            )
        return self

    def to_model(self, text: str | None) -> QualityPlan:
        """The value that the stages take; `text` is the file's resolved path."""
        return QualityPlan(
            text=text,
            chunks=self.chunks,
            context=self.context,
            method=self.method,
            timeout_s=self.timeout_minutes * 60,
        )


def _off(value: Any) -> Any:
    if value is False or value == "off":
        return {"judge": False}
    if isinstance(value, str):
        message = f"{describe(value)} is not what belongs here: write off, or a mapping of `key: value`"
        raise ValueError(message + did_you_mean(value, ["off"]))
    return value


QualityChoice = Annotated[
    QualitySpec, BeforeValidator(_off, json_schema_input_type=QualitySpec | Literal["off"])
]


def changes_results(layer: Layer, name: str, values: Iterable[Any]) -> bool:
    """Whether a setting that takes these values can change what a server answers, beyond rounding."""
    if layer == "build" and _COMPILER_FLAGS.fullmatch(name):
        return any(_FAST_MATH.search(str(value)) for value in values)
    if not _CHANGES_RESULTS[layer].fullmatch(name):
        return False
    harmless = (*_OFF_VALUES, "f16") if name.startswith("cache-type-") else _OFF_VALUES
    return any(value not in harmless for value in values)
