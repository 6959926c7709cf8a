"""What does the load generator itself cost?

A client that is slow measures itself. This asks one real llama-server, with a model so small that the client
is what counts, for the same load by tuner, by a raw socket reader (the floor), by httpx and json (what one
writes first) and by GuideLLM, AIPerf and llama-benchy, in turns, and compares the CPU time of the whole
client, child processes and decoding included, for each token that the server says it generated. Start-up is
left out, and so is the interpreter's end: our three clients, of one process each, say what they spent from
the first prompt to the last answer decoded, and each peer runs with two numbers of requests, of which the
difference counts.

    python benchmarks/client_cost.py                  # compiles llama-server and installs the peers first
    python benchmarks/client_cost.py --bin FOLDER     # holds llama-server
    python benchmarks/client_cost.py --quick          # without the peers, one round

The exit code is 1 when tuner costs more than 1.5 times the raw reader, a third of the naive way, or any peer.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.clients.load import Load
from benchmarks.clients.peers import PEERS, Peer, peers_environment, peers_files
from benchmarks.clients.spawn import ClientFailed, Spent, adopt_orphans, spend
from benchmarks.host.builds import build_programs, cache_folder, synthetic_model
from benchmarks.host.describe import describe_host, server_version
from tuner.clock import SystemClock
from tuner.launch import ProcessLauncher
from tuner.measure import MetricsProbe
from tuner.model import Artifact, LaunchSpec, Settings

OURS = ("tuner", "raw", "naive")
MODULES = {"tuner": "ours", "raw": "raw", "naive": "naive"}
TITLES = {"tuner": "tuner", "raw": "raw socket reader", "naive": "httpx and json"}
MOST_OF_RAW, MOST_OF_NAIVE = 1.5, 1 / 3
PEER_REQUESTS = (64, 320)
LEAST_OF_PEERS = 0.7
"""Of the requests: some lose those whose kept connection the server closes. Costs are by tokens generated."""
CONTEXT = 512
"""Tokens of a slot: a chat's template needs some, too."""

Costs = dict[tuple[str, int], list[float]]
"""CPU microseconds a token, of a client at a number of clients at once."""


def main() -> int:
    options = _options()
    cache = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    binaries = options.bin.absolute() if options.bin else build_programs(cache)
    model = synthetic_model(cache, "tiny")
    started_s = time.monotonic()
    adopt_orphans()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        with (
            _serving(binaries, model, folder, max(options.clients)) as url,
            peers_files(folder, options.prompt_tokens, options.output_tokens),
        ):
            bench = _Bench(url, folder, options)
            peers, missing = bench.install(cache)
            for number in range(options.rounds):
                for clients in options.clients:
                    bench.measure_ours(clients, number)
                    if number < options.peer_rounds:
                        bench.measure_peers(clients, peers, missing)
    print(describe_host())
    print(f"{server_version(binaries)}, {model.name}, 1 thread, {max(options.clients)} slots")
    print(
        f"{options.prompt_tokens} prompt and {options.output_tokens} output tokens; {options.requests} "
        f"requests in each of {options.rounds} rounds, of peers {PEER_REQUESTS[1]} less {PEER_REQUESTS[0]} "
        f"in each of {options.peer_rounds}; CPU µs a token, median (range); "
        f"{time.monotonic() - started_s:.0f} s in all"
    )
    _print_table(bench, peers, options.clients)
    for name, why in missing.items():
        print(f"{name}: not measured: {why}")
    return int(not _within_bounds(bench.costs, options.clients, peers))


