"""Does tuner measure what llama.cpp's own benchmark measures?

Decode throughput of one model on one build, by `tuner bench` (HTTP, streamed, sampled) and by
llama-batched-bench (no server, no sampling), in turns. On a model that is large enough, the two agree:
what is left is what serving costs, plus what tuner gets wrong.

    python benchmarks/agreement.py --bin FOLDER     # holds llama-server and llama-batched-bench of one build
    python benchmarks/agreement.py                  # compiles both first (10 minutes on two cores)

Prints a table with the ratio for each number of clients; the exit code is 1 where one is off by more than
the tolerance.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.host.builds import build_programs, cache_folder, synthetic_model
from benchmarks.host.describe import describe_host, server_version

PROMPT_TOKENS = 32
"""Short: a longer prompt's prefill would overlap the decoding of the clients that are already served."""


def main() -> int:
    options = _options()
    folder = options.cache.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    binaries = options.bin.absolute() if options.bin else build_programs(folder)
    model = options.model.absolute() if options.model else synthetic_model(folder, options.preset)
    ours: dict[int, list[float]] = {clients: [] for clients in options.clients}
    theirs: dict[int, list[float]] = {clients: [] for clients in options.clients}
    for _ in range(options.rounds):
        for clients in options.clients:
            ours[clients].append(_tuner_bench(binaries, model, clients, options))
            theirs[clients].append(_batched_bench(binaries, model, clients, options))
    print(describe_host())
    print(f"{server_version(binaries)}, {model.name}, {model.stat().st_size / 2**20:.0f} MiB")
    print(
        f"{PROMPT_TOKENS} prompt and {options.output_tokens} output tokens, {options.threads} threads, "
        f"{options.rounds} rounds in turns; decode throughput of all clients in tok/s, median (range)"
    )
    print(f"{'clients':>7}  {'tuner bench':>22}  {'llama-batched-bench':>22}  ratio")
    worst = 0.0
    for clients in options.clients:
        ratio = median(ours[clients]) / median(theirs[clients])
        worst = max(worst, abs(ratio - 1))
        print(f"{clients:>7}  {_spread(ours[clients]):>22}  {_spread(theirs[clients]):>22}  {ratio:.3f}")
    print(f"largest difference {worst:.1%}, tolerance {options.tolerance:.0%}")
    return int(worst > options.tolerance)


def _tuner_bench(binaries: Path, model: Path, clients: int, options: argparse.Namespace) -> float:
    """Tokens a second of all clients while they decode: each client's median, times the clients."""
    answer = subprocess.run(
        [
            sys.executable, "-m", "tuner", "bench", "--json", "--launches", "1",
            "--binary", binaries / "llama-server", "--model", model,
            "--clients", str(clients), "--requests", str(clients),
            "--prompt-tokens", str(PROMPT_TOKENS), "--output-tokens", str(options.output_tokens),
            "--arg", f"parallel={clients}", "--arg", f"threads={options.threads}",
        ],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    figures = json.loads(answer.stdout)["figures"]
    return clients * float(figures["bench.decode_tokens_per_s"]["value"])


def _batched_bench(binaries: Path, model: Path, clients: int, options: argparse.Namespace) -> float:
    """Its S_TG: tokens a second of all sequences while they decode."""
    context = 2 * clients * (PROMPT_TOKENS + options.output_tokens)
    answer = subprocess.run(
        [
            binaries / "llama-batched-bench", "--model", model, "--ctx-size", str(context),
            "--threads", str(options.threads), "-npp", str(PROMPT_TOKENS),
            "-ntg", str(options.output_tokens), "-npl", str(clients), "--output-format", "jsonl",
        ],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    lines = [line for line in answer.stdout.splitlines() if line.startswith("{")]
    return float(json.loads(lines[-1])["speed_tg"])


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _options() -> argparse.Namespace:
    cache = cache_folder()
    parser = argparse.ArgumentParser(description="tuner bench against llama-batched-bench")
    parser.add_argument("--bin", type=Path, help="folder with llama-server and llama-batched-bench")
    parser.add_argument("--model", type=Path, help="a GGUF; default: a synthetic one")
    parser.add_argument("--preset", default="1b", help="the synthetic model's size (default: 1b)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output-tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tolerance", type=float, default=0.10)
    parser.add_argument("--cache", type=Path, default=cache, help="where sources, builds and models are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
