"""A whole mesh that is measured: what its processes use and count, and what its books hold."""

import atexit
import glob
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-bench"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
os.environ["OMS_BUILD_DIR"] = str(BUILD)
TICK = os.sysconf("SC_CLK_TCK")
SERVICES = ("svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify")
FOLLOWS = {"prices": "svc-inventory", "orders": "svc-order", "payments": "svc-payment", "fulfillments": "svc-shipping"}
DRAIN_S = 60
OTHERS = ("redis", "processor", "carrier")  # not ours: their CPU is not counted


def build():
    subprocess.run([ROOT / "dev" / "deps", "build", "run"], check=True, stdout=sys.stderr)
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, ROOT, "--buildtype=release"], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(["ninja", "-C", BUILD], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout)


def measured_fsync_us(path):
    """The median of a few: what a commit has to wait for."""
    with open(path / "fsync", "wb") as out:
        times = []
        for _ in range(50):
            out.write(b"x" * 4096)
            out.flush()
            begun = time.monotonic()
            os.fsync(out.fileno())
            times.append(time.monotonic() - begun)
    return sorted(times)[25] * 1e6


class Books:
    """The databases of a mesh, read beside the processes that own them."""

    def __init__(self, directory):
        self.db = {name: sqlite3.connect(f"file:{directory}/data/{name}.db?mode=ro", uri=True) for name in SERVICES}

    def one(self, name, sql, *values):
        return self.db[name].execute(sql, values).fetchone()[0]

    def drained(self):
        heads = {name: self.one(name, "SELECT COALESCE(MAX(seq), 0) FROM event_log") for name in SERVICES}
        for name in SERVICES:
            if self.one(name, "SELECT EXISTS (SELECT 1 FROM outbox WHERE destination <> '')"):
                return False
            for consumer, seq in self.db[name].execute("SELECT name, seq FROM consumer_cursor"):
                if seq < heads[FOLLOWS[consumer.split("-", 1)[1]]]:
                    return False
        return True


class Process:
    def __init__(self, name, pid, admin_port):
        self.name, self.pid, self.admin_port = name, pid, admin_port

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory_kb(self):
        rollup = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return {key: int(kb) for key, kb in re.findall(r"^(\w+): +(\d+) kB", rollup, re.M)}

    def metrics(self):
        """Counters by their bare names."""
        sums = {}
        if self.admin_port:
            text = urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/metrics", timeout=5).read().decode()
            for name, value in re.findall(r"^(\w+?)(?:\{[^}]*\})? ([\d.e+-]+)$", text, re.M):
                sums[name] = sums.get(name, 0) + float(value)
        return sums


def processes(mesh):
    admin = {}
    for line in (ROOT / "dev" / "processes").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, port = line.split()
            admin[name] = mesh.base + int(port)
    return [Process(pathlib.Path(path).stem, int(open(path).read().split()[0]), admin.get(pathlib.Path(path).stem))
            for path in sorted(glob.glob(f"{mesh.dir}/run/*.pid"))]


def load_catalogue(mesh, skus):
    work = pathlib.Path(tempfile.mkdtemp(prefix="bench-catalogue-"))
    try:
        (work / "catalogue.csv").write_text("product_id,title,description,brand,category,sku,variant,price,currency,weight_grams,gtin,stocked\n"
            + "".join(f"p{i:05d},Product {i},,,,B{i:05d},,{i % 50 + 1}.00,GBP,100,,yes\n" for i in range(skus)))
        (work / "locations.csv").write_text("location_id,title,country,priority\nber,Berlin,DE,0\npar,Paris,FR,1\n")
        (work / "stock.csv").write_text("sku,location_id,on_hand\n" + "".join(
            f"B{i:05d},{'ber' if i % 4 else 'par'},100000000\n" for i in range(skus)))
        mesh.ctl("catalog", "import", work / "catalogue.csv", "--locations", work / "locations.csv",
                 "--stock", work / "stock.csv")
    finally:
        shutil.rmtree(work)


def idle_kb(mesh):
    return sum(p.memory_kb()["Pss"] for p in processes(mesh) if p.name not in OTHERS)


def start_mesh():
    """Whose mails go into memory: a mail server would have a disk of its own. Use as a context manager."""
    import whole_mesh
    mesh = whole_mesh.Mesh()
    post_office = tempfile.mkdtemp(prefix="bench-mail-", dir="/dev/shm")
    os.symlink(post_office, mesh.dir / "mail")
    atexit.register(shutil.rmtree, post_office, ignore_errors=True)
    return mesh


def tell_machine(mesh):
    kind = subprocess.run(["stat", "-f", "-c", "%T", mesh.dir], capture_output=True, text=True).stdout.strip()
    print(f"{os.cpu_count()} cores; {kind}, fsync {measured_fsync_us(mesh.dir):.0f} µs\n")


class Load:
    """A program that prints begin and end around what is measured, and then one row of numbers."""

    def __init__(self, mesh, seconds, *args):
        self.mesh, self.seconds = mesh, seconds
        self.books, self.processes = Books(mesh.dir), processes(mesh)
        self.program = subprocess.Popen([str(a) for a in args], stdout=subprocess.PIPE, text=True)

    def expect(self, line):
        said = self.program.stdout.readline()
        if said != f"{line}\n":
            self.program.kill()
            sys.exit(f"the load did not {line}\n{self.mesh.logs()}")

    def run(self):
        """Until it has ended and all that follows from it, too: the row."""
        self.expect("begin")
        begun, cpu0 = time.monotonic(), {p.name: p.cpu_s() for p in self.processes}
        metrics0 = {p.name: p.metrics() for p in self.processes}
        self.first = time.time_ns() // 1000
        self.expect("end")
        self.last = time.time_ns() // 1000
        self.loaded = time.monotonic() - begun
        while not self.books.drained():
            if time.monotonic() - begun > self.seconds + DRAIN_S:
                raise RuntimeError("the outboxes do not drain")
            time.sleep(0.02)
        self.wall = time.monotonic() - begun
        self.cpu = {p.name: p.cpu_s() - cpu0[p.name] for p in self.processes}
        self.counted = {p.name: {k: v - metrics0[p.name].get(k, 0) for k, v in p.metrics().items()} for p in self.processes}
        row = [int(n) for n in self.program.stdout.readline().split()]
        self.program.wait()
        return row

    def ours(self):
        """Seconds of CPU of the mesh's own processes."""
        return sum(cpu for name, cpu in self.cpu.items() if name not in OTHERS)

    def tell_processes(self, n, what, n_calls=None, per=None):
        """CPU for each of n, and what was done for each of n_calls, or of n."""
        n_calls, done = n_calls or n, f"per {per or what}:"
        print(f"\n{'process':16} {f'CPU µs/{what}':>14}   {done} {'units':>8} {'commits':>8} {'statements':>11} {'RPCs':>8}")
        for name, cpu in sorted(self.cpu.items(), key=lambda item: -item[1]):
            c = self.counted[name]
            print(f"{name:16} {cpu / n * 1e6:14.1f}   {'':{len(done)}} {c.get('mesh_store_unit_seconds_count', 0) / n_calls:8.2f} "
                  f"{c.get('mesh_store_groups_total', 0) / n_calls:8.2f} {c.get('mesh_store_statements_total', 0) / n_calls:11.2f} "
                  f"{(c.get('mesh_rpc_calls_total', 0) or c.get('gateway_requests_total', 0)) / n_calls:8.2f}")
