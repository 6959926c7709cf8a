"""Launches of one configuration, again and again, as they came: what the noise model is fitted to.

    python benchmarks/record_launches.py --binary ./llama-server --model model.gguf --out noise.jsonl

The first line says what was recorded and where, each further one is a launch: its start in seconds, and one
value of each figure for each repetition. Without arguments (`make bench`) there is nothing to record.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from tuner import wiring
from tuner.model import ClosedLoop, Settings
from tuner.wiring.host_facts import host_facts

FIGURES = ("output_tokens_per_s", "decode_tokens_per_s", "ttft_p50_s", "e2e_p50_s")
VERSION = 1


def main() -> int:
    options = _options()
    if options.out is None or options.binary is None or options.model is None:
        print("nothing to record: name --binary, --model and --out")
        return 0
    workload = ClosedLoop(
        name="noise",
        clients=options.clients,
        requests=options.requests,
        prompt_tokens=options.prompt_tokens,
        output_tokens=options.output_tokens,
        repetitions=options.repetitions,
    )
    started_s = time.perf_counter()
    with options.out.open("w", encoding="utf-8") as file:
        _write(file, _head(options))
        for launch in range(options.launches):
            at_s = time.perf_counter()
            result = wiring.bench_binary(
                options.binary,
                options.model,
                args=Settings(threads=options.threads),
                env=Settings(),
                plan=wiring.BenchPlan(workloads=(workload,), launches=1, seed=launch),
                context_per_request=None,
                on_progress=lambda _: None,
            )
            figures = {name: list(result.score.figures[f"noise.{name}"].samples) for name in FIGURES}
            _write(
                file,
                {
                    "launch": launch,
                    "started_s": round(at_s - started_s, 3),
                    "took_s": round(time.perf_counter() - at_s, 3),
                    "load": round(os.getloadavg()[0], 2),
                    "figures": figures,
                },
            )
            print(f"{launch + 1}/{options.launches}", file=sys.stderr)
    return 0


def _head(options: argparse.Namespace) -> dict[str, object]:
    asked = {name: value for name, value in vars(options).items() if not isinstance(value, Path)}
    return {
        "version": VERSION,
        "recorded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "host": host_facts(engine=False),
        "server": options.label,
        "model": options.model.name,
        "workload": asked,
        "note": options.note,
    }


def _write(file: TextIO, row: dict[str, object]) -> None:
    file.write(json.dumps(row) + "\n")
    file.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="record launches of one configuration")
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--label", default="", help="what the server is, for the file's head")
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--launches", type=int, default=120)
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--requests", type=int, default=4)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--output-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
