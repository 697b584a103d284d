#!/usr/bin/python3
"""Backups of a mesh that is at work: what is in them, what is left of one that breaks off, how a service that has lost
everything is put back, and that who begins with a snapshot in the middle of it all ends where the others do."""
import contextlib
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import tap
from client import Client, await_prices, await_true, new_id
from whole_mesh import BUILD, CTL, ROOT, Mesh

sys.path.append(str(ROOT / "tests" / "chaos"))
from judge import LAWS  # noqa: E402

import mesh.v1.log_pb2 as log_pb  # noqa: E402
import oms.event.v1.event_pb2 as event_pb  # noqa: E402

ORDER, PARCEL = "oms.order.v1.OrderService/", "oms.shipping.v1.FulfillmentService/"
SERVICES = ("svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify")
FILLER = 60_000_000  # bytes: a database whose backup takes a while
OF_ONE_SERVICE = ("stock is the sum of its journal", "no shelf promises more than it holds",
                  "what may be sold is what is there and not promised", "every entry of the ledger is balanced",
                  "balances are the sums of their postings")


# --- orders that come all the time, from shops and from an ERP ---

def line(quantity=1):
    return {"sku": "MUG-S", "quantity": str(quantity)}


class Flow:
    """Use as a context manager: orders flow until its end. acknowledged has them as they are."""

    def __init__(self):
        self.acknowledged, self.problem, self.over = [], None, False
        self.threads = [threading.Thread(target=self._repeat, args=(f,)) for f in (self._place, self._place, self._import)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        for thread in self.threads:
            thread.join()

    def _repeat(self, act):
        while not self.over:
            try:
                self.acknowledged += act()
            except Exception as problem:
                self.problem = problem
                return

    def _place(self):
        return [CLIENT.call(ORDER + "PlaceOrder", {
            "requestId": new_id(), "customerId": "flora", "currencyCode": "EUR", "paymentToken": "tok_ok", "lines": [line()],
            "shipTo": {"name": "Flora", "street": ["Ring 1"], "city": "Berlin", "postalCode": "10115", "country": "DE"},
        }, "csr:carol")["order"]["orderId"]]

    def _import(self):
        entries = [{"customerId": "flora", "currencyCode": "EUR", "channel": "erp", "externalId": new_id(), "lines": [line(2)]}
                   for _ in range(5)]
        acknowledged = CLIENT.call(ORDER + "ImportOrders", [{"requestId": new_id(), "orders": entries}], "erp:erp1")
        return [result["orderId"] for reply in acknowledged for result in reply["results"]]

    def wait(self, more):
        """Until so many more orders are acknowledged."""
        wanted = len(self.acknowledged) + more
        await_true(f"{more} more orders are placed", lambda: self.problem or len(self.acknowledged) >= wanted, 60)
        assert not self.problem, self.problem


def order(order_id):
    return CLIENT.call(ORDER + "GetOrder", {"orderId": order_id}, "csr:carol")["order"]


def settle(order_ids):
    for order_id in order_ids:
        await_true(f"{order_id} is confirmed", lambda: order(order_id)["state"] == "CONFIRMED", 60)


def place_and_settle():
    with Flow() as flow:
        flow.wait(3)
    settle(flow.acknowledged)
    return flow.acknowledged


def ship(order_id):
    listed = await_true("the parcel is to be packed", lambda: CLIENT.call(
        PARCEL + "ListFulfillments", {"orderId": order_id}, "warehouse:will")["fulfillments"])
    parcel = listed[0]["fulfillmentId"]
    CLIENT.call(PARCEL + "PackFulfillment", {"requestId": new_id(), "fulfillmentId": parcel, "weightGrams": "700", "wait": True},
                "warehouse:will")
    CLIENT.call(PARCEL + "ShipFulfillment", {"requestId": new_id(), "fulfillmentId": parcel}, "warehouse:will")


# --- processes ---

def status(service):
    return CLIENT.call("mesh.v1.AdminService/GetStatus", {}, "operator:olga", {"mesh-service": service})


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def end(service, how):
    pid = MESH.pid(service)
    os.kill(pid, how)
    await_true(f"{service} has ended", lambda: has_ended(pid))


def store(service):
    return MESH.dir / "data" / f"{service}.db"


def restore(service, directory, code=0):
    done = subprocess.run([BUILD / service / service, "--restore", directory, "--store-path", store(service)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"exit {done.returncode}: {done.stderr}"
    return done.stderr


def query(path, sql):
    with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        return db.execute(sql).fetchall()


# --- what is in a backup ---

def orders_of(directory):
    return {row[0] for row in query(directory / "svc-order.db", "SELECT order_id FROM sales_order")}


def broken_laws(directory):
    with contextlib.closing(sqlite3.connect(f"file:{directory}/svc-inventory.db?immutable=1", uri=True)) as db:
        db.execute("ATTACH ? AS p", (f"file:{directory}/svc-payment.db?immutable=1",))
        return [(law, rows) for law in OF_ONE_SERVICE if (rows := db.execute(LAWS[law]).fetchall())]


def a_backup_that_is_made_while_orders_flow_is_of_one_moment():
    BACKUPS["flowing"] = MESH.dir / "flowing"
    with Flow() as flow:
        flow.wait(30)
        before = set(flow.acknowledged)
        told = json.loads(MESH.ctl("backup", BACKUPS["flowing"], "-o", "json"))["services"]
        flow.wait(10)
    ACKNOWLEDGED["before"], ACKNOWLEDGED["after"] = before, set(flow.acknowledged) - before
    directory = BACKUPS["flowing"]
    assert json.loads((directory / "backup.json").read_text())["services"] == told
    assert {f.name for f in directory.iterdir()} == {"backup.json", *(f"{s}.db" for s in SERVICES)}
    assert set(told) == {p.stem for p in (MESH.dir / "data").glob("*.db")}, "somebody is not backed up"
    times = [told[service]["timeUs"] for service in SERVICES]
    assert times == sorted(times), "svc-order comes first"
    for service, entry in told.items():
        copy = directory / f"{service}.db"
        assert (entry["file"], entry["size"]) == (copy.name, copy.stat().st_size)
        assert entry["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
        assert query(copy, "PRAGMA integrity_check") == [("ok",)]
        (incarnation, floor), = query(copy, "SELECT incarnation, floor FROM log_head")
        (n, seq), = query(copy, "SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM event_log")
        assert (entry["incarnation"], entry["seq"], n) == (incarnation, seq, seq - floor)
    assert before <= orders_of(directory), before - orders_of(directory)
    assert broken_laws(directory) == []
    assert query(directory / "svc-inventory.db", "SELECT COUNT(*) FROM reservation")[0][0] >= len(before) / 2
    assert not [p for p in (MESH.dir / "data").iterdir() if "copy" in p.name]


# --- what is left of one that breaks off ---

def fill(service):
    """While it is down, its database becomes so large that a backup takes a while."""
    end(service, signal.SIGTERM)
    with contextlib.closing(sqlite3.connect(store(service))) as db, db:
        db.execute("CREATE TABLE filler (body BLOB)")
        db.executemany("INSERT INTO filler VALUES (randomblob(100000))", [()] * (FILLER // 100000))
    MESH.up()


def begin_backup(directory):
    """A backup that is under way: some of the large database has come."""
    backup = subprocess.Popen([CTL, "backup", directory], env=MESH.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    large = directory.with_name(directory.name + ".part") / "svc-notify.db"
    await_true("the large one comes", lambda: large.exists() and large.stat().st_size > 0)
    backup.send_signal(signal.SIGSTOP)
    assert backup.poll() is None
    return backup


def a_backup_whose_stream_breaks_leaves_nothing():
    fill("svc-notify")
    directory = MESH.dir / "broken"
    backup = begin_backup(directory)
    end("svc-notify", signal.SIGKILL)
    backup.send_signal(signal.SIGCONT)
    said = backup.communicate(timeout=60)[1]
    assert backup.returncode in (2, 3) and "the backup of svc-notify broke off" in said, (backup.returncode, said)
    assert not directory.exists() and not directory.with_name("broken.part").exists()
    MESH.up()


def a_backup_that_is_killed_does_not_look_whole_and_the_next_one_is_made():
    directory = MESH.dir / "killed"
    backup = begin_backup(directory)
    backup.kill()
    backup.wait()
    backup.stderr.close()
    part = directory.with_name("killed.part")
    assert not directory.exists() and part.exists()
    assert "remove it" in MESH.ctl("backup", directory, code=1)
    end("svc-notify", signal.SIGTERM)
    before = store("svc-notify").read_bytes()
    assert "backup.json" in restore("svc-notify", part, code=1)
    assert store("svc-notify").read_bytes() == before
    MESH.up()
    for leftover in part.iterdir():
        leftover.unlink()
    part.rmdir()
    MESH.ctl("backup", directory)
    assert query(directory / "svc-notify.db", "SELECT COUNT(*) FROM filler") == [(FILLER // 100000,)]
    assert "exists" in MESH.ctl("backup", directory, code=1)


# --- put back ---

def a_service_is_not_put_back_while_it_runs_nor_from_a_damaged_file():
    directory = BACKUPS["flowing"]
    assert "another process" in restore("svc-inventory", directory, code=1)
    damaged = MESH.dir / "damaged"
    damaged.mkdir()
    for f in directory.iterdir():
        (damaged / f.name).write_bytes(f.read_bytes())
    with open(damaged / "svc-inventory.db", "r+b") as f:
        f.seek(5000)
        f.write(b"damage")
    end("svc-inventory", signal.SIGTERM)
    before = store("svc-inventory").read_bytes()
    assert "it is not what the backup says" in restore("svc-inventory", damaged, code=1)
    assert store("svc-inventory").read_bytes() == before
    MESH.up()


def consumers_run(service, source, incarnation):
    cursors = [c for c in status(service)["cursors"] if c["source"] == source]
    return cursors and all(c["position"]["incarnation"] == incarnation and c["state"].startswith("RUNNING") for c in cursors)


def a_service_that_has_lost_everything_is_put_back_and_the_mesh_goes_on():
    settle(ACKNOWLEDGED["before"] | ACKNOWLEDGED["after"])
    old = status("svc-inventory")["head"]
    with Flow() as flow:
        flow.wait(3)
        end("svc-inventory", signal.SIGKILL)
        for leftover in (MESH.dir / "data").glob("svc-inventory.db*"):
            leftover.unlink()
        said = restore("svc-inventory", BACKUPS["flowing"])
        MESH.up()
        flow.wait(10)
    new = status("svc-inventory")["head"]
    assert new["incarnation"] != old["incarnation"] and new["incarnation"] in said, said
    await_true("svc-order follows the new log", lambda: consumers_run("svc-order", "svc-inventory", new["incarnation"]), 60)
    refused = MESH.ctl("events", "--service", "svc-inventory", "--after", f"{old['incarnation']}:{old['seq']}", code=2)
    assert "FOREIGN_INCARNATION" in refused, refused

    at_rest = place_and_settle()
    for order_id in (min(ACKNOWLEDGED["before"]), min(at_rest)):
        ship(order_id)
        await_true("it is completed", lambda: order(order_id)["state"] == "COMPLETED", 60)
    verified = await_true("the cache can be read", lambda: (v := json.loads(MESH.ctl("stock", "verify", "-o", "json")))["cacheRead"] and v)
    assert verified["divergences"] == [], verified


# --- who begins with a snapshot ---

class Follower:
    """Somebody outside who keeps what svc-order tells of each order: of two versions the later one."""

    def __init__(self):
        self.orders, self.stream, self.position = {}, None, None

    def apply(self, entry):
        name = {10: "OrderPlaced"}.get(entry.type, "OrderStateChanged")
        event = getattr(event_pb, name).FromString(entry.payload)
        version, state = self.orders.get(entry.key, (0, None))
        if name == "OrderStateChanged" and event.version >= version:
            self.orders[entry.key] = (event.version, (event.state, event.payment_state, event.fulfillment_state))
        elif name == "OrderPlaced" and event.version > version:
            self.orders[entry.key] = (event.version, state)

    def call(self, method, request):
        return CLIENT.stub("mesh.v1.LogService/" + method)(request, metadata=CLIENT.metadata("erp:erp1", {"mesh-service": "svc-order"}))

    def bootstrap(self, between):
        """between is called after each page with the first order that was on it."""
        pages, token = 0, ""
        while token or not pages:
            page = self.call("Snapshot", log_pb.SnapshotRequest(page_token=token))
            for entry in page.entries:
                self.apply(entry)
            if page.entries:
                between(page.entries[0].key)
            pages, token, self.position = pages + 1, page.next_page_token, page.valid_at
        return pages

    def tail(self):
        self.stream = self.call("Tail", log_pb.TailRequest(after=self.position, follow=True))

    def catch_up(self):
        """To the head as it is now."""
        head = int(status("svc-order")["head"]["seq"])
        while not self.position or self.position.seq < head:
            reply = next(self.stream)
            for entry in reply.entries:
                self.apply(entry)
            self.position = reply.position


def cancel(order_id):
    CLIENT.call(ORDER + "CancelOrder", {"requestId": new_id(), "orderId": order_id, "reason": "CUSTOMER_REQUEST", "wait": True}, "csr:carol")


def who_begins_with_a_snapshot_while_orders_flow_ends_where_who_has_followed_ends():
    followed, late, gone = Follower(), Follower(), set()

    def cancelled(order_id):
        """What a page has told is not so any more."""
        if order_id not in gone and order(order_id)["state"] == "CONFIRMED":
            cancel(order_id)
            gone.add(order_id)

    followed.tail()
    with Flow() as flow:
        flow.wait(20)
        followed.catch_up()
        pages = late.bootstrap(cancelled)
        flow.wait(10)
        late.tail()
        flow.wait(10)
    settle(set(flow.acknowledged) - gone)
    for follower in (followed, late):
        follower.catch_up()
        follower.stream.cancel()
    assert gone and set(flow.acknowledged) <= set(followed.orders)
    assert late.orders == followed.orders, [(k, late.orders.get(k), v) for k, v in followed.orders.items() if late.orders.get(k) != v][:5]
    assert pages > 1, "the snapshot was of one page"


PRODUCTS = 300  # more than a page of a snapshot


def upsert(number, price):
    CLIENT.call("oms.catalog.v1.CatalogService/UpsertProduct", {"requestId": new_id(), "product": {
        "productId": f"p{number:03}", "title": f"Thing {number} at {price}", "variants": [
            {"sku": f"P{number:03}", "price": {"currencyCode": "EUR", "units": str(price)}}]}}, "erp:erp1")


class Catalogue:
    """Use as a context manager: prices change until its end."""

    def __init__(self):
        self.over, self.changes = False, 0
        self.thread = threading.Thread(target=self._change)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def _change(self):
        while not self.over:
            upsert(self.changes * 7 % PRODUCTS, 100 + self.changes)
            self.changes += 1


def prices_of(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("SELECT sku, title, price_minor, version FROM price JOIN priced_product USING (product_id) ORDER BY sku").fetchall()


@contextlib.contextmanager
def second_order_service():
    """Another process of svc-order, with a store of its own, that nobody calls."""
    keys, said = MESH.dir / "keys", MESH.dir / "log" / "second.log"
    peers = ",".join(f"{name}=127.0.0.1:{MESH.base + 100 * i + 1}" for i, name in enumerate(SERVICES, 1))
    with open(said, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [BUILD / "svc-order" / "svc-order", "--store-path", SECOND, "--peers", peers, "--tls-ca", keys / "ca.crt",
             "--tls-cert", keys / "svc-order.crt", "--tls-key", keys / "svc-order.key"], stderr=log, stdin=subprocess.DEVNULL)
    try:
        await_true("it serves", lambda: process.poll() is not None or '"serving"' in said.read_text())
        yield said
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, said.read_text()


def knows_the_same():
    return prices_of(SECOND) == prices_of(store("svc-order"))


def a_consumer_that_begins_with_a_snapshot_while_prices_change_and_orders_flow_ends_where_the_other_ends():
    for number in range(PRODUCTS):
        upsert(number, number + 1)
    with second_order_service():
        await_true("it knows the catalogue", knows_the_same, 60)
    with contextlib.closing(sqlite3.connect(SECOND)) as db, db:
        db.execute("DELETE FROM price")
        db.execute("DELETE FROM priced_product")
        db.execute("UPDATE consumer_cursor SET incarnation = 'another' WHERE name = 'order-prices'")
    with Flow() as flow, Catalogue() as catalogue:
        flow.wait(5)
        with second_order_service() as said:
            await_true("it starts from a snapshot", lambda: "a consumer starts from a snapshot" in said.read_text(), 60)
            before = catalogue.changes
            flow.wait(20)
            catalogue.__exit__()
            assert catalogue.changes > before
            assert len(prices_of(store("svc-order"))) == PRODUCTS + 1
            await_true("it knows what the other knows", knows_the_same, 60)


if __name__ == "__main__":
    BACKUPS, ACKNOWLEDGED = {}, {}
    with Mesh() as MESH, Client(MESH) as CLIENT:
        SECOND = MESH.dir / "second.db"
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            a_backup_that_is_made_while_orders_flow_is_of_one_moment,
            a_backup_whose_stream_breaks_leaves_nothing,
            a_backup_that_is_killed_does_not_look_whole_and_the_next_one_is_made,
            a_service_is_not_put_back_while_it_runs_nor_from_a_damaged_file,
            a_service_that_has_lost_everything_is_put_back_and_the_mesh_goes_on,
            who_begins_with_a_snapshot_while_orders_flow_ends_where_who_has_followed_ends,
            a_consumer_that_begins_with_a_snapshot_while_prices_change_and_orders_flow_ends_where_the_other_ends,
        ])
    sys.exit(not ok)
