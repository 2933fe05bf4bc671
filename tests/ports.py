"""Ports for servers that tests start, and this machine's own address."""
import fcntl
import random
import socket
import struct

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


def own_address():
    """What a proxy at the edge writes to x-forwarded-for for a client at 127.0.0.1 (as Envoy): the first address that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _, name in socket.if_nameindex():
            try:
                address = socket.inet_ntoa(fcntl.ioctl(s.fileno(), 0x8915, struct.pack("256s", name.encode()))[20:24])  # SIOCGIFADDR
            except OSError:
                continue
            if not address.startswith("127."):
                return address
    return "127.0.0.1"
