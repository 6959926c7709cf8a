"""What is known of llama-server's arguments before a binary is at hand. Tables only; one row is one fact.

Read in `common/arg.cpp` and `--help` of the llama.cpp trees in llama-cpp-python 0.3.1, 0.3.16 and 0.3.36.
Nothing here says that an argument exists: the binary itself is asked later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tuner.model import Scalar

SHORT_FORMS: Final[Mapping[str, str]] = {
    "C": "cpu-mask",
    "Cb": "cpu-mask-batch",
    "Cr": "cpu-range",
    "Crb": "cpu-range-batch",
    "a": "alias",
    "ag": "agent",
    "b": "batch-size",
    "bs": "backend-sampling",
    "c": "ctx-size",
    "cb": "cont-batching",
    "cmoe": "cpu-moe",
    "cms": "checkpoint-min-step",
    "cram": "cache-ram",
    "ctk": "cache-type-k",
    "ctkd": "cache-type-k-draft",
    "ctv": "cache-type-v",
    "ctvd": "cache-type-v-draft",
    "ctxcp": "ctx-checkpoints",
    "dev": "device",
    "devd": "device-draft",
    "dt": "defrag-thold",
    "fa": "flash-attn",
    "fit": "fit",
    "fitc": "fit-ctx",
    "fitt": "fit-target",
    "h": "help",
    "hf": "hf-repo",
    "kvo": "kv-offload",
    "kvu": "kv-unified",
    "lm": "load-mode",
    "lv": "verbosity",
    "lzm": "lazy-mode",
    "m": "model",
    "md": "model-draft",
    "mg": "main-gpu",
    "mm": "mmproj",
    "n": "predict",
    "ncffn": "n-cpu-ffn",
    "ncmoe": "n-cpu-moe",
    "ngl": "gpu-layers",
    "ngld": "gpu-layers-draft",
    "nkvo": "no-kv-offload",
    "nocb": "no-cont-batching",
    "np": "parallel",
    "nr": "no-repack",
    "ot": "override-tensor",
    "s": "seed",
    "sm": "split-mode",
    "sps": "slot-prompt-similarity",
    "t": "threads",
    "tb": "threads-batch",
    "tbd": "threads-batch-draft",
    "td": "threads-draft",
    "to": "timeout",
    "ts": "tensor-split",
    "ub": "ubatch-size",
    "v": "verbose",
}
"""Short spellings, without the dash, and the long one that a study file uses."""

SAME_ARGUMENT: Final[Mapping[str, str]] = {
    "n-gpu-layers": "gpu-layers",
    "n-predict": "predict",
    "log-verbosity": "verbosity",
    "log-verbose": "verbose",
    "temperature": "temp",
    "swa-checkpoints": "ctx-checkpoints",
    "embeddings": "embedding",
    "reranking": "rerank",
    "webui": "ui",
    "n-gpu-layers-draft": "gpu-layers-draft",
    "spec-draft-ngl": "gpu-layers-draft",
    "spec-draft-model": "model-draft",
    "spec-draft-threads": "threads-draft",
    "spec-draft-threads-batch": "threads-batch-draft",
    "spec-draft-type-k": "cache-type-k-draft",
    "spec-draft-type-v": "cache-type-v-draft",
    "spec-draft-p-min": "draft-p-min",
    "draft-max": "spec-draft-n-max",
    "draft-n": "spec-draft-n-max",
    "draft": "spec-draft-n-max",
    "draft-min": "spec-draft-n-min",
    "draft-n-min": "spec-draft-n-min",
}
"""Further long spellings and the one that stands for them all."""

_CONTEXT_PROMISE: Final = (
    "context is a promise, not a knob: at a fixed total, more slots would mean less context each, and the "
    "search would buy speed with it; say what one request needs in serve.context_per_request"
)
_MODEL: Final = "the study file's own `model` says which model is served"
_ADDRESS: Final = "tuner starts the server on loopback at a free port"
_KEYS: Final = "tuner talks to its own server on loopback, without keys or TLS"
_ENDPOINTS: Final = "tuner turns on the endpoints that it measures with, and no others"
_LOGGING: Final = "tuner reads the server's log, and needs it as it is"
_ENDS: Final = "with it the server prints something and exits"
_FIT: Final = "trials run with `--fit off`, so that the server does not change settings behind the search"
CACHES_OFF: Final = (
    "no workload is about prompt caches, so every measured prompt is new and tuner turns the prompt caches "
    "off; add `session` or `shared_prefix` to a workload, or leave this argument out"
)
_CACHES: Final = (
    "with every request tuner turns the prompt caches off, or on where a workload is about them (`session`, "
    "`shared_prefix`)"
)
_REQUEST: Final = "tuner says it with every request, from the workload"
_TOOLS: Final = "a server under test runs no tools and reads no files for its clients"

HARNESS_OWNED: Final[Mapping[str, str]] = {
    name: reason
    for reason, names in (
        (_CONTEXT_PROMISE, ("ctx-size", "kv-unified-per-slot")),
        (_MODEL, ("model", "model-url", "docker-repo", "hf-repo", "hf-file", "hf-token", "alias", "offline")),
        (_MODEL, ("models-dir", "models-preset", "models-max", "models-autoload")),
        (_ADDRESS, ("host", "port", "reuse-port", "path", "api-prefix", "timeout", "sleep-idle-seconds")),
        (_KEYS, ("api-key", "api-key-file", "ssl-key-file", "ssl-cert-file")),
        (_KEYS, ("cors-origins", "cors-methods", "cors-headers", "cors-credentials")),
        (_ENDPOINTS, ("metrics", "props", "slots", "slots-endpoint-disable", "ui", "ui-config")),
        (_ENDPOINTS, ("ui-config-file", "embedding", "rerank", "sse-ping-interval")),
        (_LOGGING, ("log-disable", "log-file", "log-jsonl", "log-format", "log-colors", "log-prefix")),
        (_LOGGING, ("log-timestamps", "log-prompts-dir", "verbose", "verbosity")),
        (_ENDS, ("help", "usage", "version", "list-devices", "cache-list", "completion-bash")),
        (_FIT, ("fit", "fit-target", "fit-ctx")),
        (_CACHES, ("cache-prompt", "slot-save-path")),
        (_REQUEST, ("predict", "ignore-eos", "seed")),
        (_TOOLS, ("tools", "tools-runtime", "agent", "ui-mcp-proxy", "mcp-servers-config")),
        (_TOOLS, ("mcp-servers-json", "media-path")),
    )
    for name in names
}
"""Arguments that tuner sets, or that a measured server cannot have, and why."""

CACHE_ARGUMENTS: Final = frozenset({"cache-reuse", "cache-ram", "cache-idle-slots"})
"""Of the prompt caches: a study may set and search them when one of its workloads is about caches."""

OWNED_ENVIRONMENT: Final[tuple[tuple[str, str], ...]] = (
    ("LLAMA_ARG_", "it sets a server argument; write the argument under `args`"),
    ("LLAMA_API_KEY", _KEYS),
    ("HF_TOKEN", _MODEL),
)
"""Prefixes of environment variables that a study file may not set, and why."""

OWNED_FLAGS: Final[Mapping[str, str]] = {
    name: reason
    for reason, names in (
        (
            "tuner builds llama-server and nothing else",
            ("LLAMA_BUILD_SERVER", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES"),
        ),
        ("a build must not download anything", ("LLAMA_USE_PREBUILT_UI",)),
        (
            "tuner keeps builds in its own cache",
            ("CMAKE_INSTALL_PREFIX", "CMAKE_RUNTIME_OUTPUT_DIRECTORY", "CMAKE_EXPORT_COMPILE_COMMANDS"),
        ),
    )
    for name in names
}
"""CMake variables that tuner sets itself, and why."""

_SPECULATION_WORDS: Final = ("draft", "spec", "lookup", "lookahead")


def preferred_spelling(name: str) -> str:
    """The one spelling that stands for all spellings of an argument: `no-` forms and short ones too."""
    long = SHORT_FORMS.get(name, name)
    positive = long.removeprefix("no-")
    # `--no-host` (bypass the host buffer) is an argument of its own, and no negation of `--host`.
    long = long if long == "no-host" else positive
    return SAME_ARGUMENT.get(long, long)


def is_speculation(name: str) -> bool:
    """Whether an argument turns on or shapes speculative decoding (`spec-type`, `model-draft`, …)."""
    words = name.split("-")
    return any(word in words for word in _SPECULATION_WORDS)


def owned_reason(name: str) -> str | None:
    """Why a study file may not give this argument; None when it may."""
    preferred = preferred_spelling(name)
    if preferred in HARNESS_OWNED:
        return HARNESS_OWNED[preferred]
    # `--gpt-oss-20b-default` and its like choose and download a model.
    if preferred.endswith("-default") and preferred != "spec-default":
        return _MODEL
    return None


STABLE_DEFAULTS: Final[Mapping[str, Scalar]] = {
    "batch-size": 2048,
    "ubatch-size": 512,
    "cache-type-k": "f16",
    "cache-type-v": "f16",
    "cont-batching": True,
    "kv-offload": True,
    "main-gpu": 0,
    "poll": 50,
    "prio": 0,
    "split-mode": "layer",
}
"""llama-server's defaults that are the same in all three trees: `common_params` in `common/common.h`.

A relation under `space.require` may use these without fixing or searching them.
"""

CURRENT_DEFAULTS: Final[Mapping[str, Scalar]] = {
    **STABLE_DEFAULTS,
    "context-shift": False,
    "cpu-moe": False,
    "flash-attn": "auto",
    "gpu-layers": "auto",
    "load-mode": "auto",
    "no-host": False,
    "op-offload": True,
    "parallel": -1,
    "repack": True,
    "spec-type": "none",
    "swa-full": False,
    "threads-http": -1,
}
"""Defaults of the current llama-server (llama-cpp-python 0.3.36), for `tuner.space.canonical`.

Left out on purpose: `threads` and `threads-batch`, whose default -1 means another number of threads than
an explicit -1 does (physical cores against logical ones: `common_cpu_get_num_math` and
`hardware_concurrency` in `common/arg.cpp`), and everything that tuner itself sets.
"""
