"""What one writes first: httpx streams lines, json parses each, the time is kept for each token."""

from __future__ import annotations

import asyncio
import json
import time

import httpx

from benchmarks.clients.load import Load, from_arguments, report


async def _run(load: Load) -> int:
    chunks = 0
    prompts = load.prompts()
    # A kept connection is sometimes closed by llama-server just when it is used again.
    async with httpx.AsyncClient(timeout=120, trust_env=False, headers={"Connection": "close"}) as http:

        async def work() -> None:
            nonlocal chunks
            for prompt in prompts:
                body = {
                    "prompt": prompt,
                    "n_predict": load.output_tokens,
                    "ignore_eos": True,
                    "cache_prompt": False,
                    "temperature": 0,
                    "stream": True,
                    "response_fields": ["timings", "tokens_predicted"],
                }
                times_s = []
                async with http.stream("POST", f"{load.url}/completion", json=body) as answer:
                    answer.raise_for_status()
                    async for line in answer.aiter_lines():
                        if line.startswith("data: "):
                            chunk = json.loads(line[len("data: ") :])
                            if chunk.get("content"):
                                times_s.append(time.perf_counter())
                chunks += len(times_s)

        await asyncio.gather(*(work() for _ in range(load.clients)))
    return chunks


if __name__ == "__main__":
    load = from_arguments()
    started_cpu_s = time.process_time()
    report(started_cpu_s, chunks=asyncio.run(_run(load)))
