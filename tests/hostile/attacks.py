"""Each attack is a function that is given the stand and some seconds, and says what it got. What must hold afterwards it
asserts itself; memory, the bystanders and what is left of it are looked at by run."""
import contextlib
import gzip
import random
import ssl
import struct
import time

from stand import ATTACKER, CONNECTIONS, PER_SOURCE
from wire import (CHECK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LIST, PING, PREFACE, PRIORITY, PUSH, REFLECT, RST,
                  SETTINGS, UPSERT, WINDOW, Wire, call, frame, head, http2, literal, message, post, setting)

LIMIT_S = 4  # within which a limit of one second is met, on a machine that has other things to do


class Broken(AssertionError):
    """The gateway let happen what it must not."""


def must(holds, what):
    if not holds:
        raise Broken(what)


def many(stand, n, make):
    """n connections at once; they are closed at the end."""
    stack = contextlib.ExitStack()
    wires = []
    for _ in range(n):
        with contextlib.suppress(OSError):
            wires.append(stack.enter_context(make(stand.port, ATTACKER)))
    return stack, wires


def flood(stand, seconds, pieces, first=b"", reads=True, settings=b""):
    """One connection that is sent pieces without end: how many went, and whether it was closed."""
    n, end = 0, time.monotonic() + seconds
    with http2(stand.port, ATTACKER, settings=settings) as wire:
        wire.send(first)
        while time.monotonic() < end and not wire.closed:
            piece = next(pieces)
            n += wire.send(piece) // max(len(piece), 1)
            if reads:
                wire.read()
                wire.got = b""
        return n, wire.closed


def forever(data):
    while True:
        yield data


def told(n, closed, of):
    return f"{'closed after' if closed else 'slowed to'} {n:,} {of}"


# --- floods of HTTP/2 ---

def rapid_reset(stand, seconds):
    def pieces():
        stream = 1
        while True:
            out = b""
            for _ in range(50):
                out += call(stream, LIST) + frame(RST, 0, stream, struct.pack(">I", 8))
                stream += 2
            yield out
    n, closed = flood(stand, seconds, pieces())
    must(closed, "resets go on")
    return told(n * 50, closed, "resets")


def continuation_flood(stand, seconds):
    first = frame(HEADERS, 0, 1, head(LIST))
    piece = frame(CONTINUATION, 0, 1, literal("x", "a" * 100)) * 100
    n, closed = flood(stand, seconds, forever(piece), first)
    must(closed, "continuations go on")
    return told(n * 100, closed, "frames")


def settings_flood(stand, seconds):
    n, closed = flood(stand, seconds, forever(setting(window=65535) * 100), reads=False)
    must(closed, "settings go on")
    return told(n * 100, closed, "frames")


def table_size_flood(stand, seconds):
    n, closed = flood(stand, seconds, forever(setting(table=4096) + setting(table=1 << 31)))
    return told(n * 2, closed, "changes of the header table")


def ping_flood(stand, seconds):
    n, closed = flood(stand, seconds, forever(frame(PING, 0, 0, b"pingping") * 200), reads=False)
    return told(n * 200, closed, "pings, none of the answers read")


def window_flood(stand, seconds):
    n, closed = flood(stand, seconds, forever(frame(WINDOW, 0, 0, struct.pack(">I", 1)) * 500))
    return told(n * 500, closed, "window updates")


def window_overflow(stand, seconds):
    n, closed = flood(stand, seconds, forever(frame(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 1))))
    must(closed, "a window beyond 2^31 is believed")
    return told(n, closed, "window updates")


def priority_flood(stand, seconds):
    def pieces():
        stream = 1
        while True:
            yield b"".join(frame(PRIORITY, 0, stream + 2 * i, struct.pack(">IB", 0, 5)) for i in range(500))
            stream += 1000
    n, closed = flood(stand, seconds, pieces())
    return told(n * 500, closed, "priorities")


def empty_frames(stand, seconds):
    first = frame(HEADERS, END_HEADERS, 1, head(LIST))
    n, closed = flood(stand, max(seconds, LIMIT_S / 2), forever(frame(DATA, 0, 1) * 500), first)
    return told(n * 500, closed, "empty DATA frames; the call is over")


def streams_beyond_the_limit(stand, seconds):
    with http2(stand.port, ATTACKER) as wire:
        for i in range(1000):
            wire.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, head(REFLECT)))
        end, refused = time.monotonic() + LIMIT_S, 0
        while not wire.closed and refused < 1000 - 128 and time.monotonic() < end:
            wire.read(0.05)
            refused = sum(1 for f in wire.frames() if f[0] == RST)
        must(wire.closed or refused >= 1000 - 128, f"only {refused} of 1000 streams are refused")
        return f"{'closed; ' if wire.closed else ''}{refused} of 1,000 streams refused"


