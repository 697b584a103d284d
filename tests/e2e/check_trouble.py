#!/usr/bin/python3
"""What people who run the mesh meet: a disk that is full, a certificate that is renewed, a command that nobody takes."""
import contextlib
import os
import shutil
import signal
import sqlite3
import ssl
import subprocess
import sys

import grpc

import tap
from client import Client, Refused, await_prices, await_true, new_id
from whole_mesh import ROOT, Mesh

ORDER, PARCEL = "oms.order.v1.OrderService/", "oms.shipping.v1.FulfillmentService/"
PROCESSES = ("svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify", "gateway")
DISK = "64m"  # of the mesh's data


def place(customer, wait=False):
    return CLIENT.call(ORDER + "PlaceOrder", {
        "requestId": new_id(), "customerId": customer, "currencyCode": "EUR", "paymentToken": "tok_ok", "wait": wait,
        "shipTo": {"name": customer.title(), "street": ["Ring 1"], "city": "Berlin", "postalCode": "10115", "country": "DE"},
        "lines": [{"sku": "MUG-S", "quantity": "1"}]}, "csr:carol")["order"]


def orders_of(customer):
    orders, request = set(), {"customerId": customer, "pageSize": 500}
    while request.get("pageToken") != "":
        page = CLIENT.call(ORDER + "ListOrders", request, "csr:carol")
        orders |= {order["orderId"] for order in page["orders"]}
        request["pageToken"] = page["nextPageToken"]
    return orders


# --- a disk ---

@contextlib.contextmanager
def small_disk(path):
    path.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "ordermesh-test", path], capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", path], check=True)
        shutil.rmtree(path.parent, ignore_errors=True)


def fill(path):
    """With a file that takes all there is."""
    with open(path, "wb", buffering=0) as f:
        for chunk in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while f.write(b"\0" * chunk):
                    pass


def try_to_place(acknowledged):
    """An order, or that it was refused as it should be."""
    try:
        acknowledged.add(place("dora")["orderId"])
        return True
    except Refused as e:
        assert (e.code, e.reason) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL"), e
        return False


def while_the_disk_is_full_orders_are_refused_and_nothing_of_them_is_stored():
    if not SMALL:
        raise tap.Skip("only root may mount a small disk")
    pids = [MESH.pid(p) for p in PROCESSES]
    acknowledged = {place("dora", wait=True)["orderId"] for _ in range(3)}
    filler = MESH.dir / "data" / "filler"
    try:
        fill(filler)
        await_true("an order is refused", lambda: not try_to_place(acknowledged))
        for _ in range(20):
            try_to_place(acknowledged)
        one = next(iter(acknowledged))
        assert CLIENT.call(ORDER + "GetOrder", {"orderId": one}, "csr:carol")["order"]["orderId"] == one
    finally:
        filler.unlink()
    await_true("orders are taken again", lambda: try_to_place(acknowledged))
    for order_id in acknowledged:
        await_true(f"{order_id} is confirmed", lambda: CLIENT.call(ORDER + "GetOrder", {"orderId": order_id}, "csr:carol")["order"][
            "state"] == "CONFIRMED")
    assert orders_of("dora") == acknowledged
    assert pids == [MESH.pid(p) for p in PROCESSES], "somebody had to be started again"


# --- a certificate ---

def certificate_shown():
    return ssl.get_server_certificate(("127.0.0.1", MESH.base + 443))


def times_read_again():
    return (MESH.dir / "log" / "gateway.log").read_text().count("keys and certificates were read again")


def a_gateway_that_gets_a_hangup_signal_shows_the_renewed_certificate_and_loses_no_call():
    before, times = certificate_shown(), times_read_again()
    os.kill(MESH.pid("gateway"), signal.SIGHUP)
    await_true("the files are read at the signal although they are the same", lambda: times_read_again() > times)
    assert certificate_shown() == before
    with Client(MESH, tls=True) as client:
        assert client.call("grpc.health.v1.Health/Check", {})["status"] == "SERVING"
        for name in ("gateway.crt", "gateway.key"):
            (MESH.dir / "keys" / name).unlink()
        subprocess.run([ROOT / "dev" / "pki", MESH.dir / "keys", "gateway"], check=True)
        os.kill(MESH.pid("gateway"), signal.SIGHUP)
        await_true("the new one is shown", lambda: certificate_shown() != before)
        assert client.call("grpc.health.v1.Health/Check", {})["status"] == "SERVING", "on the old connection"
        with grpc.secure_channel(MESH.tls_address, grpc.ssl_channel_credentials(MESH.ca.read_bytes())) as channel:
            grpc.channel_ready_future(channel).result(timeout=20)


