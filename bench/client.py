"""A client that costs next to nothing: prepared requests over kept connections, one thread each.

What the client needs would count for both sides and draw their ratio towards one, so it parses no more of a
reply than its status and its length.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(method: str, path: str, port: int, body: bytes = b"", **headers: str) -> bytes:
    """One HTTP/1.1 request as bytes; `Content_Type="…"` becomes the header Content-Type."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def send_all(port: int, queues: Sequence[Sequence[bytes]], expected: bytes) -> None:
    """Send each queue of requests over a connection of its own, all at once.

    Every reply must be a 200 whose body holds `expected`: what was refused was not measured.
    """
    with ThreadPoolExecutor(len(queues)) as pool:
        list(pool.map(lambda queue: _send(port, queue, expected), queues))


def _send(port: int, queue: Sequence[bytes], expected: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for prepared in queue:
            connection.sendall(prepared)
            reply = _read_reply(connection)
            if not reply.startswith(b"HTTP/1.1 200") or expected not in reply:
                raise RuntimeError(f"unexpected reply: {reply[:1000]!r}")


def _read_reply(connection: socket.socket) -> bytes:
    reply = b""
    while (end := reply.find(b"\r\n\r\n")) < 0:
        reply += _receive(connection)
    length = _LENGTH.search(reply, 0, end)
    whole = end + 4 + (int(length[1]) if length else 0)
    while len(reply) < whole:
        reply += _receive(connection)
    return reply


def _receive(connection: socket.socket) -> bytes:
    if not (data := connection.recv(65536)):
        raise RuntimeError("the server closed the connection")
    return data