# --- slow ones ---

def zero_windows(stand, seconds):
    """Asks for a lot, and takes none of it: descriptions of the API, that any stranger may ask for."""
    symbol = b"oms.order.v1.OrderService"
    ask = message(b"\x22" + bytes([len(symbol)]) + symbol) * 100
    stack, wires = many(stand, 20, lambda port, source: http2(port, source, settings=setting(window=0), buffer=4096))
    with stack:
        for i in range(100):
            for wire in wires:
                wire.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, head(REFLECT)) + frame(DATA, 0, 1 + 2 * i, ask), 0)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for wire in wires:
                wire.read()
            time.sleep(0.05)
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and not stand.metric('gateway_limited_total{limit="stalled"}'):
            time.sleep(0.1)
        stalled = int(stand.metric('gateway_limited_total{limit="stalled"}'))
        full = int(stand.metric('gateway_limited_total{limit="buffered"}'))
    must(stalled, "nobody is cut off")
    return f"2,000 streams: {stalled:,} cut off, {full:,} told that too much is held"


def deaf_readers(stand, seconds):
    """The same over HTTP/1.1, without ever reading the socket."""
    request = post(LIST, b"{}") * 200
    stack, wires = many(stand, 50, lambda port, source: Wire(port, source, buffer=4096))
    with stack:
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for wire in wires:
                sent += wire.send(request, 0)
        return f"{sent / 1e6:.1f} MB of requests taken from 50 connections"


def slow_heads(stand, seconds):
    def drip(stack, wires, first, byte):
        with stack:
            for wire in wires:
                wire.send(first)
            end = time.monotonic() + LIMIT_S
            while time.monotonic() < end and not all(wire.closed for wire in wires):
                for wire in wires:
                    wire.send(byte, 0)
                    wire.read()
                time.sleep(0.1)
            left = sum(not wire.closed for wire in wires)
        must(left == 0, f"{left} of {len(wires)} are still waited for")
        return len(wires)
    old = drip(*many(stand, 60, Wire), b"POST / HTTP/1.1\r\nHost: a\r\nX: ", b"a")
    part = frame(HEADERS, 0, 1, head(LIST)) + frame(CONTINUATION, END_HEADERS, 1, literal("x", "a" * 5000))[:30]
    new = drip(*many(stand, 60, http2), part, b"a")
    early = drip(*many(stand, 60, Wire), b"P", b"")
    return f"{old} of HTTP/1.1, {new} of HTTP/2, {early} of either cut off"


def slow_bodies(stand, seconds):
    stack, wires = many(stand, 40, Wire)
    with stack:
        for wire in wires:
            wire.send(post(LIST, b"", "Content-Length: 1000", length=False))
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and not all(wire.closed for wire in wires):
            for wire in wires:
                wire.send(b" ", 0)
                wire.read()
            time.sleep(0.1)
        left = sum(not wire.closed for wire in wires)
        must(left == 0, f"{left} bodies over HTTP/1.1 are still waited for")
    with http2(stand.port, ATTACKER) as wire:
        for i in range(100):
            wire.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, head(LIST)) + frame(DATA, 0, 1 + 2 * i, b"\0\0"))
        end = time.monotonic() + LIMIT_S
        ended = 0
        while time.monotonic() < end and ended < 100:
            wire.read(0.1)
            ended = len({f[2] for f in wire.frames() if f[2] and (f[0] == RST or f[1] & END_STREAM)})
        must(ended == 100, f"only {ended} of 100 bodies are given up")
    return "40 of HTTP/1.1, 100 of HTTP/2 given up"


def half_handshakes(stand, seconds):
    """TLS that is begun and not gone on with."""
    context, incoming, outgoing = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="gateway").do_handshake()
    hello = outgoing.read()
    stack, wires = many(stand, 150, lambda _, source: Wire(stand.tls_port, source))
    with stack:
        for i, wire in enumerate(wires):
            wire.send(hello[:(0, 1, 5, 40, len(hello))[i % 5]])
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end and not all(wire.closed for wire in wires):
            for wire in wires:
                wire.read()
            time.sleep(0.05)
        left = sum(not wire.closed for wire in wires)
    must(left == 0, f"{left} handshakes are still waited for")
    return f"{len(wires)} cut off"


# --- large ones ---

