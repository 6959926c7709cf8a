"""What does the load generator itself cost?

A client that is slow measures itself. This streams answers from a stand-in server that sends tokens as fast
as it can, one in each chunk, and reports the CPU time that tuner's own process spends on a token, and what
share of a core that is at the rate of a fast server.

    python benchmarks/client_cost.py
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fakes import install_fake
from tuner.load import ClosedLoopGenerator, Target
from tuner.model import ClosedLoop, RequestStatus

RATES = (1000, 5000, 20000)
"""Tokens a second of all clients: a large model on one GPU, a small one, a very small one."""


def main() -> int:
    options = _options()
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}"
    )
    columns = "  ".join(f"{f'at {rate} tok/s':>15}" for rate in RATES)
    print(f"{'clients':>7}  {'tok/s here':>10}  {'CPU µs a token':>14}  {columns}")
    for clients in options.clients:
        seen_per_s, cpu_us = _measure(clients, options)
        shares = "  ".join(f"{f'{cpu_us * rate / 1e4:.1f} % of a core':>15}" for rate in RATES)
        print(f"{clients:>7}  {seen_per_s:>10.0f}  {cpu_us:>14.1f}  {shares}")
    return 0


def _measure(clients: int, options: argparse.Namespace) -> tuple[float, float]:
    """Tokens a second that arrived, and CPU microseconds of this process for each; medians of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        server = install_fake(Path(folder), decode_tokens_per_s="1e9", prefill_tokens_per_s="1e9")
        model = Path(folder) / "model.gguf"
        model.touch()
        port = _free_port()
        arguments = ["--model", model, "--port", str(port), "--parallel", str(clients)]
        arguments += ["--ctx-size", str(clients * 1024), "--metrics"]
        process = subprocess.Popen([server, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_ready(url)
            generator = ClosedLoopGenerator()
            target = Target(base_url=url, vocab_size=30000, first_token=1000)
            workload = ClosedLoop(
                name="cost",
                clients=clients,
                requests=options.requests_per_client * clients,
                prompt_tokens=64,
                output_tokens=options.output_tokens,
            )
            generator.warm_up(workload, target, 0)
            rates, costs = [], []
            for seed in range(options.rounds):
                cpu_s, wall_s = time.process_time(), time.perf_counter()
                run = generator.run(workload, target, seed, lambda *_: None)
                cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - wall_s
                if any(record.status is not RequestStatus.OK for record in run.records):
                    raise SystemExit("the stand-in server failed: nothing was measured")
                tokens = workload.requests * workload.output_tokens
                rates.append(tokens / wall_s)
                costs.append(1e6 * cpu_s / tokens)
            return median(rates), median(costs)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(url: str) -> None:
    for _ in range(200):
        try:
            if httpx.get(f"{url}/health", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"the stand-in server at {url} did not start")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU time of the load generator for each token")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--requests-per-client", type=int, default=4)
    parser.add_argument("--output-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
