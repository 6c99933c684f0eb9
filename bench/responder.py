"""A bare uvloop responder: whatever comes in, the same bytes go out. One process for each core."""

import asyncio
import os
import signal
import socket
import sys

import uvloop


class Responder(asyncio.Protocol):
    """Counts empty lines, answers each."""

    response = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(self.response * max(1, data.count(b"\r\n\r\n")))  # type: ignore[attr-defined]


async def main(port: int, size: int) -> None:
    Responder.response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    server = await asyncio.get_running_loop().create_server(Responder, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    os.setpgrp()
    for _ in range(len(os.sched_getaffinity(0)) - 1):
        if os.fork() == 0:
            break
    else:  # whoever ends the first one means all of them
        signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