def header_bombs(stand, seconds):
    # One entry of 4,000 bytes in the table of HPACK, and then a byte each time that it is meant.
    bomb = head(LIST) + literal("x", "a" * 4000, indexed=True) + b"\xbe" * 10000
    with http2(stand.port, ATTACKER) as wire:
        for i in range(20):
            wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i, bomb), 1)
        own = wire.await_stream(1, 2)
        must(own is not None or wire.closed, "an HPACK bomb is not answered")
    with http2(stand.port, ATTACKER) as wire:
        for i in range(100):  # what may be sent, as often as may be, and nothing more
            wire.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, head(LIST, *[(f"x-{j}", "a" * 230) for j in range(55)])), 1)
        wire.read(0.3)
    with Wire(stand.port, ATTACKER) as old:
        old.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1000000, 1)
        must(old.await_text(b"HTTP/1.1 431 ", 2) or old.closed, "endless headers are read")
    with Wire(stand.port, ATTACKER) as old:
        old.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 2000, 1)
        must(old.await_text(b"HTTP/1.1 431 ", 2) or old.closed, "thousands of headers are read")
    return "20 bombs of 40 MB each, 1 MB in one header, 2,000 headers: refused"


def message_bombs(stand, seconds):
    """Messages that would be large if they were believed."""
    claims = {"gzip of gRPC": b"\x01" + struct.pack(">I", 10) + b"\x1f\x8b\x08" + bytes(7),
              "4 GiB": b"\0\xff\xff\xff\xff" + b"a" * 1000}
    for what, body in claims.items():
        with http2(stand.port, ATTACKER) as wire:
            wire.send(call(1, LIST, body=body), 1)
            own = wire.await_stream(1, 3)
            must(own and not any(f[0] == DATA for f in own), f"{what} is believed")
    texts = {"nesting": b"[" * 60000, "nested objects": b'{"a":' * 10000, "a large number": b'{"pageSize":' + b"9" * 50000 + b"}",
             "an escape": b'{"pageToken":"\\ud800"}', "invalid UTF-8": b'{"pageToken":"\xff\xfe"}', "half": b'{"pageSize": 1',
             "keys": b"{" + b",".join(b'"k%d":1' % i for i in range(6000)) + b"}", "null": b"null" * 10000, "none": b""}
    for what, text in texts.items():
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(post(LIST, text), 1)
            must(wire.await_text(b"HTTP/1.1 ", 3), f"JSON of {what} is not answered")
            must(not wire.got.startswith(b"HTTP/1.1 5") or b"504" in wire.got[:20], f"JSON of {what}: {wire.got[:60]}")
    with Wire(stand.port, ATTACKER) as wire:
        wire.send(post(LIST, b"\x1f\x8b\x08" + bytes(100), "Content-Encoding: gzip"), 1)
        must(wire.await_text(b"HTTP/1.1 ", 3) and b" 200 " not in wire.got[:20], "gzip of Connect is believed")
    return f"{len(claims) + len(texts) + 1} refused or answered"


def gzip_bombs(stand, seconds):
    """64 MiB in 64 KiB, in every place where gzip is or might be understood."""
    bomb = gzip.compress(b" " * (64 << 20))
    twice = gzip.compress(bomb)
    framed = b"\x01" + struct.pack(">I", len(bomb)) + bomb
    unary = [(post(LIST, body, "Content-Encoding: gzip", content=content), content)
             for body in (bomb, twice) for content in ("application/json", "application/proto")]
    streams = [(post(LIST, framed, *more, content=content), content) for content, *more in
               (("application/connect+json", "Connect-Content-Encoding: gzip"), ("application/grpc-web", "Grpc-Encoding: gzip"))]
    n = 0
    for request, content in (unary + streams) * 3:
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(request, 2)
            must(wire.await_text(b"\r\n\r\n", 3), f"a bomb in {content} is not answered")
            must(not (wire.got.startswith(b"HTTP/1.1 200 ") and content in ("application/json", "application/proto")),
                 f"a bomb in {content} is taken")
            n += 1
    with http2(stand.port, ATTACKER) as wire:
        for i in range(30):
            wire.send(frame(HEADERS, END_HEADERS, 1 + 2 * i, head(LIST, ("grpc-encoding", "gzip"))))
            for at in range(0, len(framed), 16384):
                wire.send(frame(DATA, END_STREAM if at + 16384 >= len(framed) else 0, 1 + 2 * i, framed[at:at + 16384]), 0.1)
        own = wire.await_stream(1, 3)
        must(wire.closed or (own and not any(f[0] == DATA for f in own)), "a bomb in gRPC is taken")
    return f"{n + 30} refused"


