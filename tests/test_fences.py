"""The fences of conftest.py hold."""

import asyncio
import socket
import time

import pytest

from agent_runtime import virtual


def test_no_socket_opens_by_default() -> None:
    with socket.socket() as sock:
        with pytest.raises(AssertionError, match=r"socket\.bind to '127\.0\.0\.1'"):
            sock.bind(("127.0.0.1", 0))
        with pytest.raises(AssertionError, match=r"socket\.connect to '127\.0\.0\.1'"):
            sock.connect(("127.0.0.1", 9))
    with pytest.raises(AssertionError, match=r"socket\.getaddrinfo to 'localhost'"):
        socket.getaddrinfo("localhost", 80)


def test_a_pair_of_sockets_may() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"x")
        assert theirs.recv(1) == b"x"


@pytest.mark.sockets
def test_a_marked_test_reaches_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as line:
        line.sendall(b"x")


@pytest.mark.sockets
@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0"])
def test_and_nothing_beyond_it(host: str) -> None:
    with socket.socket() as sock, pytest.raises(AssertionError, match=host):
        sock.bind((host, 0))
    with pytest.raises(AssertionError, match=host):
        socket.getaddrinfo(host, 9)


def test_no_real_time_passes_by_default() -> None:
    with pytest.raises(AssertionError, match="real time"):
        time.sleep(0.001)
    with pytest.raises(AssertionError, match="machine's clock"):
        asyncio.run(asyncio.sleep(0.001))
    virtual.run(asyncio.sleep(3600))


@pytest.mark.real_time
def test_a_marked_test_may_wait() -> None:
    time.sleep(0.001)
    asyncio.run(asyncio.sleep(0.001))