class _Bench:
    """Measures clients against one server."""

    def __init__(self, url: str, folder: Path, options: argparse.Namespace) -> None:
        self.costs: Costs = defaultdict(list)
        self.clock_costs: Costs = defaultdict(list)
        """tuner's share while its clock runs."""
        self._folder = folder
        self._options = options
        self._probe = MetricsProbe(SystemClock())
        self._load = Load(
            url=url,
            clients=1,
            requests=options.requests,
            prompt_tokens=options.prompt_tokens,
            output_tokens=options.output_tokens,
            seed=0,
        )

    def install(self, cache: Path) -> tuple[dict[Peer, Path], dict[str, str]]:
        """Peers with their programs, and for those without, why."""
        peers, missing = {}, {}
        for peer in PEERS if self._options.peer_rounds else ():
            try:
                peers[peer] = peer.install(cache)
            except ClientFailed as error:
                missing[f"{peer.name} {peer.version}"] = str(error)
        return peers, missing

    def measure_ours(self, clients: int, number: int) -> None:
        load = replace(self._load, clients=clients, seed=number)
        # Each round begins with another one: what the host does besides meets all alike.
        for name in OURS[number % 3 :] + OURS[: number % 3]:
            command = [sys.executable, "-m", f"benchmarks.clients.{MODULES[name]}", *load.arguments()]
            spent, tokens = self._spend(command, load, own=True)
            self.costs[name, clients].append(1e6 * spent.figure("load_cpu_s") / tokens)
            if name == "tuner":
                self.clock_costs[name, clients].append(1e6 * spent.figure("clock_cpu_s") / tokens)
            self._say(name, clients)

    def measure_peers(self, clients: int, peers: dict[Peer, Path], missing: dict[str, str]) -> None:
        for peer, programs in peers.items():
            try:
                spent = []
                for requests in PEER_REQUESTS:
                    load = replace(self._load, clients=clients, requests=requests)
                    program, *arguments = peer.command(self._folder, load)
                    spent.append(self._spend([str(programs / program), *arguments], load, own=False))
            except ClientFailed as error:
                missing[f"{peer.name} {peer.version} at {clients} clients"] = str(error)
                print(f"{peer.name}, {clients} clients: {error}", file=sys.stderr)
                continue
            (short, fewer), (long, more) = spent
            if more <= fewer:
                missing[f"{peer.name} {peer.version} at {clients} clients"] = "more requests, fewer tokens"
                continue
            self.costs[peer.name, clients].append(1e6 * (long.cpu_s - short.cpu_s) / (more - fewer))
            self._say(peer.name, clients)

    def _spend(self, command: list[str], load: Load, *, own: bool) -> tuple[Spent, int]:
        """What `command` spent, and how many tokens the server generated for it."""
        env = peers_environment(self._folder)
        if own:
            env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        before = self._tokens()
        spent = spend(command, env, self._folder, self._options.limit_s)
        tokens = self._tokens() - before
        least = load.tokens if own else LEAST_OF_PEERS * load.tokens
        if not least <= tokens <= 1.1 * load.tokens:
            raise ClientFailed(f"{tokens} tokens were generated, {load.tokens} were to be asked for")
        return spent, tokens

    def _tokens(self) -> int:
        self._probe.wait_idle(self._load.url)
        counters = self._probe.counters(self._load.url)
        if counters is None or counters.tokens_predicted_total is None:
            raise SystemExit("the server does not say how many tokens it has generated")
        return round(counters.tokens_predicted_total)

    def _say(self, name: str, clients: int) -> None:
        print(f"{name}, {clients} clients: {self.costs[name, clients][-1]:.1f} µs", file=sys.stderr)


def _print_table(bench: _Bench, peers: dict[Peer, Path], clients: list[int]) -> None:
    rows = [(name, TITLES[name]) for name in OURS]
    rows += [(peer.name, f"{peer.name} {peer.version}, {peer.endpoint}") for peer in peers]
    heads = "".join(f" {f'{number} clients':>22} |" for number in clients)
    print(f"| {'client':<45} |{heads}")
    print(f"|{'-' * 47}|{'|'.join('-' * 23 + ':' for _ in clients)}|")
    for name, title in rows:
        cells = "".join(f" {_spread(bench.costs[name, number]):>22} |" for number in clients)
        print(f"| {title:<45} |{cells}")
        if name == "tuner":
            cells = "".join(f" {_spread(bench.clock_costs[name, number]):>22} |" for number in clients)
            print(f"| {'… of it while the clock runs':<45} |{cells}")
    for other in ("raw", "naive"):
        cells = "".join(f" {_ratio(bench.costs, other, number):>22.2f} |" for number in clients)
        print(f"| {f'tuner, times {TITLES[other]}':<45} |{cells}")


def _within_bounds(costs: Costs, clients: list[int], peers: dict[Peer, Path]) -> bool:
    return all(
        _ratio(costs, "raw", number) <= MOST_OF_RAW
        and _ratio(costs, "naive", number) <= MOST_OF_NAIVE
        and all(_ratio(costs, peer.name, number) < 1 for peer in peers if costs[peer.name, number])
        for number in clients
    )


def _ratio(costs: Costs, other: str, clients: int) -> float:
    """Of medians: rounds of one client are far enough apart to meet different neighbours."""
    return median(costs["tuner", clients]) / median(costs[other, clients])


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


@contextmanager
def _serving(binaries: Path, model: Path, folder: Path, slots: int) -> Iterator[str]:
    """One thread decodes, so that on two CPUs the client has one, as beside a GPU."""
    artifact = Artifact(
        server=binaries / "llama-server", key="", version="", flags=Settings(), build_s=0.0, cached=True
    )
    spec = LaunchSpec(
        artifact=artifact,
        model=model,
        args=Settings(parallel=slots, threads=1),
        env=Settings(),
        context_per_request=CONTEXT,
        log=folder / "server.log",
    )
    with ProcessLauncher(SystemClock()).launch(spec) as running:
        yield running.info.base_url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU time of load generators for each token")
    parser.add_argument("--bin", type=Path, help="folder with llama-server")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=1, help="of the rounds, how many have the peers")
    parser.add_argument("--requests", type=int, default=512)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--limit-s", type=float, default=600, help="for one run of one client")
    parser.add_argument("--quick", action="store_true", help="one round with fewer requests, no peers")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="builds, models and peers")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.peer_rounds, options.requests = 1, 0, 128
    return options


if __name__ == "__main__":
    sys.exit(main())
