"""Which settings can change what a server answers, so that equal answers are judged once.

The list is of what *cannot*: a setting that is not on it counts as one that may. "Cannot" means beyond the
order in which sums are taken: another number of threads or another batch rounds differently in the last
bits, which no limit that is of use would notice.
"""

from __future__ import annotations

import re
from typing import Final

from tuner.model import Settings, TrialConfig

_NEUTRAL_ARGS: Final = re.compile(
    r"parallel|threads(-batch|-http)?|u?batch-size|cont-batching|no-cont-batching|kv-unified|no-kv-unified"
    r"|(cpu-mask|cpu-range|cpu-strict|poll|prio)(-batch)?|numa|(no-)?mmap|mlock|load-mode|lazy-mode|(no-)?direct-io"
    r"|(no-)?warmup|slot-prompt-similarity|ctx-checkpoints|swa-checkpoints|checkpoint-min-step|defrag-thold"
    r"|check-tensors|perf|no-perf|temp|temperature|top-k|top-p|min-p|samplers|sampler-seq|repeat-.*|presence-penalty"
    r"|frequency-penalty|dry-.*|xtc-.*|typical|mirostat.*|dynatemp-.*|grammar.*|json-schema.*|logit-bias|jinja|no-jinja"
    r"|model-draft|(spec|draft|lookup|lookahead)(-.*)?|.*-draft"
    r"|reasoning.*|chat-template.*|prefill-assistant|no-prefill-assistant|context-shift|no-context-shift"
)
_NEUTRAL_ENV: Final = re.compile(
    r"GGML_CUDA_(DISABLE_GRAPHS|NO_PINNED|REGISTER_HOST|PDL|ENABLE_UNIFIED_MEMORY)|CUDA_SCALE_LAUNCH_QUEUES"
    r"|LLAMA_GRAPH_REUSE_DISABLE|KMP_.*|OMP_.*|GOMP_.*|MALLOC_.*|LD_PRELOAD"
)
_KV_TYPES: Final = ("cache-type-k", "cache-type-v")


def subject_config(config: TrialConfig) -> TrialConfig:
    """`config` without what cannot change an answer. The build is whole: its key tells builds apart."""
    return TrialConfig(
        build=config.build,
        env=Settings({name: value for name, value in config.env.items() if not _NEUTRAL_ENV.fullmatch(name)}),
        args=Settings(
            {
                name: value
                for name, value in config.args.items()
                if not _NEUTRAL_ARGS.fullmatch(name) and not (name in _KV_TYPES and value == "f16")
            }
        ),
    )


def reference_config(baseline: TrialConfig) -> TrialConfig:
    """What everything is compared with: the default baseline with an f16 KV cache, llama.cpp's default."""
    subject = subject_config(baseline)
    return TrialConfig(build=subject.build, env=subject.env, args=subject.args.without(*_KV_TYPES))
