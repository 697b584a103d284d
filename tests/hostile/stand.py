"""What is attacked: the gateway of this build with a real service behind it, and clients that only want to be served."""
import contextlib
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from wire import LIST, DATA, call, http2

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("OMS_BUILD_DIR", ROOT / "build"))
ATTACKER, OTHER = "127.0.0.66", "127.0.0.1"
CONNECTIONS, PER_SOURCE = 400, 200
# Times are short, so that what is waited for is over soon; amounts are those of every gateway.
OPTIONS = ["--handshake", "1s", "--head", "1s", "--body", "1s", "--stalled", "1s", "--quiet", "2s", "--idle", "5s",
           "--connections", str(CONNECTIONS), "--connections-per-source", str(PER_SOURCE)]


class Process:
    """One of ours; its log tells where it serves."""

    def __init__(self, log, name, *options, files=0):
        self.log = log
        env = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}

        def limit():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        with open(log, "wb") as out:
            self.process = subprocess.Popen([BUILD / name / name, *options], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, env=env, preexec_fn=limit)
        self.serving = self._await("serving")

    def _await(self, event):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.alive():
            for line in self.log.read_bytes().splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("event") == event:
                        return entry
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"does not serve: {self.log.read_text(errors='replace')[-2000:]}")

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """Its exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Stand:
    """Use as a context manager."""

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ordermesh-hostile-"))
        self.processes = []
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _start(self):
        subprocess.run([ROOT / "dev" / "pki", self.dir, "gateway", "svc-inventory"], check=True, capture_output=True)
        self.service = self._run("svc-inventory", "--store-path", self.dir / "db", *self._keys("svc-inventory"))
        self.gateway = self.start_gateway()
        self.port, self.tls_port = self.gateway.serving["port"], self.gateway.serving["tls_port"]

    def _run(self, name, *options, files=0):
        log = self.dir / f"{name}-{len(self.processes)}.log"
        self.processes.append(Process(log, name, "--listen", "127.0.0.1:0", *map(str, options), files=files))
        return self.processes[-1]

    def _keys(self, name):
        return ["--tls-ca", self.dir / "ca.crt", "--tls-cert", self.dir / f"{name}.crt", "--tls-key", self.dir / f"{name}.key"]

    def start_gateway(self, files=0):
        front = ["--listen-tls", "127.0.0.1:0", "--cert", self.dir / "gateway.crt", "--key", self.dir / "gateway.key"]
        return self._run("gateway", *self._keys("gateway"), *front, "--jwt-keys", self.dir / "token.pub", "--peers",
                         f"svc-inventory=127.0.0.1:{self.service.serving['port']}", *OPTIONS, files=files)

    def metric(self, name, gateway=None):
        """The sum of a metric's samples, over all labels unless the name has some."""
        port = (gateway or self.gateway).serving["admin_port"]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
        client.close()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    def is_sanitized(self):
        return b"__asan_init" in (BUILD / "gateway" / "gateway").read_bytes()


class Bystander(threading.Thread):
    """Asks for the catalogue again and again, as a guest, and expects to be told it."""

    PATIENCE_S = 5

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.ended = threading.Event()
        self.calls, self.failures, self.worst_ms = 0, [], 0.0

    def run(self):
        while self.calls < 5 or not self.ended.wait(0.03):
            begin = time.monotonic()
            try:
                self.ask()
            except Exception as why:  # whatever it is, he was not served
                self.failures.append(f"{type(why).__name__}: {why}")
                self.forget()
            self.calls += 1
            self.worst_ms = max(self.worst_ms, (time.monotonic() - begin) * 1000)
        self.forget()

    def finish(self):
        self.ended.set()
        self.join()


class OldBystander(Bystander):
    """By Connect over HTTP/1.1, each time on another connection every ten calls."""

    client = None

    def ask(self):
        if self.calls % 10 == 0:
            self.forget()
        self.client = self.client or http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.PATIENCE_S,
                                                                source_address=(OTHER, 0))
        self.client.request("POST", LIST, b"{}", {"Content-Type": "application/json"})
        reply = self.client.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{reply.status} {body[:100]}")

    def forget(self):
        if self.client:
            self.client.close()
        self.client = None


class NewBystander(Bystander):
    """By gRPC over HTTP/2, on one connection, and a new one after a while."""

    wire, stream = None, 1

    def ask(self):
        if not self.wire or self.stream > 40:
            self.forget()
            self.wire, self.stream = http2(self.port, OTHER), 1
        stream, self.stream = self.stream, self.stream + 2
        self.wire.got = b""
        self.wire.send(call(stream, LIST), self.PATIENCE_S)
        frames = self.wire.await_stream(stream, self.PATIENCE_S)
        if not frames or not any(f[0] == DATA for f in frames):
            raise RuntimeError("no message" if frames else "no answer")

    def forget(self):
        if self.wire:
            self.wire.__exit__()
        self.wire = None


if __name__ == "__main__":
    sys.exit("use tests/hostile/run")
