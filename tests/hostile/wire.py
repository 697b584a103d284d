"""Bytes of HTTP/2 and HTTP/1.1 as an attacker writes them: no library that would stop him from what is forbidden."""
import contextlib
import select
import socket
import ssl
import struct
import time

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIST = "/oms.catalog.v1.CatalogService/ListProducts"
UPSERT = "/oms.catalog.v1.CatalogService/UpsertProduct"
CHECK = "/grpc.health.v1.Health/Check"
REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def setting(**values):
    ids = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "headers": 6}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", ids[name], value) for name, value in values.items()))


def _number(value, bits, first):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = [first | most], value - most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literal(name, value, indexed=False):
    """A header field in HPACK, spelt out."""
    name, value = name.encode(), value.encode("latin-1")
    return (b"\x40" if indexed else b"\x00") + _number(len(name), 7, 0) + name + _number(len(value), 7, 0) + value


def head(path, *more, content="application/grpc"):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "shop.example"),
              ("te", "trailers"), ("content-type", content), *more]
    return b"".join(literal(name, value) for name, value in fields)


def message(payload=b""):
    return b"\0" + struct.pack(">I", len(payload)) + payload


def call(stream, path, *more, body=message()):
    return frame(HEADERS, END_HEADERS, stream, head(path, *more)) + frame(DATA, END_STREAM, stream, body)


def post(path, body, *more, content="application/json", length=True):
    """A request of HTTP/1.1."""
    lines = [f"POST {path} HTTP/1.1", "Host: shop.example", f"Content-Type: {content}", *more]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Wire:
    """A connection that never waits for long."""

    def __init__(self, port, source, tls=None, buffer=0):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.bind((source, 0))
        self.socket.settimeout(5)
        self.socket.connect(("127.0.0.1", port))
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="gateway")
        self.socket.setblocking(False)
        self.closed = False
        self.got = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.close()

    def send(self, data, patience=0.2):
        """How much of it went: less if the other end does not take it, or has hung up."""
        done, end = 0, time.monotonic() + patience
        while done < len(data) and not self.closed:
            try:
                done += self.socket.send(data[done:])
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                left = end - time.monotonic()
                if left <= 0 or not select.select([], [self.socket], [], left)[1]:
                    break
            except OSError:
                self.closed = True
        return done

    def read(self, patience=0.0, most=1 << 22):
        """What has come; sees whether the other end has hung up."""
        if patience and not self.closed:
            select.select([self.socket], [], [], patience)
        begin = len(self.got)
        while not self.closed and len(self.got) - begin < most:
            try:
                data = self.socket.recv(65536)
                self.closed = not data
                self.got += data
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            except OSError:
                self.closed = True
        return self.got[begin:]

    def await_end(self, seconds):
        """Whether the other end hangs up within that time."""
        end = time.monotonic() + seconds
        while not self.closed and time.monotonic() < end:
            self.read(0.05)
        return self.closed

    def await_text(self, text, seconds):
        end = time.monotonic() + seconds
        while text not in self.got and not self.closed and time.monotonic() < end:
            self.read(0.05)
        return text in self.got

    def frames(self):
        """The frames that have come whole."""
        at = 0
        while at + 9 <= len(self.got):
            size = int.from_bytes(self.got[at:at + 3], "big")
            if at + 9 + size > len(self.got):
                return
            kind, flags, stream = struct.unpack(">BBI", self.got[at + 3:at + 9])
            yield kind, flags, stream, self.got[at + 9:at + 9 + size]
            at += 9 + size

    def await_stream(self, stream, seconds):
        """The frames of a stream, once it has ended; None if it does not in that time."""
        end = time.monotonic() + seconds
        while True:
            own = [f for f in self.frames() if f[2] == stream]
            if any(f[0] == RST or (f[0] in (HEADERS, DATA) and f[1] & END_STREAM) for f in own):
                return own
            if self.closed or time.monotonic() > end:
                return None
            self.read(0.05)


def http2(port, source, tls=None, settings=b"", buffer=0):
    wire = Wire(port, source, tls, buffer)
    wire.send(PREFACE + (settings or setting()))
    return wire
