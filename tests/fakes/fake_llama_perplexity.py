#!/usr/bin/env python3
"""A stand-in for llama-perplexity: writes and compares the reference's file in the real format, and fails on
demand. How far a configuration is from the reference is a Python expression over `ctk` and `ctv`; when it
fails is one over those, `comparing` and `number` (of the passes before).

Standard library only; run by its path (`tests.fakes.install_fake_perplexity` writes the executable).
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

HELP = Path(__file__).parent / "help"
_EXTRA = """
--chunks N                              max number of chunks to process
--kl-divergence                         computes KL-divergence to logits provided via --kl-divergence-base
--save-all-logits, --kl-divergence-base FNAME
                                        set logits file
-f,    --file FNAME                     a file containing the prompt
"""
_SERVERS_ONLY = ("--metrics", "--port", "--host", "--jinja")


def main(words: list[str]) -> int:
    told = json.loads(words.pop(0))
    if "--version" in words:
        sys.stderr.write(f"version: {told['version']}\n")
        return 0
    if "--completion-bash" in words:
        return 1
    if "--help" in words:
        lines = (HELP / "0.3.36.txt").read_text().splitlines()
        kept = [line for line in lines if not line.startswith(_SERVERS_ONLY)]
        sys.stdout.write("\n".join(kept) + _EXTRA)
        return 0
    calls = Path(told["calls"])
    number = len(calls.read_text().splitlines()) if calls.exists() else 0
    with calls.open("a") as file:
        file.write(json.dumps(words) + "\n")
    base = Path(_value(words, "--save-all-logits", "--kl-divergence-base") or "")
    context = int(_value(words, "-c") or 512)
    settings = {
        "ctk": _value(words, "-ctk", "--cache-type-k") or "f16",
        "ctv": _value(words, "-ctv", "--cache-type-v") or "f16",
        "comparing": "--kl-divergence" in words,
        "number": number,
    }
    fault = told["fault"] if eval(told["fault_when"], {}, settings) else ""  # noqa: S307 - a test's own text
    if fault == "hang":
        time.sleep(600)
    if fault == "crash":
        os.kill(os.getpid(), signal.SIGABRT)
    if fault == "exit":
        sys.stderr.write(told["log"] + "\n")
        return 1
    if fault == "garbage":
        sys.stdout.write("Mean    KLD: \x00\xff nan ± inf\nSame top p: abc\n" * 50)
        return 0
    if fault == "silent":
        return 0
    if not settings["comparing"]:
        chunks = int(_value(words, "--chunks") or 1)
        tokens = len(Path(_value(words, "-f") or "").read_text().split())
        if tokens < max(2, chunks) * context:
            if tokens < 2 * context:
                sys.stdout.write(
                    f"you need at least {2 * context} tokens for a context of {context} tokens\n"
                )
                return 0
            chunks = tokens // context
        _write(base, context, int(told["vocab_size"]), chunks, cut=fault == "cut")
        return 0
    if not base.exists():
        sys.stdout.write(f"failed to open {base}\n")
        return 1
    mean = float(eval(told["mean_kld"], {}, settings))  # noqa: S307 - a test's own text
    sys.stdout.write(STATISTICS.format(mean=mean, tail=4 * mean, top=100 * max(0.0, 1 - mean)))
    return 0


STATISTICS = """
====== KL divergence statistics ======
Mean    KLD:  {mean:9.6f} ± 0.000100
Maximum KLD:  {tail:9.6f}
99.9%   KLD:  {tail:9.6f}
99.0%   KLD:  {tail:9.6f}

Same top p: {top:6.3f} ± 0.100 %
"""


def _write(path: Path, context: int, vocab_size: int, chunks: int, *, cut: bool) -> None:
    row = 2 * (2 * ((vocab_size + 1) // 2) + 4)
    with path.open("wb") as file:
        file.write(struct.pack("<8sIii", b"_logits_", context, vocab_size, chunks))
        file.write(bytes(4 * context * chunks))
        file.write(bytes(row * chunks * (context - 1 - context // 2) // (2 if cut else 1)))


def _value(words: list[str], *names: str) -> str | None:
    for name, value in itertools.pairwise(words):
        if name in names:
            return value
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
