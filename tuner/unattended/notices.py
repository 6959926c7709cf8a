"""Tells somebody who is elsewhere how a run ended: by a command, or by a POST to a webhook.

Nothing that is told here may fail a study, and neither the webhook's address nor its token, which are
credentials, may stand in a message.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tuner.unattended.command import run_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is told."""

    study: str
    event: str
    """done, interrupted or failed."""
    message: str
    trials: int
    time: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Where to; None: not there."""

    command: tuple[str, ...] | None
    """Gets the notice as JSON on its standard input."""
    runs_in: Path
    """Where the command runs: the study file's folder."""
    url_env: str | None
    """The environment variable that holds the webhook's URL."""
    token_env: str | None
    """The environment variable that holds a bearer token for it."""
    timeout_s: float
    """Of each."""


class Notifier:
    """Sends notices; whatever fails is told to `say`."""

    def __init__(
        self, channels: Channels, say: Callable[[str], None], environment: Mapping[str, str] = os.environ
    ) -> None:
        self._channels = channels
        self._say = say
        self._environment = environment

    def check(self) -> None:
        """Tell of what is missing now, and not in the morning."""
        for name in (self._channels.url_env, self._channels.token_env):
            if name is not None and not self._environment.get(name):
                self._say(f"notify: the environment variable {name} is not set, so nobody will be notified")
        url = self._environment.get(self._channels.url_env or "")
        if url and (why := _why_no_url(url)) is not None:
            self._say(f"notify: what is in {self._channels.url_env} {why}")

    def send(self, notice: Notice) -> None:
        """By every channel. Raises nothing but an interrupt."""
        if self._channels.command is not None and (why := self._run(self._channels.command, notice)):
            self._say(f"notify: {self._channels.command[0]} {why}")
        url = self._environment.get(self._channels.url_env or "")
        if url and (why := self._post(url, notice)):
            self._say(f"notify: the webhook {why}")

    def _run(self, command: tuple[str, ...], notice: Notice) -> str | None:
        secrets = {self._channels.url_env, self._channels.token_env}
        return run_command(
            command,
            folder=self._channels.runs_in,
            environment={name: value for name, value in self._environment.items() if name not in secrets},
            timeout_s=self._channels.timeout_s,
            output=subprocess.DEVNULL,
            told=(json.dumps(asdict(notice)) + "\n").encode(),
        )

    def _post(self, url: str, notice: Notice) -> str | None:
        if (why := _why_no_url(url)) is not None:
            return why
        token = self._environment.get(self._channels.token_env or "")
        said = f"tuner study {notice.study} on {notice.host}: {notice.event}. {notice.message}"
        try:
            answer = httpx.post(
                url,
                # `text` is what Slack and Mattermost show, `content` what Discord does.
                json={**asdict(notice), "text": said, "content": said[:2000]},
                headers={"Authorization": f"Bearer {token}"} if token else None,
                timeout=self._channels.timeout_s,
                follow_redirects=False,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, UnicodeError) as error:
            # Its text may hold the address.
            return f"cannot be reached ({type(error).__name__})"
        return None if answer.is_success else f"answered with status {answer.status_code}"


def _why_no_url(url: str) -> str | None:
    """As the rest of a sentence that does not show it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    return None if usable else "has no http:// or https:// address"
