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
            if self.one(name, "SELECT COUNT(*) FROM outbox WHERE destination <> ''"):
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
