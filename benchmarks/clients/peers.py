"""GuideLLM, AIPerf and llama-benchy: each in an environment of its own, asked for the same load.

They get what makes them cheapest: completions instead of chat where they can, one worker, no telemetry, no
display, prompts from a file. Their tokenizers are on hubs that a benchmark should not need, so one is written
for the synthetic model.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from string import ascii_lowercase

from benchmarks.clients.load import FIRST_TOKEN, VOCAB_SIZE, Load
from benchmarks.clients.spawn import ClientFailed

_BYTES_PER_WORD = 6
"""A word of the synthetic model that stands in a text is read byte by byte."""
_PROMPTS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another tool that measures servers."""

    name: str
    version: str
    endpoint: str
    command: Callable[[Path, Load], list[str]]
    """The arguments for a load; files are in the folder."""

    def install(self, cache: Path) -> Path:
        """The folder with its programs; made once. Raises ClientFailed."""
        folder = cache / "peers" / f"{self.name}-{self.version}"
        stamp = folder / "installed"
        if not stamp.exists():
            print(f"installing {self.name} {self.version} into {folder}", file=sys.stderr)
            folder.mkdir(parents=True, exist_ok=True)
            pip = ["-m", "pip", "install", "--quiet", f"{self.name}=={self.version}"]
            for command in ([sys.executable, "-m", "venv", folder], [folder / "bin" / "python", *pip]):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    lines = (done.stderr + done.stdout).strip().splitlines()
                    raise ClientFailed(f"cannot be installed: {lines[-1] if lines else done.returncode}")
            stamp.touch()
        return folder / "bin"


def _guidellm(folder: Path, load: Load) -> list[str]:
    return [
        "guidellm", "run", "--disable-console",
        "--backend", f"kind=openai_http,target={load.url},request_format=/v1/completions,model=tiny",
        "--profile", f"kind=concurrent,streams={load.clients}",
        "--constraint", f"kind=max_requests,count={load.requests}",
        "--tokenizer", f"kind=huggingface_auto,model={folder / 'tokenizer'}",
        "--data", f"kind=json_file,path={folder / 'guidellm.json'}",
        "--output", f"kind=json,path={folder / 'guidellm-report.json'}",
    ]  # fmt: skip


def _aiperf(folder: Path, load: Load) -> list[str]:
    return [
        "aiperf", "profile", "--model", "tiny", "--url", load.url, "--endpoint-type", "completions",
        "--streaming", "--concurrency", str(load.clients), "--request-count", str(load.requests),
        "--input-file", str(folder / "aiperf.jsonl"), "--custom-dataset-type", "single_turn",
        "--tokenizer", str(folder / "tokenizer"), "--extra-inputs", f"max_tokens:{load.output_tokens}",
        "--extra-inputs", "ignore_eos:true", "--ui", "none", "--artifact-dir", str(folder / "aiperf"),
        "--no-gpu-telemetry", "--no-server-metrics", "--use-server-token-count", "--workers-max", "1",
        "--export-level", "summary",
    ]  # fmt: skip


def _llama_benchy(folder: Path, load: Load) -> list[str]:
    book = (folder / "book.url").read_text()
    return [
        "llama-benchy", "--base-url", f"{load.url}/v1", "--model", "tiny",
        "--tokenizer", str(folder / "tokenizer"), "--pp", str(load.prompt_tokens // _BYTES_PER_WORD),
        "--tg", str(load.output_tokens), "--exact-tg", "--runs", str(load.requests // load.clients),
        "--concurrency", str(load.clients), "--no-cache", "--book-url", book, "--latency-mode", "none",
        "--no-warmup", "--skip-coherence", "--no-adapt-prompt", "--format", "json",
        "--save-result", str(folder / "llama-benchy.json"),
    ]  # fmt: skip


PEERS = (
    Peer(name="guidellm", version="0.8.1", endpoint="/v1/completions", command=_guidellm),
    Peer(name="aiperf", version="0.13.0", endpoint="/v1/completions", command=_aiperf),
    Peer(name="llama-benchy", version="0.4.0", endpoint="/v1/chat/completions", command=_llama_benchy),
)


@contextmanager
def peers_files(folder: Path, prompt_tokens: int, output_tokens: int) -> Iterator[None]:
    """Write what the peers read, and serve the book that llama-benchy wants to download."""
    words = ["".join(word) for word in islice(product(ascii_lowercase, repeat=3), VOCAB_SIZE - FIRST_TOKEN)]
    _write_tokenizer(folder / "tokenizer", words)
    draw = random.Random(1)  # noqa: S311 - prompts, not secrets
    length = prompt_tokens // _BYTES_PER_WORD
    prompts = [" ".join(draw.choices(words, k=length)) for _ in range(_PROMPTS)]
    (folder / "guidellm.json").write_text(
        "\n".join(
            json.dumps({"prompt": text, "prompt_tokens_count": length, "output_tokens_count": output_tokens})
            for text in prompts
        )
    )
    (folder / "aiperf.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in prompts))
    book = folder / "book"
    book.mkdir(exist_ok=True)
    (book / "book.txt").write_text(" ".join(draw.choices(words, k=50_000)))
    serve = functools.partial(_Quiet, directory=str(book))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (folder / "book.url").write_text(f"http://127.0.0.1:{server.server_port}/book.txt")
        try:
            yield
        finally:
            server.shutdown()


def peers_environment(folder: Path) -> dict[str, str]:
    """Caches and settings of theirs stay in `folder`; nothing is asked of a hub or reported to anybody."""
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Nothing."""


def _write_tokenizer(folder: Path, words: list[str]) -> None:
    special = ["<unk>", "<s>", "</s>"]
    vocabulary = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    added = [
        {"id": number, "content": token, "special": True}
        | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        for number, token in enumerate(special)
    ]
    model = {
        "type": "WordLevel",
        "vocab": {token: number for number, token in enumerate(vocabulary)},
        "unk_token": "<unk>",
    }
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": added,
                "pre_tokenizer": {"type": "WhitespaceSplit"},
                "model": model,
            }
            | dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
        )
    )
    names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192} | names)
    )
