"""A systemd unit that runs a study and resumes it after a reboot, and how words are written in one.

Quoting follows systemd.syntax(7) and systemd.service(5), "Command lines"; golden files and `systemd-analyze
verify` hold it in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = "# Written by `tuner study install-service`, which overwrites it: changes belong in a drop-in."

_STOP_S: Final = 60
"""For the running trial to be dropped and its server to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One study as a service."""

    study: str
    run: tuple[str, ...]
    """The command that runs the study; its first word is an absolute path."""
    after: tuple[str, ...]
    """The command that runs what a killed run owes."""
    folder: Path
    """Where it runs."""
    environment_file: Path
    path: str
    """PATH: compilers and tools are found as they are where the unit was made."""
    user: str | None
    """Of a system service: who runs it; None: root, or the user whose service it is."""
    for_system: bool
    after_s: float
    """What the `after` commands take at most."""

    @property
    def name(self) -> str:
        return f"tuner-{self.study}.service"


def unit_text(service: Service) -> str:
    """The unit file.

    What ends with 1 (nothing could be measured) or 2 (a mistake in the file) would end so again, and is not
    started again; anything else five times in an hour at most. 130 is `systemctl stop`.
    """
    lines = [
        MARK,
        "[Unit]",
        f"Description={_value(f'tuner study {service.study}')}",
        "After=network-online.target docker.service nvidia-persistenced.service",
        "StartLimitIntervalSec=1h",
        "StartLimitBurst=5",
        "",
        "[Service]",
        "Type=exec",
        *([f"User={service.user}"] if service.user is not None else []),
        f"WorkingDirectory={_value(str(service.folder))}",
        f"EnvironmentFile=-{_pattern(str(service.environment_file))}",
        f"Environment={_word(f'PATH={service.path}')}",
        f"ExecStart={_command(service.run)}",
        f"ExecStopPost={_command(service.after)}",
        "Restart=on-failure",
        "RestartSec=60",
        "RestartPreventExitStatus=1 2",
        "SuccessExitStatus=130",
        "# Only tuner is asked to stop: it stops its servers and builds itself, and owes `after`.",
        "KillMode=mixed",
        f"TimeoutStopSec={round(_STOP_S + service.after_s)}",
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if service.for_system else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def environment_text(variables: dict[str, str]) -> str:
    """An environment file; systemd.exec(5): in double quotes, four characters are escaped as in a shell."""
    lines = ["# Read by the service of a tuner study. It holds credentials: mode 0600."]
    for name, value in variables.items():
        escaped = "".join(f"\\{character}" if character in '"\\`$' else character for character in value)
        lines.append(f'{name}="{escaped}"')
    return "\n".join(lines) + "\n"


def _command(words: tuple[str, ...]) -> str:
    """`:` leaves every `$` alone, also that of the program, which `$$` would not do."""
    return ":" + " ".join(_word(word) for word in words)


def _word(text: str) -> str:
    """One word, in quotes where it needs them."""
    plain = text.replace("%", "%%")
    if text and all(character.isalnum() or character in "/._-+=:,@%" for character in text):
        return plain
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _value(text: str) -> str:
    """A whole line is taken as it is, but for specifiers."""
    return text.replace("%", "%%")


def _pattern(path: str) -> str:
    """EnvironmentFile= takes wildcards (glob(7))."""
    escaped = "".join(f"\\{character}" if character in "*?[]\\" else character for character in path)
    return _value(escaped)
