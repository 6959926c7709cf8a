from __future__ import annotations

import socket

import pytest

from tuner.launch.port import reserve_port


def _listen(port: int, option: int | None) -> socket.socket:
    listener = socket.socket()
    if option is not None:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_server_can_bind_beside_the_reservation(option: int) -> None:
    with (
        reserve_port() as port,
        _listen(port, option) as listener,
        socket.create_connection(("127.0.0.1", port), timeout=5),
    ):
        peer, _ = listener.accept()
        peer.close()


def test_somebody_who_does_not_ask_to_share_cannot() -> None:
    with reserve_port() as port, pytest.raises(OSError, match="in use"):
        _listen(port, None)


def test_reservations_differ() -> None:
    with reserve_port() as one, reserve_port() as other:
        assert one != other
