#!/usr/bin/env python3
"""A stand-in for llama-server, for faults that the real one will not produce on demand.

It parses its command line with the real `--help` text of one version, listens, answers /health, /props,
/metrics, /v1/models, /tokenize, POST /completion and /v1/chat/completions as that version does, with a
prompt cache, and sleeps where the real one computes. A word of text is a token.
How fast it is and what goes wrong is a `Behaviour`, passed as JSON in a first argument `--behaviour=JSON`
(`tests.fakes.install_fake` writes an executable `llama-server` that does). Standard library only, no
module that is slow to import, and one file because it is run by its path, outside of any package.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import zlib
from dataclasses import asdict, dataclass, fields
from itertools import takewhile
from operator import eq
from pathlib import Path
from types import CodeType

BUILD_INFO = {"0.3.1": "b1-c919d5d", "0.3.16": "b1-4227c9b", "0.3.36": "b1-0c1e570"}
HELP = Path(__file__).parent / "help"


@dataclass(frozen=True)
class Behaviour:
    """What this fake is like. Speeds and conditions are Python expressions over the server's arguments
    (`ubatch_size`, `threads`, `parallel`, …: long names with underscores, numbers where they are numbers,
    llama-server's defaults where they are not given), `slots` (how many there are), `busy` (slots at work),
    `env("NAME")`, min, max, abs.
    """

    version: str = "0.3.36"
    """Whose arguments, /props and /metrics: 0.3.1, 0.3.16 or 0.3.36."""
    decode_tokens_per_s: str = "4000"
    """Of one slot, while `busy` slots decode."""
    prefill_tokens_per_s: str = "100000"
    launch_noise: float = 0.0
    """Relative standard deviation of the speed between launches."""
    tokens_per_chunk: int = 1
    vocab_size: int = 32000
    extra_log: str = ""
    """Printed while starting, whatever happens then."""

    # faults
    only_when: str = "True"
    """The faults below happen only where this expression over the arguments holds."""
    only_first_launches: int | None = None
    """The faults below happen only in the first so many launches (counted in a file next to the wrapper)."""
    slow_start_s: float = 0.0
    never_ready: bool = False
    port_taken: bool = False
    exit_while_starting: int | None = None
    """The exit code; 128 + N: dies of signal N."""
    starting_log: str = ""
    """Printed before that exit."""
    crash_after_requests: int | None = None
    """Dies in the middle of the request after so many."""
    crash_signal: int = signal.SIGABRT
    """0: exits with code 1 instead."""
    crash_log: str = ""
    eat_memory_bytes: int | None = None
    """Takes so much memory while starting, or with `crash_after_requests` before that crash."""
    stall_after_tokens: int | None = None
    cut_stream_after_tokens: int | None = None
    error_500_every: int | None = None
    """1: every request."""
    error_message: str = "Compute error."
    unavailable_requests: int = 0
    """The first so many are answered with 503, as by a server that is loading its model again."""
    garbage: bool = False
    """Chunks that are not JSON."""
    truncate_to: int | None = None
    """Answers end after so many tokens, with `truncated: true`."""
    stop_after: int | None = None
    """Answers end after so many tokens as if the model had ended them (`stop_type: eos`)."""
    wrong_model_path: str | None = None
    slots: int | None = None
    """total_slots of /props, whatever was asked for."""
    context_per_slot: int | None = None
    """n_ctx of /props, whatever was asked for."""
    router: bool = False
    """/props of the router mode: no slots."""
    ignore_sigterm: bool = False
    hang_on_shutdown: bool = False
    """Takes SIGTERM, says so in the log, and never ends."""


FAULTS = frozenset(field.name for field in fields(Behaviour)) - {
    "version",
    "decode_tokens_per_s",
    "prefill_tokens_per_s",
    "launch_noise",
    "tokens_per_chunk",
    "vocab_size",
    "extra_log",
}


def say(text: str) -> None:
    os.write(2, (text.rstrip("\n") + "\n").encode())


# --- the command line ---------------------------------------------------------------------------------


class Argument:
    """One entry of --help."""

    def __init__(self, names: list[str], values: int, text: str) -> None:
        self.names = names
        self.values = values
        self.text = text
        longs = [name[2:] for name in names if name.startswith("--")]
        self.key = (longs or [names[0][1:]])[-1 if longs and "n-gpu-layers" in longs else 0]

    @property
    def removed(self) -> bool:
        return "argument has been removed" in self.text


_TABLES: dict[str, dict[str, Argument]] = {}


def read_help(version: str) -> dict[str, Argument]:
    """Arguments by every spelling."""
    if version in _TABLES:
        return _TABLES[version]
    table = _TABLES[version] = {}
    current: Argument | None = None
    for line in (HELP / f"{version}.txt").read_text().splitlines():
        if line.startswith("-") and not line.startswith("---"):
            same_line = len(line) > 40 and not line[37:40].strip()
            words = (line[:40] if same_line else line).replace(",", " , ").split()
            names, hint = [words[0]], words[1:]
            while len(hint) > 1 and hint[0] == "," and hint[1].startswith("-"):
                names.append(hint[1])
                hint = hint[2:]
            values = 0 if not hint else 2 if len(hint) == 2 and hint[1].isupper() else 1
            current = Argument(names, values, line[40:] if same_line else "")
            for name in names:
                table[name] = current
        elif current is not None:
            current.text += " " + line.strip()
    return table


DEFAULTS: dict[str, object] = {
    "ubatch_size": 512,
    "batch_size": 2048,
    "threads": 2,
    "ctx_size": 4096,
    "host": "127.0.0.1",
    "port": 8080,
    "model": "",
    "cache_type_k": "f16",
    "cache_type_v": "f16",
    "flash_attn": "auto",
    "n_gpu_layers": 0,
    "metrics": False,
    "kv_unified": False,
}
INTEGERS = {"threads", "ctx-size", "batch-size", "ubatch-size", "parallel", "port", "threads-batch", "poll"}


def parse(words: list[str], version: str) -> dict[str, object]:
    """Arguments with underscores in their names. Prints and exits as llama-server does."""
    table = read_help(version)
    found: dict[str, object] = dict(DEFAULTS, parallel=-1 if version == "0.3.36" else 1)
    position = 0
    while position < len(words):
        word = words[position]
        argument = table.get(word)
        if argument is None:
            say(f"error: invalid argument: {word}")
            sys.exit(1)
        if argument.removed:
            refuse(word, argument.text.strip(), argument)
        if word == "--version":
            say(f"version: 0.5.0-dev (build 1, commit {BUILD_INFO[version][3:]})\nbuilt with a pencil")
            sys.exit(0)
        if word in ("-h", "--help", "--usage"):
            sys.stdout.write((HELP / f"{version}.txt").read_text())
            sys.exit(0)
        if word == "--completion-bash":
            sys.stdout.write(f'    opts="{" ".join(table)}"\n')
            sys.exit(0)
        values = words[position + 1 : position + 1 + argument.values]
        if len(values) < argument.values:
            refuse(word, "expected value for argument", argument)
        position += 1 + argument.values
        key = argument.key.replace("-", "_")
        if not values:
            if argument.key.startswith("no-"):
                found[key] = word != f"--{argument.key[3:]}"
            else:
                found[key] = not word.startswith(("--no-", "-no-", "-nocb", "-nkvo"))
        elif argument.key in INTEGERS:
            try:
                found[key] = int(values[0])
            except ValueError:
                refuse(word, "stoi", argument)
        elif argument.key == "flash-attn" and values[0] not in ("on", "off", "auto", "1", "0", "-1"):
            refuse(word, f"error: unknown value for --flash-attn: '{values[0]}'\n", argument)
        elif "allowed values:" in argument.text and values[0] not in argument.text:
            refuse(word, f"Unsupported cache type: {values[0]}", argument)
        else:
            found[key] = int(values[0]) if values[0].lstrip("-").isdigit() else values[0]
    asked = int(str(found["parallel"]))
    found["slots"] = asked if asked > 0 else 4
    return found


def refuse(word: str, reason: str, argument: Argument) -> None:
    say(f'error while handling argument "{word}": {reason}\n\nusage:\n{", ".join(argument.names)}')
    say("\n\nto show complete usage, run with -h")
    sys.exit(1)


# --- the server ---------------------------------------------------------------------------------------


class Server:
    """State that all connections share."""

    def __init__(self, behaviour: Behaviour, args: dict[str, object]) -> None:
        self.behaviour = behaviour
        self.args = args
        self.version = behaviour.version
        self.ready = threading.Event()
        parallel = int(str(args["parallel"]))
        unified = bool(args["kv_unified"]) or parallel < 1
        self.total_slots = int(str(args["slots"]))
        context = int(str(args["ctx_size"])) or 4096
        self.context = (context if unified else -(-context // self.total_slots)) or 1
        if self.version == "0.3.36":
            self.context = -(-self.context // 256) * 256
        self.slots = threading.Semaphore(self.total_slots)
        self.lock = threading.Lock()
        self.requests = 0
        self.cached: list[list[int]] = []
        """What was computed, latest last: prompts with their answers."""
        self.busy = 0
        self.deferred = 0
        self.counters = dict.fromkeys(
            (
                "prompt_tokens_total",
                "prompt_tokens_cached_total",
                "prompt_seconds_total",
                "tokens_predicted_total",
                "tokens_predicted_seconds_total",
                "n_decode_total",
            ),
            0.0,
        )
        self.decode_code = compile(behaviour.decode_tokens_per_s, "decode_tokens_per_s", "eval")
        self.prefill_code = compile(behaviour.prefill_tokens_per_s, "prefill_tokens_per_s", "eval")
        self.factor = 1.0
        if behaviour.launch_noise:
            import random  # slow to import, and rarely wanted

            self.factor = max(0.05, random.gauss(1.0, behaviour.launch_noise))

    def speed(self, code: CodeType) -> float:
        return max(1e-3, self.factor * float(str(evaluate(code, self.args, max(1, self.busy)))))

    def find_cached(self, prompt: list[int]) -> int:
        """How many tokens at its beginning were computed before; the last of it always is computed anew."""
        if self.args.get("no_cache_prompt"):
            return 0
        with self.lock:
            known = [sum(1 for _ in takewhile(bool, map(eq, prompt, old))) for old in self.cached]
        return min(max(known, default=0), len(prompt) - 1)

    def die(self) -> None:
        if self.behaviour.crash_log:
            say(self.behaviour.crash_log)
        if self.behaviour.eat_memory_bytes is not None:
            eat_memory(self.behaviour.eat_memory_bytes)
        end(1 if self.behaviour.crash_signal == 0 else 128 + self.behaviour.crash_signal)


def evaluate(code: str | CodeType, args: dict[str, object], busy: int = 1) -> object:
    scope = {**args, "busy": busy, "env": lambda name: os.environ.get(name, "")}
    scope.update(min=min, max=max, abs=abs, __builtins__={})
    return eval(code, scope)  # noqa: S307 - the tests' own expressions


def eat_memory(size_bytes: int) -> None:
    """Take so much, touched, and keep it for a moment: the limit's killer needs no more."""
    taken = b"x" * size_bytes
    time.sleep(5)
    say(f"{len(taken)} bytes were to be had")


def end(code: int) -> None:
    """Exit at once; codes above 128 by that signal."""
    if code > 128:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), code - 128)
        time.sleep(5)
    os._exit(code)


