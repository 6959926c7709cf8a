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
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

from tuner.build import find_toolchain
from tuner.source import SdistSource
from tuner.weights import preset, synthesize

SOURCE = ("llama-cpp-python==0.3.36", "vendor/llama.cpp")
PROMPT_TOKENS = 32
"""Short: a longer prompt's prefill would overlap the decoding of the clients that are already served."""


def main() -> int:
    options = _options()
    folder = options.cache.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    binaries = options.bin.absolute() if options.bin else _build(folder)
    model = options.model.absolute() if options.model else _model(folder, options.preset)
    ours: dict[int, list[float]] = {clients: [] for clients in options.clients}
    theirs: dict[int, list[float]] = {clients: [] for clients in options.clients}
    for _ in range(options.rounds):
        for clients in options.clients:
            ours[clients].append(_tuner_bench(binaries, model, clients, options))
            theirs[clients].append(_batched_bench(binaries, model, clients, options))
    print(f"{_cpu()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}")
    print(f"{_version(binaries)}, {model.name}, {model.stat().st_size / 2**20:.0f} MiB")
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


def _build(folder: Path) -> Path:
    """Both programs, from one cmake configuration."""
    tree = SdistSource(*SOURCE, folder / "sources").fetch()
    toolchain = find_toolchain()
    build = folder / f"build-{tree.content_hash[:12]}"
    log = folder / "build.log"
    print(f"compiling both programs of {SOURCE[0]}; log: {log}", file=sys.stderr)
    environment = {**os.environ, "CCACHE_DIR": str(folder / "ccache")}
    configure = [
        toolchain.cmake.path, "-S", tree.root, "-B", build, "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={toolchain.ninja.path}", "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_TESTS=OFF",
    ]  # fmt: skip
    if toolchain.ccache is not None:
        configure += [
            f"-DCMAKE_{language}_COMPILER_LAUNCHER={toolchain.ccache.path}" for language in ("C", "CXX")
        ]
    targets = ["--target", "llama-server", "llama-batched-bench"]
    with log.open("w") as out:
        for command in (configure, [toolchain.cmake.path, "--build", build, *targets]):
            subprocess.run(command, check=True, stdout=out, stderr=out, env=environment)
    return build / "bin"


def _model(folder: Path, name: str) -> Path:
    """Random weights: speed does not ask what they say."""
    path = folder / f"synthetic-{name}.gguf"
    return path if path.exists() else synthesize(path, preset(name))


def _version(binaries: Path) -> str:
    told = subprocess.run(
        [binaries / "llama-server", "--version"], check=True, capture_output=True, text=True
    )
    return (told.stdout + told.stderr).strip().splitlines()[0]


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _spread(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _options() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tuner-benchmarks"
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
