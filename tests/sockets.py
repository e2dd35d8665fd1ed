"""Connections between two ends that a test holds both."""

from __future__ import annotations

import socket
from contextlib import closing


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return a connection over TCP: the server's end and the client's."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    return server, client
