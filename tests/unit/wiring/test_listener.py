"""Who listens at an address of this host."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from tuner.wiring.listener import arguments_of, is_here, listener


def test_a_port_of_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener(f"http://127.0.0.1:{server.getsockname()[1]}") == os.getpid()


def test_nobody_and_elsewhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert listener(f"http://127.0.0.1:{port}") is None
    assert is_here("http://localhost:80")
    assert not is_here("http://192.0.2.1:80")
    assert not is_here("http://no-such-host.invalid:80")
    assert listener("http://192.0.2.1:80") is None


def test_the_arguments_of_a_running_program() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)",
         "-ctk", "q8_0", "--metrics", "--parallel", "4"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        child.stdout.readline()
        found = arguments_of(child.pid)
        assert (found["ctk"], found["metrics"], found["parallel"]) == ("q8_0", True, "4")
    finally:
        child.kill()
        child.communicate()
    assert dict(arguments_of(child.pid)) == {}
