"""An answer that does not come in time, and an engine that is gone: requests has one error for both."""

from __future__ import annotations

from http.client import RemoteDisconnected

import pytest
from requests.exceptions import ConnectionError as NoAnswer
from requests.exceptions import ConnectTimeout, ReadTimeout
from urllib3 import HTTPConnectionPool
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from tuner.launch.container.executor import is_late

_POOL = HTTPConnectionPool("localhost")


@pytest.mark.parametrize(
    ("error", "late"),
    [
        (ReadTimeout("Read timed out."), True),
        (NoAnswer(ReadTimeoutError(_POOL, "/wait", "Read timed out.")), True),
        (NoAnswer(ProtocolError("Connection aborted.", RemoteDisconnected("closed"))), False),
        (NoAnswer(), False),
        (ConnectTimeout(), False),
        (ValueError(), False),
        (None, False),
    ],
)
def test_late_or_gone(error: Exception | None, late: bool) -> None:
    assert is_late(error) is late
