"""Notices reach a command and a webhook, their failures stay notes, and no credential is shown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tuner.unattended import Channels, Notice, Notifier

NOTICE = Notice(
    study="s",
    event="failed",
    message="the disk is full",
    trials=7,
    time="2026-11-28T03:00:00+00:00",
    host="h",
)


class Webhook:
    def __init__(self) -> None:
        self.got: list[tuple[str, Mapping[str, str], dict[str, object]]] = []
        self.status = 200
        self.delay_s = 0.0
        hook = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(hook.delay_s)
                self.send_response(hook.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks/s3cret?key=k3y"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


def channels(
    command: tuple[str, ...] | None = None, url_env: str | None = None, token_env: str | None = None
) -> Channels:
    return Channels(command=command, runs_in=Path("/"), url_env=url_env, token_env=token_env, timeout_s=1.0)


def send(to: Channels, environment: Mapping[str, str]) -> list[str]:
    said: list[str] = []
    Notifier(to, said.append, environment).send(NOTICE)
    return said


def test_a_webhook_gets_json_and_the_token(webhook: Webhook) -> None:
    environment = {"HOOK": webhook.url, "TOKEN": "t0ken"}
    assert send(channels(url_env="HOOK", token_env="TOKEN"), environment) == []  # noqa: S106  a variable's name
    [(path, headers, told)] = webhook.got
    assert path == "/hooks/s3cret?key=k3y"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["Content-Type"] == "application/json"
    assert (told["study"], told["event"], told["message"], told["trials"]) == (
        "s",
        "failed",
        "the disk is full",
        7,
    )
    assert told["text"] == told["content"] == "tuner study s on h: failed. the disk is full"


def test_a_command_gets_json_on_its_standard_input_and_no_credential(tmp_path: Path) -> None:
    said = send(
        channels(("sh", "-c", f"cat > {tmp_path}/told; env > {tmp_path}/env"), url_env="HOOK"),
        {"PATH": "/usr/bin:/bin", "HOOK": "", "TUNER_STORAGE": "postgresql://me:secret@db/x"},
    )
    assert said == []
    assert json.loads((tmp_path / "told").read_text())["event"] == "failed"
    assert "secret" not in (tmp_path / "env").read_text()
    assert "HOOK" not in (tmp_path / "env").read_text()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("false",), "false ended with code 1"),
        (("no-such-program-at-all",), "cannot be run"),
        (("sleep", "60"), "took longer than 1 s"),
    ],
)
def test_a_command_that_fails_is_a_note(command: tuple[str, ...], told: str) -> None:
    [said] = send(channels(command), {"PATH": "/usr/bin:/bin"})
    assert told in said


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9/s3cret", "cannot be reached (ConnectError)"),
        ("https://s3cret@[::1/x", "has no http"),
        ("file:///etc/s3cret", "has no http"),
        ("s3cret", "has no http"),
        ("http:///s3cret", "has no http"),
        ("http://127.0.0.1:99999/s3cret", "cannot be reached"),
        ("http://ex ample/s3cret", "cannot be reached"),
    ],
)
def test_a_webhook_that_cannot_be_reached_is_a_note_without_its_address(url: str, told: str) -> None:
    [said] = send(channels(url_env="HOOK"), {"HOOK": url})
    assert told in said
    assert "s3cret" not in said


def test_a_webhook_that_refuses_or_hangs_is_a_note(webhook: Webhook) -> None:
    for status in (500, 302):
        webhook.status = status
        [said] = send(channels(url_env="HOOK"), {"HOOK": webhook.url})
        assert said == f"notify: the webhook answered with status {status}"
    assert len(webhook.got) == 2, "a redirect is not followed: it could carry the token elsewhere"
    webhook.delay_s = 3.0
    [said] = send(channels(url_env="HOOK"), {"HOOK": webhook.url})
    assert "ReadTimeout" in said


def test_what_is_missing_is_told_beforehand(webhook: Webhook) -> None:
    said: list[str] = []
    Notifier(channels(url_env="HOOK", token_env="TOKEN"), said.append, {"HOOK": "s3cret"}).check()  # noqa: S106
    assert ["TOKEN is not set" in said[0], "in HOOK has no http" in said[1]] == [True, True]
    said.clear()
    Notifier(channels(url_env="HOOK"), said.append, {"HOOK": webhook.url}).check()
    assert said == []
    assert webhook.got == []
