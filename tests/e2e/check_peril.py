#!/usr/bin/python3
"""What happens to clients when parts of the mesh die, and to those who come in by the back door."""
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc

import tap
from client import Client, Refused, await_prices, await_true, new_id, request_of
from whole_mesh import CTL, Mesh

AVAILABILITY = "oms.inventory.v1.InventoryService/BatchGetAvailability"
PLACE = "oms.order.v1.OrderService/PlaceOrder"


def kill(process):
    p = MESH.pid(process)
    os.kill(p, signal.SIGKILL)
    await_true(f"{process} is gone", lambda: not alive(p))


def alive(p):
    try:
        with open(f"/proc/{p}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def stock(sku):
    return CLIENT.call("oms.inventory.v1.InventoryService/ListStock", {"sku": sku}, "csr:carol")["stock"][0]


def available(sku):
    return int(CLIENT.call(AVAILABILITY, {"skus": [sku]})["availability"][0]["available"])


def place(who="customer:petra", request_id=None, sku="MUG-S", wait=True, **more):
    request = {"requestId": request_id or new_id(), "currencyCode": "EUR", "wait": wait, "paymentToken": "tok_ok",
               "lines": [{"sku": sku, "quantity": "1"}], **more}
    return CLIENT.call(PLACE, request, who)["order"]


def redis(*args):
    return subprocess.run(["redis-cli", "-p", str(MESH.base + 379), *args], check=True, capture_output=True, text=True).stdout


def when_redis_is_flushed_availability_is_still_right():
    for _ in range(10):
        redis("FLUSHALL")
        place()
        row = int(stock("MUG-S")["available"])
        await_true("availability is what the stock says", lambda: available("MUG-S") == row)


def when_redis_is_killed_and_comes_back_availability_is_still_right():
    kill("redis")
    for _ in range(5):
        place()
        assert available("MUG-S") == int(stock("MUG-S")["available"]), "without Redis the database answers"
    MESH.up()
    for _ in range(5):
        place()
        row = int(stock("MUG-S")["available"])
        await_true("availability is what the stock says", lambda: available("MUG-S") == row)


def retried(request_id, seconds=30):
    """A client that retries under the same request id until it has an answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            return place(request_id=request_id, wait=False)
        except Refused as e:
            if e.code not in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED") or time.monotonic() > end:
                raise
            time.sleep(0.02)


def service_is_killed(process):
    """Orders placed while a process is killed and comes back: each acknowledged once, each settled, stock as reserved."""
    before, acknowledged, problems, stop = int(stock("MUG-S")["reserved"]), {}, [], threading.Event()

    def shop(i):
        try:
            n = 0
            while not stop.is_set() or n < 5:
                rid = new_id()
                order = retried(rid)
                again = retried(rid)
                assert again["orderId"] == order["orderId"], "one request made two orders"
                acknowledged[order["orderId"]] = True
                n += 1
        except Exception as e:
            problems.append(str(e))

    threads = [threading.Thread(target=shop, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    try:
        await_true("orders are being placed", lambda: len(acknowledged) > 20 or problems)
        kill(process)
        MESH.up()
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not problems, problems[:3]
    for order_id in acknowledged:
        await_true(f"{order_id} is settled", lambda: CLIENT.call("oms.order.v1.OrderService/GetOrder", {"orderId": order_id},
                                                          "csr:carol")["order"]["state"] == "CONFIRMED", 30)
    reserved = int(stock("MUG-S")["reserved"]) - before
    assert reserved == len(acknowledged), f"{reserved} reserved for {len(acknowledged)} orders"


def a_caller_without_a_certificate_is_not_believed_whatever_he_says():
    """A client that reaches a service directly and says it is an admin."""
    credentials = grpc.ssl_channel_credentials(MESH.ca.read_bytes())
    address = f"127.0.0.1:{MESH.base + 101}"
    with grpc.secure_channel(address, credentials, options=[("grpc.ssl_target_name_override", "svc-order")]) as direct:
        name = "oms.order.v1.OrderService/ListOrders"
        method = direct.unary_unary("/" + name, request_serializer=lambda m: m.SerializeToString())
        try:
            method(request_of(name, {}), metadata=[("x-mesh-caller", "100:root")], timeout=10)
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode.UNAUTHENTICATED, Refused(e)
            return
    raise AssertionError("the service believed it")


def refuses(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def orders_of(customer):
    orders, request = [], {"customerId": customer, "pageSize": 500}
    while request.get("pageToken") != "":
        page = CLIENT.call("oms.order.v1.OrderService/ListOrders", request, "csr:carol")
        orders += page["orders"]
        request["pageToken"] = page["nextPageToken"]
    return orders


def gateway_again():
    def is_found():
        try:
            return available("MUG-S")
        except Refused as e:
            assert e.code == "UNAVAILABLE", e
            return None

    MESH.up()
    await_true("clients have found the gateway again", is_found)


def an_export_that_is_cut_off_goes_on_where_it_was():
    for chunk in range(6):
        orders = [{"customerId": "petra", "currencyCode": "EUR", "channel": "erp", "externalId": f"long-{chunk}-{i}", "fulfilled": True,
                   "lines": [{"sku": "MUG-S", "quantity": "1", "unitPrice": {"currencyCode": "EUR"}}] * 900} for i in range(5)]
        taken = CLIENT.call("oms.order.v1.OrderService/ImportOrders", [{"requestId": new_id(), "orders": orders}], "erp:erp1")[0]
        assert taken["placed"] == 5, taken["results"][0]
    with subprocess.Popen([CTL, "order", "export", "--filter", "external_id = long-*"], env=MESH.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as export:
        lines = [export.stdout.readline()]  # it has begun, and waits for us to read on
        kill("svc-order")
        MESH.up()
        lines += export.stdout.readlines()
        said = export.stderr.read()
    assert export.returncode == 0, said
    ids = [json.loads(line)["order"]["externalId"] for line in lines[:-1]]
    assert sorted(ids) == sorted(f"long-{chunk}-{i}" for chunk in range(6) for i in range(5)), ids
    assert "position" in json.loads(lines[-1]), lines[-1]


def a_gateway_that_is_told_to_end_answers_what_is_under_way():
    """Orders wait for their stock when the gateway is told to end, and get it only after it has sent all clients away:
    every one of them is answered."""
    answers, problems = [], []

    def shop():
        try:
            answers.append(place("csr:carol", customerId="dora")["state"])
        except Refused as e:
            problems.append(str(e))

    inventory, gateway = MESH.pid("svc-inventory"), MESH.pid("gateway")
    os.kill(inventory, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=shop) for _ in range(8)]
        for t in threads:
            t.start()
        await_true("all orders wait for their stock", lambda: len(orders_of("dora")) == len(threads) or problems)
        os.kill(gateway, signal.SIGTERM)
        await_true("the gateway takes nobody any more", lambda: refuses(MESH.base))
    finally:
        os.kill(inventory, signal.SIGCONT)
    for t in threads:
        t.join()
    await_true("the gateway has ended", lambda: not alive(gateway))
    gateway_again()
    assert not problems and answers == ["CONFIRMED"] * len(threads), (answers, problems[:3])


def what_a_gateway_that_ends_does_not_answer_has_not_happened():
    """Clients go on while the gateway ends: each call is answered, or refused without a trace."""
    answered, problems = set(), []

    def shop():
        while True:
            try:
                answered.add(place("csr:carol", customerId="ellen")["orderId"])
            except Refused as e:
                if e.code != "UNAVAILABLE":
                    problems.append(str(e))
                return

    threads = [threading.Thread(target=shop) for _ in range(4)]
    for t in threads:
        t.start()
    await_true("orders are being placed", lambda: len(answered) > 20 or problems)
    p = MESH.pid("gateway")
    os.kill(p, signal.SIGTERM)
    await_true("the gateway has ended", lambda: not alive(p))
    for t in threads:
        t.join()
    gateway_again()
    assert not problems, problems[:3]
    stored = {order["orderId"] for order in orders_of("ellen")}
    assert stored == answered, f"{len(stored - answered)} placed and not answered, {len(answered - stored)} lost"


def when_svc_inventory_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("svc-inventory")


def when_svc_payment_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("svc-payment")


def when_svc_shipping_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("svc-shipping")


def when_the_card_processor_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("processor")


def when_svc_order_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("svc-order")


def when_the_gateway_is_killed_under_load_every_order_is_there_once_and_settled():
    service_is_killed("gateway")


if __name__ == "__main__":
    with Mesh() as MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            a_caller_without_a_certificate_is_not_believed_whatever_he_says,
            when_redis_is_flushed_availability_is_still_right,
            when_redis_is_killed_and_comes_back_availability_is_still_right,
            when_svc_inventory_is_killed_under_load_every_order_is_there_once_and_settled,
            when_svc_order_is_killed_under_load_every_order_is_there_once_and_settled,
            when_svc_payment_is_killed_under_load_every_order_is_there_once_and_settled,
            when_svc_shipping_is_killed_under_load_every_order_is_there_once_and_settled,
            when_the_card_processor_is_killed_under_load_every_order_is_there_once_and_settled,
            when_the_gateway_is_killed_under_load_every_order_is_there_once_and_settled,
            an_export_that_is_cut_off_goes_on_where_it_was,
            a_gateway_that_is_told_to_end_answers_what_is_under_way,
            what_a_gateway_that_ends_does_not_answer_has_not_happened,
        ])
    sys.exit(not ok)