# --- a letter that nobody takes ---

def alive(p):
    try:
        with open(f"/proc/{p}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def in_the_books(sql, *values):
    """Somebody who should not changes svc-inventory's database while it is down."""
    p = MESH.pid("svc-inventory")
    os.kill(p, signal.SIGTERM)
    await_true("svc-inventory has ended", lambda: not alive(p))
    with contextlib.closing(sqlite3.connect(MESH.dir / "data" / "svc-inventory.db")) as db, db:
        assert db.execute(sql, values).rowcount == 1
    MESH.up()


def parcel_of(order_id):
    return await_true("there is a parcel", lambda: MESH.ask("shipment", "list", "--order", order_id)["fulfillments"])[0]["fulfillmentId"]


def ship(parcel):
    MESH.ctl("shipment", "pack", parcel, "--wait")
    MESH.ctl("shipment", "ship", parcel)


def letters():
    return MESH.ask("deadletters", "list", "--service", "svc-order")["dead_letters"]


def on_hand():
    return int(CLIENT.call("oms.inventory.v1.InventoryService/ListStock", {"sku": "MUG-S"}, "csr:carol")["stock"][0]["onHand"])


def lost(order_id):
    in_the_books("UPDATE reservation SET holder = 'lost' WHERE order_id = ?", order_id)
    parcel = parcel_of(order_id)
    ship(parcel)
    return await_true("its letter is given up", lambda: [l for l in letters() if l["key"] == order_id])[0]


def found(order_id):
    in_the_books("UPDATE reservation SET holder = 'svc-order' WHERE order_id = ?", order_id)


def a_command_that_is_refused_for_good_is_explained_and_sent_again_when_its_cause_is_gone():
    order_id = place("ellen", wait=True)["orderId"]
    letter = lost(order_id)
    assert letter["lastReason"] == "RESERVATION_GONE" and letter["method"].endswith("/CommitStock"), letter
    assert "RESERVATION_GONE" in MESH.ctl("deadletters", "list", "--service", "svc-order")
    told = MESH.ctl("deadletters", "explain", letter["id"], "--service", "svc-order")
    assert letter["id"] in told and "CommitStock" in told and order_id in told and "RESERVATION_GONE" in told, told

    MESH.ctl("deadletters", "retry", letter["id"], "--service", "svc-order")
    await_true("it was given up again", lambda: [l for l in letters() if l["id"] == letter["id"] and
                                                  l["giveUpTimeUs"] > letter["giveUpTimeUs"]])
    before = on_hand()
    found(order_id)
    MESH.ctl("deadletters", "retry", letter["id"], "--service", "svc-order")
    await_true("the stock is booked", lambda: on_hand() == before - 1)
    assert not letters()
    assert "NOT_FOUND" in MESH.ctl("deadletters", "retry", letter["id"], "--service", "svc-order", code=2)


def a_command_that_is_settled_by_hand_is_discarded_with_a_reason():
    order_id = place("fred", wait=True)["orderId"]
    letter = lost(order_id)
    before = on_hand()
    MESH.ctl("deadletters", "discard", letter["id"], "--service", "svc-order", code=1)
    assert letters() == [letter]
    MESH.ctl("deadletters", "discard", letter["id"], "--service", "svc-order", "--reason", "SETTLED_BY_HAND")
    assert not letters() and "no dead letters" in MESH.ctl("deadletters", "list", "--service", "svc-order")
    assert "NOT_FOUND" in MESH.ctl("deadletters", "explain", letter["id"], "--service", "svc-order", code=2)
    found(order_id)
    assert on_hand() == before


if __name__ == "__main__":
    MESH = Mesh()
    with small_disk(MESH.dir / "data") as SMALL, MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            while_the_disk_is_full_orders_are_refused_and_nothing_of_them_is_stored,
            a_gateway_that_gets_a_hangup_signal_shows_the_renewed_certificate_and_loses_no_call,
            a_command_that_is_refused_for_good_is_explained_and_sent_again_when_its_cause_is_gone,
            a_command_that_is_settled_by_hand_is_discarded_with_a_reason,
        ])
    sys.exit(not ok)
