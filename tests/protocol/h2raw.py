"""HTTP/2 frames by hand, for what no library would send. Heads are written as literals without Huffman coding; what comes
back is read with hpack."""
import struct

import hpack

from wire import Raw

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    ids = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "list": 6, "connect": 8}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", ids[n], v) for n, v in values.items()))


def _string(text):
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, out = len(text) - 127, b"\x7f"
    while rest >= 128:
        out += bytes([rest % 128 | 128])
        rest //= 128
    return out + bytes([rest]) + text


def literal(fields):
    return b"".join(b"\x00" + _string(n if isinstance(n, bytes) else n.encode("latin-1")) + _string(v if isinstance(v, bytes) else v.encode("latin-1"))
                    for n, v in fields)


def get(path="/", method="GET", authority="a", more=()):
    return [(":method", method), (":scheme", "http"), (":path", path), (":authority", authority), *more]


class H2(Raw):
    def __init__(self, port, hello=None, **more):
        super().__init__(port, **more)
        self.decoder = hpack.Decoder()
        self.send(PREFACE + (settings() if hello is None else hello))

    def request(self, stream, fields=None, end=True):
        return self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, literal(fields or get())))

    def frame(self):
        head = self.exactly(9)
        size, kind, flags, stream = int.from_bytes(head[:3], "big"), head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        payload = self.exactly(size)
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK))
        return kind, flags, stream, payload

    def answer(self, stream):
        """status, fields, body of a stream; ("reset", code) or ("goaway", code) when it ends so."""
        status, fields, body = None, [], b""
        while True:
            try:
                kind, flags, at, payload = self.frame()
            except (EOFError, ConnectionResetError):
                return "closed", None, body
            if kind == GOAWAY and struct.unpack(">I", payload[4:8])[0] != 0:
                return "goaway", struct.unpack(">I", payload[4:8])[0], body
            if kind == HEADERS:
                decoded = self.decoder.decode(payload)
                if at == stream and (status is None or status < 200) and decoded[0][0] == ":status":
                    status, fields = int(decoded[0][1]), decoded[1:]
            if at != stream:
                continue
            if kind == RST:
                code = struct.unpack(">I", payload)[0]
                return ("reset", code, body) if code else (status, fields, body)
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return status, fields, body
