"""The processes of a mesh that are killed, and begun again at once with the words they were begun with."""
import os
import signal
import subprocess
import threading
import time


def _began(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[19]


def has_ended(pid):
    """With all its threads: a killed process is a zombie for a moment before its files, locks and ports are free."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            is_zombie = f.read().rsplit(")", 1)[1].split()[0] == "Z"
        return is_zombie and len(os.listdir(f"/proc/{pid}/task")) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


class Victims:
    """Kills only what the mesh's pid files name, and notes what it begins there, as dev/up does."""

    def __init__(self, mesh, random):
        self.mesh, self.random, self.children, self.kills = mesh, random, {}, {}
        self.names = sorted(p.stem for p in (mesh.dir / "run").glob("*.pid"))
        self.commands = {name: self._command(name) for name in self.names}

    def _command(self, name):
        with open(f"/proc/{self.mesh.pid(name)}/cmdline", "rb") as f:
            return [word.decode() for word in f.read().split(b"\0")[:-1]]

    def is_alive(self, name):
        if name in self.children:
            return self.children[name].poll() is None
        return not has_ended(self.mesh.pid(name))

    def _await_end(self, name, pid):
        if name in self.children:
            self.children[name].wait()
            return
        while not has_ended(pid):
            time.sleep(0.001)

    def begin(self, name):
        log = open(self.mesh.dir / "log" / f"{name}.log", "ab")
        command = self.commands[name]
        if name == "redis":  # it says its address instead of its words
            command = ["redis-server", "--port", str(self.mesh.base + 379), "--bind", "127.0.0.1", "--dir",
                       self.mesh.dir / "redis", "--save", "", "--appendonly", "no"]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                 env=self.mesh.env)
        log.close()
        self.children[name] = child
        (self.mesh.dir / "run" / f"{name}.pid").write_text(f"{child.pid} {_began(child.pid)}\n", encoding="ascii")

    def kill(self, name):
        pid = self.mesh.pid(name)
        os.kill(pid, signal.SIGKILL)
        self._await_end(name, pid)
        self.kills[name] = self.kills.get(name, 0) + 1

    def torment(self, stop):
        """Each in turn, in an order that chance gives each round, until told to stop."""
        while not stop.is_set():
            for name in self.random.sample(self.names, len(self.names)):
                if stop.wait(self.random.uniform(0.3, 2)):
                    return
                if not self.is_alive(name):
                    raise RuntimeError(f"{name} has ended by itself\n{self.mesh.logs()}")
                self.kill(name)
                stop.wait(self.random.choice((0, 0, self.random.uniform(0, 0.5))))
                self.begin(name)


class Tormentor(threading.Thread):
    def __init__(self, victims):
        super().__init__()
        self.victims, self.stop, self.failure = victims, threading.Event(), None

    def run(self):
        try:
            self.victims.torment(self.stop)
        except Exception as e:  # told by who waits for the end
            self.failure = e
