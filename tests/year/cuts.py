"""What breaks an import that is under way: a proxy that cuts its connection anywhere, and death of omsctl and of services."""
import contextlib
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "chaos"))
from processes import Victims  # noqa: E402

BUFFER = 65536
GIVEN_UP_MAX = 50
VICTIMS = ("gateway", "svc-inventory", "svc-order", "svc-payment")


class Proxy:
    """Passes bytes between omsctl and the gateway, until it is told to cut: then some of what is on its way still goes
    through, and both ends see a reset."""

    def __init__(self, address, random):
        self.target, self.random = address, random
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock, self.pairs, self.doomed = threading.Lock(), [], set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):  # the gateway is away, or the client is already
                self._join(client)

    def _join(self, client):
        host, port = self.target.rsplit(":", 1)
        try:
            pair = client, socket.create_connection((host, int(port)))
        except OSError:
            client.close()
            raise
        with self.lock:
            self.pairs.append(pair)
        for source, sink in (pair, pair[::-1]):
            threading.Thread(target=self._pump, args=(source, sink, pair), daemon=True).start()

    def _pump(self, source, sink, pair):
        try:
            sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := source.recv(BUFFER):
                if pair in self.doomed:
                    sink.sendall(data[:self.random.randrange(len(data) + 1)])
                    break
                sink.sendall(data)
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        with self.lock:
            if pair not in self.pairs:
                return
            self.pairs.remove(pair)
            self.doomed.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def is_idle(self):
        with self.lock:
            return not self.pairs

    def cut(self):
        """In the midst of the next bytes of each connection. False: there is none that is not about to be cut."""
        with self.lock:
            whole = [pair for pair in self.pairs if pair not in self.doomed]
            self.doomed.update(whole)
            return bool(whole)


class Import:
    """omsctl order import, begun again whenever it was killed or has given up."""

    def __init__(self, mesh, server, command, log):
        self.command, self.log = list(map(str, command)), log
        self.env = mesh.env | {"OMSCTL_SERVER": server}
        self.peak_kb, self.given_up = 0, 0
        self._begin()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()

    def _begin(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

    def kill(self):
        self.child.kill()
        self.child.communicate()
        self._begin()

    def _note_memory(self):
        try:
            for line in pathlib.Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii").splitlines():
                if line.startswith("VmHWM:"):
                    self.peak_kb = max(self.peak_kb, int(line.split()[1]))
        except OSError:
            pass

    def ended(self):
        """Its exit code and output once it has come to an end of its own."""
        self._note_memory()
        code = self.child.poll()
        if code is None:
            return None
        if code == 3 and self.given_up < GIVEN_UP_MAX:  # it could not wait any longer
            self.given_up += 1
            self.kill()
            return None
        return code, self.child.stdout.read().decode()


def cut_one(what, victims, imports, proxy):
    """False: not now. What does not run yet has nothing to lose."""
    if what == "connection":
        return proxy.cut()
    if what == "omsctl":
        if proxy.is_idle():
            return False
        imports.kill()
    else:
        victims.kill(what)
        victims.begin(what)
    return True


def run_cut(mesh, imports, proxy, random, every_s):
    """The import to its end, cut every so often; its exit code and output, and what was cut how often."""
    victims, cuts = Victims(mesh, random), {}
    what, at = None, 0
    while not (end := imports.ended()):
        if not what and every_s:
            what = random.choices(("connection", "omsctl", *VICTIMS), (5, 1, *[1] * len(VICTIMS)))[0]
            at = time.monotonic() + random.uniform(0, 2 * every_s)
        time.sleep(0.02)
        if what and time.monotonic() >= at and cut_one(what, victims, imports, proxy):
            cuts[what] = cuts.get(what, 0) + 1
            what = None
    return *end, cuts
