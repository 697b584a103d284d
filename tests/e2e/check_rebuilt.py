#!/usr/bin/python3
"""While a retailer's file is imported, each service in turn loses its store and is put back from a backup, logs are pruned,
and consumers begin with nothing: at the end orders, ledger and stock journal are what the file comes to."""
import collections
import contextlib
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import tap
from client import Client, await_true
from whole_mesh import BUILD, CTL, ROOT, SAMPLE, Mesh

sys.path.append(str(ROOT / "tests" / "year"))
from books import Books, differences, returned, units_of  # noqa: E402
from cuts import Import  # noqa: E402
import expect  # noqa: E402

INVOICES, CODES = 6000, 300  # more products than a page of a snapshot has
AHEAD = 400  # invoices that the import may take while a service is lost
MAPPING = SAMPLE / "retailer.json"
SERVICES = ("svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify")


# --- the file ---

def write_file(path):
    """Sales, and cancellations of some of them: of the latest sales, of older ones, and of none."""
    chance, sold = random.Random(7), []
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"])
        for n in range(INVOICES):
            time = f"2010-{12 if n % 2 else 11}-{1 + n % 28:02} 08:{n % 60:02}:00"
            if sold and chance.random() < 0.25:
                of = chance.choice(sold[-20:] if chance.random() < 0.5 else sold)
                code, quantity, price, customer, country = of if chance.random() < 0.8 else ("10001", 1, "1.00", "1.0", "France")
                out.writerow([f"C{500000 + n}", code, "", -quantity, time, price, customer, country])
                continue
            customer, country = f"{chance.randrange(50)}.0", chance.choice(["France", "Norway"])
            for _ in range(chance.randrange(1, 6)):
                line = str(10000 + chance.randrange(CODES)), chance.randrange(1, 9), f"{chance.randrange(100, 999) / 100}", customer, country
                out.writerow([500000 + n, line[0], f"Thing {line[0]}", line[1], time, *line[2:]])
                sold.append(line)


# --- stores ---

def store(service):
    return MESH.dir / "data" / f"{service}.db"


def query(path, sql):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def contents(path):
    """How many rows each table has, and where the log is; but for what says who does the work, and since when."""
    tables = [name for name, in query(path, "SELECT name FROM sqlite_master WHERE type = 'table'") if "lease" not in name]
    return {name: query(path, f"SELECT COUNT(*) FROM {name}") for name in tables}, query(path, "SELECT MAX(seq) FROM event_log")


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def end(service, how):
    pid = MESH.pid(service)
    os.kill(pid, how)
    await_true(f"{service} has ended", lambda: has_ended(pid), 60)


