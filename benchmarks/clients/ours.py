"""tuner's own load generator: records while the clock runs, decodes when it has stopped."""

from __future__ import annotations

import time

from benchmarks.clients.load import FIRST_TOKEN, VOCAB_SIZE, from_arguments, report
from tuner.load import ClosedLoopGenerator, Target
from tuner.model import ClosedLoop, RequestStatus


def main() -> None:
    load = from_arguments()
    started_cpu_s = time.process_time()
    workload = ClosedLoop(
        name="cost",
        clients=load.clients,
        requests=load.requests,
        prompt_tokens=load.prompt_tokens,
        output_tokens=load.output_tokens,
    )
    target = Target(base_url=load.url, vocab_size=VOCAB_SIZE, first_token=FIRST_TOKEN)
    run = ClosedLoopGenerator().run(workload, target, load.seed, lambda *_: None)
    if failed := [record.detail for record in run.records if record.status is not RequestStatus.OK]:
        raise SystemExit(f"{len(failed)} requests failed: {failed[0]}")
    chunks = sum(len(record.chunk_times_s) for record in run.records)
    report(started_cpu_s, chunks=chunks, clock_cpu_s=run.client_cpu_s)


if __name__ == "__main__":
    main()
