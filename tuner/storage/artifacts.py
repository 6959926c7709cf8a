"""Where trial folders go that other hosts shall read: a shared folder or S3, by Optuna's artifact stores.

What a name stands for never changes, so a parcel is put there whole or not at all, and putting it there
twice does no harm.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from tuner.errors import UserError

VARIABLE: Final = "TUNER_ARTIFACTS"
S3_VARIABLES: Final = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
)
"""What boto3 finds in the environment, for who has to pass it on."""
_SCHEME: Final = "s3://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._/=-]*")


class ArtifactMissing(Exception):
    """The store answers, and has no such parcel."""


class Artifacts(Protocol):
    """Every method raises ArtifactsUnavailable where the store does not answer or refuses."""

    @property
    def where(self) -> str:
        """As the user wrote it: it holds no credentials."""
        ...

    def put(self, name: str, parcel: BinaryIO) -> None:
        """Store what is read from `parcel`."""
        ...

    def get(self, name: str, into: BinaryIO) -> None:
        """Write what is stored to `into`. Raises ArtifactMissing."""
        ...

    def remove(self, name: str) -> None:
        """It need not be there."""
        ...


def open_artifacts(said: str) -> Artifacts:
    """The store that `said` names, a folder or `s3://bucket/prefix`; it is not asked for anything yet.

    Raises UserError for what names no store, or where its client is not installed.
    """
    if said.startswith(_SCHEME):
        bucket, _, prefix = said.removeprefix(_SCHEME).partition("/")
        if "@" in said:
            raise UserError(
                f"{VARIABLE} holds credentials: leave them to where S3's clients look for them "
                "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws), and write s3://bucket/prefix"
            )
        if not _BUCKET.fullmatch(bucket) or not _PREFIX.fullmatch(prefix) or ".." in prefix:
            raise UserError(f"{VARIABLE} is {said!r}: s3://bucket or s3://bucket/prefix is wanted")
        from tuner.storage.artifacts_s3 import S3Artifacts  # its client is optional

        return S3Artifacts(bucket, prefix.strip("/"))
    folder = Path(said).expanduser()
    if not folder.is_absolute() or "://" in said:
        raise UserError(
            f"{VARIABLE} is {said!r}: the path of a folder from / on, or s3://bucket/prefix, is wanted"
        )
    from tuner.storage.artifacts_folder import FolderArtifacts  # Optuna's stores take a while to import

    return FolderArtifacts(folder)