@contextlib.contextmanager
def halted(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def lose(service):
    for leftover in (MESH.dir / "data").glob(f"{service}.db*"):
        leftover.unlink()


def put_back(service, directory):
    done = subprocess.run([BUILD / service / service, "--restore", directory, "--store-path", store(service)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def prune(service):
    """Its log forgets all that it has told; it does not run."""
    with contextlib.closing(sqlite3.connect(store(service))) as db, db:
        db.execute("UPDATE log_head SET floor = (SELECT COALESCE(MAX(seq), floor) FROM event_log)")
        db.execute("DELETE FROM event_log")


def back_up(service):
    directory = MESH.dir / "backups" / f"{service}-{len(BACKUPS)}"
    directory.parent.mkdir(exist_ok=True)
    BACKUPS.append(directory)
    MESH.ctl("backup", directory, service)
    return directory


def incarnation(service):
    return query(store(service), "SELECT incarnation FROM log_head")[0][0]


def followers_of(service):
    """Who follows it: consumers with where they are."""
    found = []
    for other in SERVICES:
        status = CLIENT.call("mesh.v1.AdminService/GetStatus", {}, "operator:olga", {"mesh-service": other})
        found += [(other, c) for c in status["cursors"] if c["source"] == service]
    return found


def await_followers(service, old):
    new = incarnation(service)
    assert new != old
    await_true(f"all follow the new log of {service}", lambda: all(
        c["position"]["incarnation"] == new and c["state"].startswith("RUNNING") for _, c in followers_of(service)), 60)
    return {f"{other} {c['consumer']}" for other, c in followers_of(service)}


# --- the import ---

def taken():
    return query(store("svc-order"), "SELECT (SELECT COUNT(*) FROM sales_order) + (SELECT COUNT(*) FROM credit)")[0][0]


class Pace:
    """Use as a context manager: however fast the import is, it has not ended before we are done. It stands still as long as
    so many invoices are taken."""

    def __init__(self, imports):
        self.imports, self.allowed, self.held, self.over = imports, AHEAD, False, False
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def _watch(self):
        while not self.over:
            with contextlib.suppress(sqlite3.Error, OSError):  # the store is away, or it has ended
                stands = self.held or taken() >= self.allowed
                os.kill(self.imports.child.pid, signal.SIGSTOP if stands else signal.SIGCONT)
            time.sleep(0.01)
        with contextlib.suppress(OSError):
            os.kill(self.imports.child.pid, signal.SIGCONT)

    def go_on(self, more=60):
        """So many more invoices come, and it goes on."""
        wanted = taken() + more
        self.allowed = wanted + AHEAD
        await_true(f"{more} more invoices are taken", lambda: self.imports.child.poll() is not None or taken() >= wanted, 120)
        assert self.imports.child.poll() is None, "the import has ended too early"

    @contextlib.contextmanager
    def begun_anew(self):
        """It stands still until then, and is killed."""
        self.held = True
        os.kill(self.imports.child.pid, signal.SIGSTOP)
        yield
        self.imports.kill()
        self.held = False


def replace_while_nobody_calls(service):
    """What svc-order is told about what has been done may not be lost: it stands still, and all that has been done is in
    the backup."""
    old = incarnation(service)
    with halted(MESH.pid("svc-order")):
        while True:
            directory = back_up(service)
            end(service, signal.SIGTERM)
            if contents(directory / f"{service}.db") == contents(store(service)):
                break
            MESH.up()  # something was still on its way to it
        lose(service)
        put_back(service, directory)
        prune(service)
    MESH.up()
    return await_followers(service, old)


def replace_svc_order(pace):
    """It loses what came after the backup: whoever imports begins anew."""
    directory, old = back_up("svc-order"), incarnation("svc-order")
    pace.go_on()
    with pace.begun_anew():
        end("svc-order", signal.SIGKILL)
        had = taken()
        lose("svc-order")
        put_back("svc-order", directory)
        prune("svc-order")
        assert taken() < had, "nothing was lost"
        MESH.up()
    return await_followers("svc-order", old)


@contextlib.contextmanager
def second_order_service():
    """Another process of svc-order with an empty store, that nobody calls."""
    keys, said, path = MESH.dir / "keys", MESH.dir / "log" / "second.log", MESH.dir / "second.db"
    peers = ",".join(f"{name}=127.0.0.1:{MESH.base + 100 * i + 1}" for i, name in enumerate(SERVICES, 1))
    with open(said, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [BUILD / "svc-order" / "svc-order", "--store-path", path, "--peers", peers, "--tls-ca", keys / "ca.crt",
             "--tls-cert", keys / "svc-order.crt", "--tls-key", keys / "svc-order.key"], stderr=log, stdin=subprocess.DEVNULL)
    try:
        await_true("it serves", lambda: process.poll() is not None or '"serving"' in said.read_text())
        yield path
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, said.read_text()


def prices_of(path):
    return query(path, "SELECT sku, title, price_minor FROM price JOIN priced_product USING (product_id) ORDER BY sku")


def an_import_goes_on_while_services_are_lost_and_put_back():
    MESH.ask("catalog", "import", FILE, "--map", MAPPING)
    report = MESH.dir / "report.csv"
    command = CTL, "order", "import", FILE, "--map", MAPPING, "--report", report, "-o", "json"
    with Import(MESH, MESH.tls_address, command, MESH.dir / "log" / "omsctl.log") as imports:
        with Pace(imports) as pace:
            pace.go_on(1)
            for service, follower in ("svc-inventory", "svc-order order-prices"), ("svc-payment", "svc-order order-payments"):
                followers = replace_while_nobody_calls(service)
                assert follower in followers, followers
                pace.go_on()
            replace_while_nobody_calls("svc-shipping")
            pace.go_on()
            assert any(f.startswith("svc-notify") for f in replace_svc_order(pace))
            pace.go_on()
            with second_order_service() as second:
                await_true("it knows the catalogue", lambda: prices_of(second) == prices_of(store("svc-order")), 60)
            pace.go_on()
            end("svc-notify", signal.SIGKILL)
            lose("svc-notify")
            MESH.up()
            await_true("a svc-notify that has nothing follows", lambda: any(
                who == "svc-notify" and c["position"]["seq"] != "0" and c["state"].startswith("RUNNING")
                for who, c in followers_of("svc-order")), 60)
            pace.go_on()
        code, output = await_true("the import ends", imports.ended, 120)
    assert code in (0, 4), output
    check_report(json.loads(output), report)


def check_report(told, report):
    with report.open(encoding="utf-8", newline="") as file:
        outcomes = {int(row["line"]): (row["outcome"], row["reason"]) for row in csv.DictReader(file)}
    wrong = [(n, outcomes.get(n), o) for n, o in EXPECTED.outcomes.items() if outcomes.get(n) != o]
    assert not wrong, wrong[:5]
    assert told["invoices"]["accepted"] == EXPECTED.sales + EXPECTED.cancellations, told["invoices"]


def is_at_rest():
    for service in SERVICES:
        status = CLIENT.call("mesh.v1.AdminService/GetStatus", {}, "operator:olga", {"mesh-service": service})
        if any(int(q["parked"]) or int(q["oldestAgeUs" if q["destination"] == "timers" else "waiting"]) for q in status["queues"]):
            return False
        if any(int(c["behind"]) for c in status["cursors"]):
            return False
    return True


def nothing_is_lost_or_doubled():
    await_true("everything is at rest", is_at_rest, 60)
    with Books(MESH) as books:
        orders, ledger, journal = books.orders(), books.ledger(), books.journal()
    both = returned(EXPECTED.cells)
    assert not differences(EXPECTED.cells, orders), differences(EXPECTED.cells, orders)[:5]
    assert not differences(both, ledger), differences(both, ledger)[:5]
    goods = units_of(both, EXPECTED.goods)
    assert not differences(goods, journal), differences(goods, journal)[:5]
    assert len(books.countries) == EXPECTED.sales + EXPECTED.cancellations
    assert (books.doubled, books.unbalanced) == ([], [])
    wrong = [(number, books.ends.get(number), end) for number, end in EXPECTED.orders.items() if books.ends.get(number) != end]
    assert not wrong, wrong[:5]


def the_cache_and_the_journal_agree_with_the_stock():
    verified = await_true("the cache can be read", lambda: (v := MESH.ask("stock", "verify"))["cacheRead"] and v)
    assert verified["divergences"] == [], verified
    counts = collections.Counter(c["state"] for s in SERVICES for _, c in followers_of(s))
    assert all(state.startswith("RUNNING") for state in counts), counts


if __name__ == "__main__":
    BACKUPS = []
    with Mesh() as MESH, Client(MESH) as CLIENT:
        FILE = MESH.dir / "lines.csv"
        write_file(FILE)
        EXPECTED = expect.Expected(FILE)
        ok = tap.run([
            an_import_goes_on_while_services_are_lost_and_put_back,
            nothing_is_lost_or_doubled,
            the_cache_and_the_journal_agree_with_the_stock,
        ])
    sys.exit(not ok)