def tokens(stand, seconds):
    bad = ["", "Bearer ", "Bearer " + "a" * 12000, "Bearer a.b.c", "Bearer " + ".".join(["eyJhbGciOiJub25lIn0"] * 2) + ".",
           "Basic YTpi", "Bearer " + "." * 5000, "Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA"]
    with http2(stand.port, ATTACKER) as wire:
        for i, text in enumerate(bad):
            wire.send(call(1 + 2 * i, UPSERT, ("authorization", text)), 1)
            own = wire.await_stream(1 + 2 * i, 3)
            must(own and not any(f[0] == DATA for f in own), f"a token is believed: {text[:30]}")
    n = 0
    with http2(stand.port, ATTACKER) as wire:
        while not wire.closed and n < 500:
            wire.send(call(1 + 2 * n, UPSERT, ("authorization", f"Bearer {n}.b.c")), 1)
            n += 1
            wire.read(0.005)
        must(wire.await_end(3), "tokens may be tried without end")
    return f"{len(bad)} kinds refused, closed after {n} tries"


# --- what is no protocol ---

def malformed_frames(stand, seconds):
    chance = random.Random(7)
    rows = [frame(DATA, 0, 0, b"x"), frame(HEADERS, END_HEADERS, 0, head(LIST)), frame(HEADERS, END_HEADERS, 2, head(LIST)),
            frame(HEADERS, END_HEADERS | 8, 1, b"\xff" + head(LIST)), frame(HEADERS, END_HEADERS, 1, b"\xff" * 50),
            frame(HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\xff\xff\xff\xff\x7f"), frame(HEADERS, END_HEADERS, 1, b"\xc0"),
            frame(SETTINGS, 0, 0, b"abc"), frame(SETTINGS, 1, 0, b"abcdef"), frame(SETTINGS, 0, 1), setting(frame=1),
            setting(window=1 << 31), setting(push=2), frame(PING, 0, 0, b"short"), frame(PING, 0, 1, b"pingping"),
            frame(RST, 0, 1, b"1234"), frame(RST, 0, 0, b"1234"), frame(RST, 0, 1, b"1"), frame(WINDOW, 0, 0, b"\0\0\0\0"),
            frame(WINDOW, 0, 0, b"1"), frame(PUSH, END_HEADERS, 1, b"\0\0\0\2"), frame(CONTINUATION, 0, 1, b"x"),
            frame(7, 0, 0, b"x"), frame(PRIORITY, 0, 1, b"x"), b"\xff\xff\xff" + bytes(6), b"GET / HTTP/1.1\r\n\r\n"]
    n = 0
    for row in rows:
        with http2(stand.port, ATTACKER) as wire:
            wire.send(row)
            n += wire.await_end(0.1) or any(f[0] in (RST, 7) for f in wire.frames())
    begin, tried = time.monotonic(), 0
    while time.monotonic() < begin + seconds:
        with http2(stand.port, ATTACKER) as wire:
            for _ in range(20):
                payload = chance.randbytes(chance.choice((0, 1, 4, 5, 6, 8, 9, 100, 16384, 16385)))
                wire.send(frame(chance.randrange(12), chance.choice((0, 1, 4, 5, 8, 32, 255)), chance.choice((0, 1, 2, 3, 1 << 31)),
                                payload))
            tried += 1
            wire.read()
        with Wire(stand.port, ATTACKER) as wire:
            wire.send((PREFACE if tried % 2 else b"") + chance.randbytes(chance.randrange(1, 2000)))
            wire.read()
    return f"{n} of {len(rows)} ended at once; {2 * tried} connections of chance"


def smuggling(stand, seconds):
    """Two requests in what has to be one, or none: a second answer, or one that is not 400, is a success."""
    inner = post(CHECK, b"{}")
    start = f"POST {LIST} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
    rows = {"CL.TE": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "CL.CL": b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "CL list": b"Content-Length: 2, 2\r\n\r\n{}", "TE.TE": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
            "TE list": b"Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n", "TE space": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            "TE tab": b"Transfer-Encoding:\tchunked\x0b\r\n\r\n0\r\n\r\n", "TE fold": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            "TE bare LF": b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "TE bare CR": b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "CL sign": b"Content-Length: +2\r\n\r\n{}", "CL hex": b"Content-Length: 0x2\r\n\r\n{}", "CL space": b"Content-Length: 2 0\r\n\r\n{}",
            "CL huge": b"Content-Length: 18446744073709551618\r\n\r\n{}", "NUL": b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}",
            "chunk sign": b"Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", "chunk hex": b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
            "chunk LF": b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", "chunk end": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
            "chunk wrap": b"Transfer-Encoding: chunked\r\n\r\n100000000000000002\r\n{}\r\n0\r\n\r\n", "ext LF": b"Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
            "two hosts": b"Host: b\r\nContent-Length: 2\r\n\r\n{}"}
    for what, row in rows.items():
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(start + row + inner)
            must(wire.await_end(3), f"{what}: not closed")
            must(wire.got.startswith(b"HTTP/1.1 400 ") and wire.got.count(b"HTTP/1.1 ") == 1, f"{what}: {wire.got[:200]}")
    return f"{len(rows)} ways, each refused and closed"


