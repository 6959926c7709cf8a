"""Every state of a trial × every fault, on the real llama-server, a real PostgreSQL and a real Docker engine.

A study with two builds (a small tree whose llama-server becomes the real one) is brought into a state, and
met with a fault there. Each cell asserts how the run ends, that nothing completed is lost, that no process,
no container and no temporary file is left, and that the same command then finishes the study.

    python chaos/matrix.py                          # compiles llama-server first
    python chaos/matrix.py --bin FOLDER             # holds llama-server
    python chaos/matrix.py --faults SIGKILL hang    # some of it
    python chaos/matrix.py --grounds images         # only what runs in containers

The exit code is 1 when a cell fails. docs/reliability.md has the table.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.host.builds import build_programs, cache_folder, synthetic_model
from benchmarks.host.describe import describe_host, server_version
from chaos.cell import STATES, check_cell
from chaos.faults import FAULTS, IMAGES, PROGRAMS, Fault
from chaos.ground import EngineGround, Ground, HostGround
from tests.fixtures.engine import EngineStock
from tests.fixtures.postgres import Cluster, running_cluster


def main() -> int:
    options = _options()
    # A shell's background jobs ignore it, and so would the runs that are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.geteuid() != 0:
        raise SystemExit("only root may mount the small file systems that are filled")
    cache = options.cache.absolute()
    cache.mkdir(parents=True, exist_ok=True)
    binaries = options.bin.absolute() if options.bin else build_programs(cache)
    model = synthetic_model(cache, "tiny")
    faults = [fault for fault in FAULTS if not options.faults or fault.name in options.faults]
    failed = 0
    started_s = time.monotonic()
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster())
        for name in options.grounds:
            make_ground = _grounds(name, binaries, cache, stack)
            wanted = [fault for fault in faults if name in fault.grounds]
            results: dict[tuple[str, str], str] = {}
            for fault in wanted:
                for state in options.states:
                    result, good = _try(state, fault, make_ground(), cluster, model, options.trials)
                    failed += not good
                    results[state, fault.name] = result
                    print(f"{name}, {state}, {fault.name}: {result}", file=sys.stderr, flush=True)
            _print_table(name, wanted, options.states, results)
    print(f"\n{describe_host()}; {server_version(binaries)}; {time.monotonic() - started_s:.0f} s")
    return int(failed > 0)


def _grounds(name: str, binaries: Path, cache: Path, stack: ExitStack) -> Callable[[], Ground]:
    if name == PROGRAMS:
        return lambda: HostGround(binaries)
    stock = stack.enter_context(closing(EngineStock(cache)))
    engine, dockerd = stock.engine(), stock.daemon()
    return lambda: EngineGround(binaries, engine, dockerd)


def _try(
    state: str, fault: Fault, ground: Ground, cluster: Cluster, model: Path, trials: int
) -> tuple[str, bool]:
    """What became of a cell, and whether that is as it should be."""
    try:
        database = f"cell_{secrets.token_hex(4)}"
        return check_cell(state, fault, ground, cluster, model, database, trials=trials), True
    except AssertionError as error:
        print("\n".join(getattr(error, "__notes__", ())), file=sys.stderr)
        with suppress(RuntimeError):  # it may be there by now
            if fault.repair is not None and fault.name == "database lost":
                cluster.start()
            if isinstance(ground, EngineGround):
                ground.dockerd.ensure()
        return f"**{error.args[0]}**", False


def _print_table(
    ground: str, faults: list[Fault], states: list[str], results: dict[tuple[str, str], str]
) -> None:
    print(f"\n{ground}: exit code (reasons of the trials that did not complete)\n")
    print("| | " + " | ".join(states) + " |\n|---|" + "---|" * len(states))
    for fault in faults:
        print(f"| {fault.name} | " + " | ".join(results[state, fault.name] for state in states) + " |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="every state of a trial × every fault")
    parser.add_argument("--bin", type=Path, help="folder with llama-server")
    parser.add_argument("--faults", nargs="+", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--grounds", nargs="+", choices=(PROGRAMS, IMAGES), default=[PROGRAMS, IMAGES])
    parser.add_argument("--trials", type=int, default=2, help="of each study")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="builds, models, engine")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
