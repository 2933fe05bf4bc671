"""Ports for servers that tests start."""
import random
import socket

# Below what the kernel takes for outgoing connections (and NodePorts), so that nobody gets one between its choice and its use.
_RANGE = range(16000, 30000)
_given = set()


def free_port():
    """A port of 127.0.0.1 that nobody listens on, and that this process has not been given before."""
    while True:
        port = random.choice(_RANGE)
        if port in _given:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