def false_claims(stand, seconds):
    """To be somebody in the mesh, without a token."""
    names = ["x-mesh-caller", "x-mesh-roles", "x-mesh-subject"]
    with http2(stand.port, ATTACKER) as wire:
        for i, name in enumerate(names):
            wire.send(call(1 + 2 * i, UPSERT, (name, "4096:root"), body=message(b"\x0a\x01r")))
            own = wire.await_stream(1 + 2 * i, 3)
            must(own and not any(f[0] == DATA for f in own), f"{name} is believed")
        wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 21, head(UPSERT, ("X-Mesh-Caller", "4096:root"))))
        must(wire.await_stream(21, 3) is not None or wire.closed, "a name in capitals is not answered")
    for name in ["X-Mesh-Caller", "x-mesh-CALLER", "X_Mesh_Caller", "Connection: x-y\r\nX-Mesh-Caller"]:
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(post(UPSERT, b'{"requestId":"r"}', f"{name}: 4096:root"))
            must(wire.await_text(b"\r\n\r\n", 3) and wire.got.startswith(b"HTTP/1.1 401 "), f"{name}: {wire.got[:100]}")
    return f"{len(names) + 5} refused: no token"


def odd_timeouts(stand, seconds):
    rows = ["99999999H", "-1S", "999999999S", "0S", "1e9S", "S", "", "1", "1x", " 1S", "1S ", "00000000000000000001S", "18446744073709551616n",
            "99999999n", "0n", "\xff1S"]
    with http2(stand.port, ATTACKER) as wire:
        for i, text in enumerate(rows):
            wire.send(call(1 + 2 * i, LIST, ("grpc-timeout", text)))
            must(wire.await_stream(1 + 2 * i, 3), f"grpc-timeout {text!r} is not answered")
    for text in ["99999999999999999999", "-1", "1e9", "", "0", "0x10"]:
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(post(LIST, b"{}", f"Connect-Timeout-Ms: {text}"))
            must(wire.await_text(b"HTTP/1.1 ", 3), f"connect-timeout-ms {text!r} is not answered")
    return f"{len(rows) + 6} answered"


# --- many ---

def many_connections(stand, seconds):
    stack, wires = many(stand, PER_SOURCE + 100, Wire)
    with stack:
        time.sleep(0.3)
        for wire in wires:
            wire.read()
        kept = sum(not wire.closed for wire in wires)
    must(kept <= PER_SOURCE, f"{kept} connections of one address are kept")
    return f"{kept} of {PER_SOURCE + 100} kept, of {CONNECTIONS} that there are for all"


def calls_in_quick_connections(stand, seconds):
    n, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        with Wire(stand.port, ATTACKER) as wire:
            wire.send(post(LIST, b"{}") if n % 2 else PREFACE + setting() + call(1, LIST))
            n += 1
    return f"{n:,} calls, each left alone on a connection of its own"


def no_more_files(stand, seconds):
    """A gateway with few file descriptors."""
    small = stand.start_gateway(files=64)
    port = small.serving["port"]
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            with contextlib.suppress(OSError):
                stack.enter_context(Wire(port, ATTACKER))
        time.sleep(0.5)
        must(small.alive(), "it is gone")
    end, served = time.monotonic() + LIMIT_S, False
    while not served and time.monotonic() < end:
        with contextlib.suppress(OSError), Wire(port, ATTACKER) as wire:
            wire.send(post(LIST, b"{}"))
            served = wire.await_text(b"HTTP/1.1 200 ", 1)
    must(served, "it does not serve any more")
    met = int(stand.metric('gateway_limited_total{limit="files"}', small))
    must(met > 0, "they were not used up")
    must(small.stop() == 0, "it does not end in peace")
    return f"met {met} times; served again afterwards"


ATTACKS = [rapid_reset, continuation_flood, settings_flood, table_size_flood, ping_flood, window_flood, window_overflow,
           priority_flood, empty_frames, streams_beyond_the_limit, zero_windows, deaf_readers, slow_heads, slow_bodies,
           half_handshakes, header_bombs, message_bombs, gzip_bombs, tokens, malformed_frames, smuggling, false_claims, odd_timeouts,
           many_connections, calls_in_quick_connections, no_more_files]
