"""Opening the Optuna storage, with its errors translated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from tuner.errors import DiskFull, StorageUnavailable, UserError
from tuner.storage.patience import PATIENCE_S, Patience, PatientStorage, at_once


def default_url(state_dir: Path) -> str:
    """The SQLite file under the state folder: nothing needs to be started first."""
    return f"sqlite:///{state_dir / 'studies.db'}"


def read_url(url: str, *, from_argument: bool) -> URL:
    """A storage URL, read.

    A password in a command-line argument is seen by every user of the host, so with `from_argument` it is
    refused. Raises UserError for a URL that cannot be right.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise UserError(
            "the storage URL cannot be read: it looks like sqlite:////path/to/studies.db or "
            "postgresql+psycopg://user@host/database"
        ) from error
    if parsed.password and from_argument:
        raise UserError(
            "the storage URL holds a password, which every user of this host can read in the process list: "
            "set TUNER_STORAGE instead of --storage, or leave the password to a password file (~/.pgpass)"
        )
    return parsed


def open_storage(url: str, *, from_argument: bool, patience_s: float = PATIENCE_S) -> PatientStorage:
    """Open `url`; from then on an operation is repeated for `patience_s` seconds while nobody answers.

    Raises UserError for a URL that cannot be right, StorageUnavailable for one that does not answer.
    """
    parsed = read_url(url, from_argument=from_argument)
    if parsed.drivername.startswith("sqlite") and parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageUnavailable(
                f"{parsed.database}: {error.strerror}; choose another --state"
            ) from error
    try:
        with translated_storage_errors(url):
            options = _engine_options(parsed.drivername)
            return at_once(lambda: PatientStorage(url, engine_kwargs=options, patience=Patience(patience_s)))
    except (ImportError, NoSuchModuleError) as error:
        raise UserError(
            f"no driver for {parsed.drivername!r} is installed: for PostgreSQL, pip install "
            "'llama-tuner[postgres]' and use postgresql+psycopg://"
        ) from error


def _engine_options(driver: str) -> dict[str, object]:
    if driver.startswith("sqlite"):
        # Another process may hold SQLite's write lock for a moment: wait rather than fail the trial.
        return {"connect_args": {"timeout": 60}}
    if driver.startswith("postgresql+psycopg"):
        # A host that vanished never says so: a connection to it counts as lost after half a minute.
        limits = {
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 4,
        }
        return {"pool_pre_ping": True, "connect_args": {**limits, "tcp_user_timeout": 30_000}}
    return {"pool_pre_ping": True}


@contextmanager
def translated_storage_errors(url: str) -> Iterator[None]:
    """Turn the database's exceptions into StorageUnavailable, without the password."""
    try:
        yield
    except NoSuchModuleError:
        raise  # the user's mistake, not the database's
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
        origin = getattr(cause, "orig", None) or cause or error
        first_line = str(origin).splitlines()[0] if str(origin) else type(error).__name__
        if "database or disk is full" in first_line:
            raise DiskFull(
                f"no space left for the study's storage {mask_password(url)}: free some and run the same "
                "command again; what was finished is kept"
            ) from error
        raise StorageUnavailable(
            f"the study's storage {mask_password(url)} does not work: {first_line}. "
            "What was finished is kept; run the same command again when it is back"
        ) from error


def mask_password(url: str) -> str:
    """The URL with its password replaced by stars, for messages and logs."""
    # Up to the last @: one within the password should have been written %40, and would show the rest of it.
    return re.sub(r"(://[^:/@]*:).*@", r"\1***@", url)
