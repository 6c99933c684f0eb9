"""Large bodies over plain sockets in processes of their own: whole responses are read into one buffer and dropped."""

import multiprocessing
import os
import socket
import time
from collections.abc import Sequence

from bench.load import Signer

SIZE = 64 << 20
STREAMS = 2
_GETS_A_SECOND = 16  # of each stream: about what a small machine does, so that a round lasts as long as it is told to


class Pipe:
    """A connection that sends a request and reads its response, whatever the body's size."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))

    def ask(self, request: bytes) -> tuple[int, int]:
        """The status and the number of body bytes of the response."""
        self._socket.sendall(request)
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise RuntimeError(f"the connection closed after {head!r}")
            head += chunk
        head, _, rest = head.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        left = length - len(rest)
        while left > 0:
            left -= self._socket.recv_into(self._buffer)
        return int(head.split(b" ", 2)[1]), length


def _ask_all(port: int, requests: Sequence[bytes], failures: "multiprocessing.Queue[int]") -> None:
    pipe = Pipe(port)
    failures.put(sum(pipe.ask(request)[0] >= 400 for request in requests))


def _each(port: int, shares: list[list[bytes]]) -> float:
    """Send each share over a connection of its own, at the same time; how many seconds it took."""
    failures: multiprocessing.Queue[int] = multiprocessing.Queue()
    processes = [multiprocessing.Process(target=_ask_all, args=(port, share, failures)) for share in shares if share]
    started = time.perf_counter()
    for process in processes:
        process.start()
    failed = sum(failures.get(timeout=600) for _ in processes)
    took = time.perf_counter() - started
    for process in processes:
        process.join()
    if failed:
        raise RuntimeError(f"{failed} requests failed")
    return took


def send(port: int, requests: list[bytes], connections: int = 1) -> None:
    """Send every request once."""
    _each(port, [requests[n::connections] for n in range(connections)])


def prepare(port: int) -> None:
    """The bucket that `put` and `get` use."""
    send(port, [Signer(port).request("PUT", "/bench")])


def put(port: int, seconds: float) -> float:
    """MiB a second of 64 MiB PUTs over STREAMS connections."""
    sign, body = Signer(port), os.urandom(SIZE)
    count = max(2, int(seconds))
    shares = [
        [sign.request("PUT", f"/bench/large-{stream}-{n}", body=body) for n in range(count)]
        for stream in range(STREAMS)
    ]
    return STREAMS * count * 64 / _each(port, shares)


def get(port: int, seconds: float, streams: int = STREAMS) -> float:
    """MiB a second of 64 MiB GETs over `streams` connections: with few, they may all meet the same worker."""
    sign = Signer(port)
    count = max(4, int(seconds * _GETS_A_SECOND * STREAMS / streams))
    shares = [
        [sign.request("GET", f"/bench/large-{stream % STREAMS}-{n % 2}") for n in range(count)]
        for stream in range(streams)
    ]
    return streams * count * 64 / _each(port, shares)


def loopback() -> float:
    """MiB a second of a bare loopback copy between two processes: the limit for large bodies."""
    listener = socket.create_server(("127.0.0.1", 0))
    total = 2 << 30

    def source(port: int) -> None:
        block = bytes(1 << 20)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            for _ in range(total >> 20):
                sender.sendall(block)

    process = multiprocessing.get_context("fork").Process(target=source, args=(listener.getsockname()[1],))
    process.start()
    connection, _ = listener.accept()
    buffer, seen = memoryview(bytearray(1 << 20)), 0
    started = time.perf_counter()
    while seen < total:
        seen += connection.recv_into(buffer)
    took = time.perf_counter() - started
    process.join()
    return (total >> 20) / took
