"""When a server counts as ready: /health says so, and /props are of the model that was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tuner.clock import Clock
from tuner.errors import LaunchFailed
from tuner.model import Reason

POLL_INTERVAL_S = 0.03
_REQUEST_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What /props has to say."""

    model: Path
    slots: int | None
    """None: whatever the server chose, as long as `context_tokens` is enough for all of them."""
    context_per_request: int
    context_tokens: int
    """ctx-size of the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a ready server says of itself."""

    slots: int
    context_per_slot: int | None
    build_info: str | None
    vocab_size: int | None


def wait_until_ready(
    base_url: str,
    expected: Expected,
    *,
    log: Path,
    running: Callable[[], bool],
    clock: Clock,
    timeout_s: float,
    poll_interval_s: float = POLL_INTERVAL_S,
) -> Ready | None:
    """Poll until the server is ready; None as soon as `running` says that it ended, whatever it answered.

    Raises LaunchFailed: not-ready-in-time after `timeout_s`; wrong-server when something else answers there;
    context-too-small when a slot holds less than was promised.
    """
    deadline_s = clock.monotonic_s() + timeout_s
    with _client(base_url) as client:
        said = "nothing listens"
        while running():
            status, said = _health(client, said)
            if status == 200:
                told = _props(client, log)
                if told is not None:
                    ready = check_props(told, expected, vocab_size=_vocabulary(client), log=log)
                    # A port can change hands between our child's death and this answer.
                    return ready if running() else None
            if clock.monotonic_s() >= deadline_s:
                raise LaunchFailed(
                    f"llama-server was not ready within {timeout_s:g} s ({said}) and was stopped; a larger"
                    f" model or a slower disk may need a longer limit; the log is {log}",
                    reason=Reason.NOT_READY_IN_TIME.value,
                    log=str(log),
                )
            clock.sleep(poll_interval_s)
    return None


def check_props(told: dict[str, Any], expected: Expected, *, vocab_size: int | None, log: Path) -> Ready:
    """Hold /props against what was asked for. Raises LaunchFailed (wrong-server, context-too-small)."""
    slots = told.get("total_slots")
    if not isinstance(slots, int) or isinstance(slots, bool):
        # The router mode, which a server without a model falls into, is healthy at once and has none.
        raise _wrong("its /props have no total_slots: it is not a llama-server with a loaded model", log)
    path = told.get("model_path")
    if isinstance(path, str) and not _same_file(path, expected.model):
        raise _wrong(f"it serves the model {path}, not {expected.model}", log)
    if expected.slots is not None and slots != expected.slots:
        raise _wrong(f"it has {slots} slots, not the {expected.slots} that were asked for", log)
    settings = told.get("default_generation_settings")
    context = settings.get("n_ctx") if isinstance(settings, dict) else None
    per_slot = context if isinstance(context, int) and not isinstance(context, bool) else None
    promise = expected.context_per_request
    if (per_slot is not None and per_slot < promise) or expected.context_tokens < promise * slots:
        holds = per_slot if per_slot is not None else expected.context_tokens // slots
        raise LaunchFailed(
            f"a slot holds {holds} tokens, and context_per_request promises {promise}: the model may have"
            " been trained with less context;"
            f" the log is {log}",
            reason=Reason.CONTEXT_TOO_SMALL.value,
            log=str(log),
        )
    build_info = told.get("build_info")
    return Ready(
        slots=slots,
        context_per_slot=per_slot,
        build_info=build_info if isinstance(build_info, str) else None,
        vocab_size=vocab_size,
    )


def _client(base_url: str) -> httpx.Client:
    # One connection for each request: llama-server closes idle ones under a pooled client's feet. No proxy
    # of the environment may stand between us and loopback.
    return httpx.Client(
        base_url=base_url,
        trust_env=False,
        timeout=_REQUEST_TIMEOUT_S,
        headers={"Connection": "close"},
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def _health(client: httpx.Client, before: str) -> tuple[int | None, str]:
    try:
        answer = client.get("/health")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return None, before if isinstance(error, httpx.ConnectError) else f"/health: {error!r}"
    return answer.status_code, f"/health answered {answer.status_code}"


def _props(client: httpx.Client, log: Path) -> dict[str, Any] | None:
    try:
        answer = client.get("/props")
    except httpx.HTTPError:
        return None
    if answer.status_code == 503:
        return None
    try:
        told = answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _wrong(f"its /props are not JSON (status {answer.status_code})", log) from error
    if answer.status_code != 200 or not isinstance(told, dict):
        raise _wrong(f"its /props answered with status {answer.status_code}", log)
    return told


def _vocabulary(client: httpx.Client) -> int | None:
    """n_vocab of /v1/models' `meta`; None where this version does not say."""
    try:
        told = client.get("/v1/models").json()
        size = told["data"][0]["meta"]["n_vocab"]
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        return None
    return size if isinstance(size, int) else None


def _same_file(told: str, model: Path) -> bool:
    return told == str(model) or Path(told).resolve() == model.resolve()


def _wrong(what: str, log: Path) -> LaunchFailed:
    return LaunchFailed(
        f"the server that answers is not the one that was asked for: {what}; the log is {log}",
        reason=Reason.WRONG_SERVER.value,
        log=str(log),
    )
