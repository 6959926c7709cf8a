"""S3 and what speaks like it, through Optuna's Boto3ArtifactStore.

Credentials, region and endpoint are found as boto3 finds them: in AWS_ACCESS_KEY_ID and the like, in ~/.aws,
or from the host's role. None of them passes through tuner.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from typing import BinaryIO

from optuna.artifacts import Boto3ArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from tuner.errors import ArtifactsUnavailable, UserError
from tuner.storage.artifacts import ArtifactMissing


class S3Artifacts:
    """A bucket; `prefix` stands before every name. Raises UserError where boto3 is not installed."""

    def __init__(self, bucket: str, prefix: str) -> None:
        if find_spec("boto3") is None:
            raise UserError("a store in S3 needs its client: pip install 'llama-tuner[s3]'")
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""

    @property
    def where(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, name: str, parcel: BinaryIO) -> None:
        with self._translated():
            self._store.write(self._prefix + name, parcel)

    def get(self, name: str, into: BinaryIO) -> None:
        with self._translated():
            try:
                reader = self._store.open_reader(self._prefix + name)
            except ArtifactNotFound as error:
                raise ArtifactMissing(name) from error
            with reader:
                shutil.copyfileobj(reader, into, 1 << 20)

    def remove(self, name: str) -> None:
        with self._translated():
            self._store.remove(self._prefix + name)

    @cached_property
    def _store(self) -> Boto3ArtifactStore:
        import boto3
        from botocore.config import Config

        # A study does not stand still for long because of a store: it tries again after the next trial.
        limits = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 2})
        # Without a copy in memory: whoever gives us a file does not need it any more.
        return Boto3ArtifactStore(self._bucket, boto3.client("s3", config=limits), avoid_buf_copy=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error, ValueError, OSError) as error:
            first_line = next(iter(str(error).splitlines()), type(error).__name__)
            raise ArtifactsUnavailable(f"{self.where}: {first_line}") from error