class Gone(Exception):
    """The client hung up."""


class Connection:
    """One client's connection: requests until it closes."""

    def __init__(self, server: Server, peer: socket.socket) -> None:
        self.server = server
        self.peer = peer
        self.received = b""
        self.close = False

    def serve(self) -> None:
        try:
            while not self.close and self.one():
                pass
        except (Gone, OSError):
            pass
        finally:
            self.peer.close()

    def one(self) -> bool:
        while b"\r\n\r\n" not in self.received:
            if not self.more():
                return False
        head, self.received = self.received.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, *_ = [*lines[0].split(" "), "", ""]
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0") or 0)
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self.received) < length:
            if not self.more():
                return False
        body, self.received = self.received[:length], self.received[length:]
        self.close = headers.get("connection", "").lower() == "close"
        self.route(method, target.split("?")[0], body)
        return True

    def more(self) -> bool:
        data = self.peer.recv(65536)
        self.received += data
        return bool(data)

    def send(self, data: bytes) -> None:
        try:
            self.peer.sendall(data)
        except OSError as error:
            raise Gone from error

    def reply(self, status: int, payload: object, kind: str = "application/json; charset=utf-8") -> None:
        reasons = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
        body = payload.encode() if isinstance(payload, str) else json.dumps(payload).encode()
        self.close = self.close or status >= 400
        connection = "Connection: close" if self.close else "Keep-Alive: timeout=5, max=100"
        self.send(
            f"HTTP/1.1 {status} {reasons.get(status, 'Service Unavailable')}\r\nServer: llama.cpp\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n{connection}\r\n\r\n".encode()
            + body
        )

    def fail(self, status: int, message: str, kind: str, **extra: object) -> None:
        self.reply(status, {"error": {"code": status, "message": message, "type": kind, **extra}})

    def route(self, method: str, path: str, body: bytes) -> None:
        server = self.server
        if not server.ready.is_set():
            self.fail(503, "Loading model", "unavailable_error")
        elif path == "/health":
            self.reply(200, {"status": "ok"})
        elif path == "/props":
            self.reply(200, props(server))
        elif path in ("/v1/models", "/models"):
            model = str(server.args["model"])
            meta = {"n_vocab": server.behaviour.vocab_size, "n_ctx_train": 32768}
            self.reply(200, {"object": "list", "data": [{"id": model, "object": "model", "meta": meta}]})
        elif path == "/metrics" and server.args["metrics"]:
            self.reply(200, metrics(server), "text/plain; version=0.0.4")
        elif path == "/metrics":
            self.fail(501, "This server does not support metrics endpoint.", "not_supported_error")
        elif path in ("/completion", "/completions") and method == "POST":
            self.complete(body, chat=False)
        elif path == "/v1/chat/completions" and method == "POST":
            self.complete(body, chat=True)
        elif path == "/tokenize" and method == "POST":
            self.reply(200, {"tokens": words_to_tokens(str(json.loads(body)["content"]))})
        else:
            self.fail(404, "File Not Found", "not_found_error")

    def complete(self, body: bytes, *, chat: bool) -> None:
        server, behaviour = self.server, self.server.behaviour
        try:
            asked = json.loads(body)
            prompt = apply_template(asked["messages"]) if chat else read_prompt(asked["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            self.fail(500, f"[json.exception.parse_error.101] {error}", "server_error")
            return
        prompt_tokens = len(prompt)
        if prompt_tokens >= server.context:
            self.fail(
                400,
                f"request ({prompt_tokens} tokens) exceeds the available context size ({server.context} "
                "tokens), try increasing it",
                "exceed_context_size_error",
                n_prompt_tokens=prompt_tokens,
                n_ctx=server.context,
            )
            return
        with server.lock:
            server.requests += 1
            number = server.requests
            server.deferred += 1
        with server.slots:
            with server.lock:
                server.deferred -= 1
                server.busy += 1
            try:
                if number <= behaviour.unavailable_requests:
                    self.fail(503, "Loading model", "unavailable_error")
                    return
                if behaviour.error_500_every and number % behaviour.error_500_every == 0:
                    self.fail(500, behaviour.error_message, "server_error")
                    return
                self.generate(asked, prompt, number, chat=chat)
            finally:
                with server.lock:
                    server.busy -= 1

    def generate(self, asked: dict[str, object], prompt: list[int], number: int, *, chat: bool) -> None:
        server, behaviour = self.server, self.server.behaviour
        prompt_tokens = len(prompt)
        stream = bool(asked.get("stream"))
        wanted = int(str(asked.get("max_tokens" if chat else "n_predict", -1)))
        wanted = wanted if wanted >= 0 else 64
        room = server.context - prompt_tokens
        limits = [limit for limit in (behaviour.truncate_to, behaviour.stop_after) if limit is not None]
        answer = min([wanted, room, *limits])
        truncated = answer < wanted and (behaviour.truncate_to is not None or room < wanted)

        started = time.perf_counter()
        cached = server.find_cached(prompt) if asked.get("cache_prompt", True) else 0
        fresh = prompt_tokens - cached
        time.sleep(fresh / server.speed(server.prefill_code))
        prompt_s = time.perf_counter() - started
        with server.lock:
            server.counters["prompt_tokens_total"] += fresh
            server.counters["prompt_tokens_cached_total"] += cached
            server.counters["prompt_seconds_total"] += prompt_s
            ubatch = max(1, int(str(server.args["ubatch_size"])))
            server.counters["n_decode_total"] += -(-fresh // ubatch)
        if stream:
            self.send(
                b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nX-Accel-Buffering: no\r\n"
                b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
                + (b"Connection: close\r\n" if self.close else b"")
                + b"\r\n"
            )
        decode_started = due = time.perf_counter()
        done = 0
        said: list[int] = []
        if stream and chat:
            self.chat_event({"role": "assistant", "content": None})
        while done < answer:
            step = min(behaviour.tokens_per_chunk, answer - done)
            due += step / server.speed(server.decode_code)
            delay = due - time.perf_counter()
            if delay > 0:
                time.sleep(delay)
            done += step
            said += words_to_tokens(" word" * step) if chat else [7 + done] * step
            with server.lock:
                server.counters["n_decode_total"] += step / max(1, server.busy)
            if stream and chat and not behaviour.garbage:
                self.chat_event({"content": " word" * step})
            elif stream:
                self.event(
                    "not json at all {"
                    if behaviour.garbage
                    else {
                        "index": 0,
                        "content": " word" * step,
                        "tokens": [7 + done] * step,
                        "stop": False,
                        "id_slot": -1,
                        "tokens_predicted": done,
                        "tokens_evaluated": prompt_tokens,
                    }
                )
            if behaviour.crash_after_requests is not None and number > behaviour.crash_after_requests:
                server.die()
            if behaviour.stall_after_tokens is not None and done >= behaviour.stall_after_tokens:
                time.sleep(3600)
            if behaviour.cut_stream_after_tokens is not None and done >= behaviour.cut_stream_after_tokens:
                self.peer.shutdown(socket.SHUT_RDWR)
                raise Gone
        decode_s = time.perf_counter() - decode_started
        with server.lock:
            server.counters["tokens_predicted_total"] += answer
            server.counters["tokens_predicted_seconds_total"] += decode_s
            server.cached = [*server.cached[-_MOST_CACHED:], [*prompt, *said]]
        timings = {
            "cache_n": cached,
            "prompt_n": fresh,
            "prompt_ms": prompt_s * 1e3,
            "prompt_per_token_ms": prompt_s * 1e3 / max(1, fresh),
            "prompt_per_second": fresh / max(prompt_s, 1e-9),
            "predicted_n": answer,
            "predicted_ms": decode_s * 1e3,
            "predicted_per_token_ms": decode_s * 1e3 / max(1, answer),
            "predicted_per_second": answer / max(decode_s, 1e-9),
        }
        if server.version != "0.3.36":
            del timings["cache_n"]
        if stream and chat:
            # Neither response_fields nor `truncated` here; usage and timings come after the last delta.
            self.chat_event({}, finish_reason="length" if answer == wanted else "stop")
            usage = {"completion_tokens": answer, "prompt_tokens": prompt_tokens}
            self.event({"choices": [], "object": "chat.completion.chunk", "usage": usage, "timings": timings})
            self.event("[DONE]")
            self.send(b"0\r\n\r\n")
            return
        last: dict[str, object] = {
            "index": 0,
            "content": "" if stream else " word" * answer,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": str(server.args["model"]),
            "tokens_predicted": answer,
            "tokens_evaluated": prompt_tokens,
            "stop_type": "limit" if truncated or answer == wanted else "eos",
            "stopping_word": "",
            "tokens_cached": prompt_tokens + answer - 1,
            "truncated": truncated,
            "timings": timings,
        }
        if server.version == "0.3.1":
            # That version knows neither response_fields nor stop_type.
            del last["stop_type"], last["tokens"]
            last["stopped_limit"] = truncated or answer == wanted
            last["stopped_eos"] = not last["stopped_limit"]
        elif isinstance(wanted_fields := asked.get("response_fields"), list) and wanted_fields:
            last = {name: last[name] for name in wanted_fields if name in last}
        if stream:
            self.event(last)
            self.send(b"0\r\n\r\n")
        else:
            self.reply(200, last)

    def chat_event(self, delta: dict[str, object], finish_reason: str | None = None) -> None:
        choice = {"finish_reason": finish_reason, "index": 0, "delta": delta}
        self.event({"choices": [choice], "object": "chat.completion.chunk"})

    def event(self, payload: object) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
        data = f"data: {text}\n\n".encode()
        self.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")


_MOST_CACHED = 64
_ROLES = {"system": 1, "user": 2, "assistant": 3}


def words_to_tokens(text: str) -> list[int]:
    """An id for each word, the same for the same word."""
    return [4 + zlib.crc32(word.encode()) % 28000 for word in text.split()]


def read_prompt(prompt: object) -> list[int]:
    """A text, or ids and texts in one list. Texts begin with a token of their own, as a BOS."""
    if not isinstance(prompt, list):
        return [0, *words_to_tokens(str(prompt))]
    parts = [[part] if isinstance(part, int) else words_to_tokens(part) for part in prompt]
    return [token for part in parts for token in part]


def apply_template(messages: list[dict[str, str]]) -> list[int]:
    """Each message behind a token for its role, and one at the end for who speaks now."""
    tokens = []
    for message in messages:
        tokens += [_ROLES[message["role"]], *words_to_tokens(message["content"])]
    return [*tokens, _ROLES["assistant"]]


def props(server: Server) -> dict[str, object]:
    behaviour = server.behaviour
    if behaviour.router:
        return {"role": "router", "build_info": BUILD_INFO[server.version], "model_path": ""}
    told: dict[str, object] = {
        "default_generation_settings": {
            "n_ctx": server.context if behaviour.context_per_slot is None else behaviour.context_per_slot,
            "params": {"seed": 4294967295},
        },
        "total_slots": server.total_slots if behaviour.slots is None else behaviour.slots,
        "chat_template": "",
    }
    if server.version != "0.3.1":
        told["model_path"] = behaviour.wrong_model_path or str(server.args["model"])
        told["build_info"] = BUILD_INFO[server.version]
    return told


def metrics(server: Server) -> str:
    with server.lock:
        counters = {**server.counters, "n_decode_total": round(server.counters["n_decode_total"])}
        gauges = {"requests_processing": server.busy, "requests_deferred": server.deferred}
    if server.version != "0.3.36":
        del counters["prompt_tokens_cached_total"]
    lines = []
    for kind, values in (("counter", counters), ("gauge", gauges)):
        for name, value in values.items():
            number = f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else f"{value:.0f}"
            lines += [f"# HELP llamacpp:{name} As llama-server has it.", f"# TYPE llamacpp:{name} {kind}"]
            lines.append(f"llamacpp:{name} {number}")
    return "\n".join(lines) + "\n"


# --- starting -----------------------------------------------------------------------------------------


def without_faults(behaviour: Behaviour) -> Behaviour:
    return Behaviour(**{name: value for name, value in asdict(behaviour).items() if name not in FAULTS})


def count_launch(path: str) -> int:
    """This launch's number, from 1; a byte of the file for each."""
    if not path:
        return 1
    with open(path, "ab") as counter:  # noqa: PTH123 - quicker than pathlib, and locks nothing
        counter.write(b".")
        counter.flush()
        return counter.tell()


def main() -> None:
    words = sys.argv[1:]
    behaviour, counter = Behaviour(), ""
    while words and words[0].startswith(("--behaviour=", "--counter=")):
        name, _, value = words.pop(0).partition("=")
        if name == "--behaviour":
            behaviour = Behaviour(**json.loads(value))
        else:
            counter = value
    args = parse(words, behaviour.version)
    say("fake llama-server: initializing ...")
    launch = count_launch(counter)
    first = behaviour.only_first_launches
    if not evaluate(behaviour.only_when, args) or (first is not None and launch > first):
        behaviour = without_faults(behaviour)
    if behaviour.extra_log:
        say(behaviour.extra_log)

    def on_sigterm(*_: object) -> None:
        say("cleaning up before exit...")
        if not behaviour.hang_on_shutdown:
            os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour.ignore_sigterm else on_sigterm)
    signal.signal(signal.SIGINT, on_sigterm)

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    host, port = str(args["host"]), int(str(args["port"]))
    try:
        if behaviour.port_taken:
            raise OSError("as the test wants it")
        listener.bind((host, port))
        listener.listen(256)
    except OSError:
        say(f"start: couldn't bind HTTP server socket, hostname: {host}, port: {port}")
        sys.exit(1)
    server = Server(behaviour, args)

    def load() -> None:
        time.sleep(behaviour.slow_start_s)
        if behaviour.exit_while_starting is not None:
            say(behaviour.starting_log)
            end(behaviour.exit_while_starting)
        if behaviour.eat_memory_bytes is not None and behaviour.crash_after_requests is None:
            eat_memory(behaviour.eat_memory_bytes)
        model = str(args["model"])
        if not behaviour.router and not os.path.isfile(model):  # noqa: PTH113 - as above
            say(f"gguf_init_from_file: failed to open GGUF file '{model}' (No such file or directory)")
            say(f"common_init_from_params: failed to load model '{model}'")
            say("main: exiting due to model loading error")
            end(1)
        if not behaviour.never_ready:
            server.ready.set()
            say(f"main: model loaded\nmain: server is listening on http://{host}:{port}")

    threading.Thread(target=load, daemon=True).start()

    def accept() -> None:
        while True:
            peer, _ = listener.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(server, peer).serve, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
