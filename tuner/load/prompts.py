"""Prompts as token arrays: fresh for every request, and the same again for the same seed."""

from __future__ import annotations

import zlib
from enum import IntEnum

import numpy as np

from tuner.errors import ModelInvalid
from tuner.load.base import Target


class Phase(IntEnum):
    """What a prompt is for; part of what it is drawn from."""

    WARM_UP = 0
    MEASURED = 1


def draw_prompt(
    *, seed: int, workload: str, phase: Phase, index: int, length_tokens: int, target: Target
) -> list[int]:
    """`length_tokens` token ids, uniform in [target.first_token, target.vocab_size).

    `seed` belongs to one load run: every repetition of every trial has its own. The generator is a child of
    it, named by (workload, phase, index), so the prompt does not depend on which client sends it, and no
    prompt is the beginning of another's: two of them agree in their first k tokens with probability
    (1 / ids)^k, whatever the seeds (https://numpy.org/doc/stable/reference/random/parallel.html). Raises
    ModelInvalid when the model leaves no ids to draw from.
    """
    if not 0 <= target.first_token < target.vocab_size:
        raise ModelInvalid(
            f"no token id is left for random prompts: the vocabulary has {target.vocab_size} and the first "
            f"{target.first_token} are control tokens. Check the model's tokenizer."
        )
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(workload.encode()), int(phase), index))
    generator = np.random.Generator(np.random.PCG64(sequence))
    ids = generator.integers(target.first_token, target.vocab_size, size=length_tokens)
    return [int(token) for token in ids]
