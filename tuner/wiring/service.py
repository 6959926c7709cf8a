"""From a study file to a systemd service on this host."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tuner.config import StudyFile, load_study
from tuner.errors import HostError, UserError
from tuner.locking import raise_host_error, write_whole
from tuner.process import capture
from tuner.storage import read_url
from tuner.storage.artifacts import S3_VARIABLES
from tuner.storage.artifacts import VARIABLE as ARTIFACTS_VARIABLE
from tuner.study import parse_moment
from tuner.unattended import MARK, Service, environment_text, unit_text
from tuner.wiring.locations import BUILDS_VARIABLE, Locations
from tuner.wiring.patience import ENGINE_PATIENCE, STORAGE_PATIENCE

_SYSTEM_UNITS: Final = Path("/etc/systemd/system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was written, or would be."""

    unit: Path
    text: str
    environment_file: Path
    environment_written: bool
    """False: it was there already, and is left as it is."""
    verified: bool
    """Whether `systemd-analyze verify` has seen the unit."""


def describe_service(
    file: Path, locations: Locations, options: tuple[str, ...], until: str | None, *, for_system: bool
) -> tuple[StudyFile, Service]:
    """`options` are words for `tuner study run`; `until` is settled now: a reboot at noon starts no night.

    Raises StudyFileError, UserError.
    """
    study = load_study(file)
    file = file.absolute()
    tuner = (sys.executable, "-m", "tuner", "study")
    where = ("--state", str(locations.state_dir))
    if until is not None:
        moment = parse_moment(until, datetime.now().astimezone())
        options = (*options, "--until", moment.isoformat(timespec="seconds"))
    if locations.url_from_argument:
        read_url(locations.storage_url, from_argument=True)
        options = (*options, "--storage", locations.storage_url)
    service = Service(
        study=study.name,
        run=(*tuner, "run", str(file), *where, *options),
        after=(*tuner, "after", study.name, *where),
        folder=file.parent,
        environment_file=locations.state_dir / "services" / f"{study.name}.env",
        path=os.environ.get("PATH", os.defpath),
        user=pwd.getpwuid(os.geteuid()).pw_name if for_system and os.geteuid() != 0 else None,
        for_system=for_system,
        after_s=sum(spec.timeout_s for spec in study.after),
    )
    for word in (*service.run, service.path, str(service.folder), str(service.environment_file)):
        if not word.isprintable():
            raise UserError(f"{word!r} has control characters, which no systemd unit can hold")
    return study, service


def install_service(study: StudyFile, service: Service, environment: Mapping[str, str]) -> Installed:
    """Check the unit, then write it and its environment file. Nothing is started.

    Raises UserError for a unit of that name that is not tuner's, HostError.
    """
    text = unit_text(service)
    folder = _SYSTEM_UNITS if service.for_system else _user_units(environment)
    unit = folder / service.name
    if unit.exists() and not unit.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise UserError(f"{unit} is there and was not written by tuner: move it away, or rename the study")
    verified = _verify(service.name, text)
    written = _write_environment(service.environment_file, study, environment)
    try:
        write_whole(unit, text)
    except HostError as error:
        raise HostError(
            f"{unit} cannot be written: {error.__cause__}. A system's service needs root: run it with sudo, "
            f"pipe --print into `sudo tee {unit}`, or install a --user service"
        ) from error
    return Installed(
        unit=unit,
        text=text,
        environment_file=service.environment_file,
        environment_written=written,
        verified=verified,
    )


def _user_units(environment: Mapping[str, str]) -> Path:
    base = environment.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "systemd" / "user"


def _verify(name: str, text: str) -> bool:
    """Whether systemd could be asked. Raises HostError with what it says against the unit."""
    if shutil.which("systemd-analyze") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="tuner-unit-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        told = capture(("systemd-analyze", "verify", path), timeout_s=60.0)
    said = [line for line in told.stderr.splitlines() if name in line]
    if told.exit_code != 0 and said:
        raise HostError("systemd refuses the unit, and nothing was written: " + "; ".join(said))
    return told.exit_code == 0


def _write_environment(path: Path, study: StudyFile, environment: Mapping[str, str]) -> bool:
    """Credentials from our environment, where only their owner reads them; False when the file is there."""
    names = ["TUNER_STORAGE", STORAGE_PATIENCE, ENGINE_PATIENCE, ARTIFACTS_VARIABLE, BUILDS_VARIABLE]
    if environment.get(ARTIFACTS_VARIABLE, "").startswith("s3://"):
        names += S3_VARIABLES
    if study.notify is not None:
        names += [name for name in (study.notify.url_env, study.notify.token_env) if name is not None]
    known = {name: environment[name] for name in names if environment.get(name)}
    for name, value in known.items():
        if not value.isprintable():
            raise UserError(f"{name} has control characters, which no environment file can hold")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)  # whatever the umask is
            file.write(environment_text(known))
    except OSError as error:
        if error.errno == errno.EEXIST:
            return False
        raise_host_error(error, path)
    return True
