"""Model files: what they are, what they need, and synthetic ones."""

from tuner.weights.inspect import inspect
from tuner.weights.memory import KV_TYPES, memory_needs
from tuner.weights.package import fetch_package_model
from tuner.weights.synth import ByteListener, estimate_bytes, synthesize
from tuner.weights.synth_spec import PRESETS, WEIGHT_TYPES, SynthSpec, preset
from tuner.weights.traffic import decode_roof

__all__ = [
    "KV_TYPES",
    "PRESETS",
    "WEIGHT_TYPES",
    "ByteListener",
    "SynthSpec",
    "decode_roof",
    "estimate_bytes",
    "fetch_package_model",
    "inspect",
    "memory_needs",
    "preset",
    "synthesize",
]
