#!/usr/bin/python3
"""Watches: what many watchers see is what the log says, wherever they break off and resume."""
import os
import random
import sys
import threading

import grpc

import tap
from client import Client, Refused, as_dict, await_prices, new_id
from whole_mesh import Mesh

WATCH = "oms.order.v1.OrderService/WatchOrder"
PLACE = "oms.order.v1.OrderService/PlaceOrder"
SEED = int(os.environ.get("OMS_SEED") or random.SystemRandom().randrange(1 << 30))
chance = random.Random(SEED)


def place(who, sku="MUG-S", quantity=1, wait=False):
    request = {"requestId": new_id(), "currencyCode": "EUR", "wait": wait, "paymentToken": "tok_ok",
               "lines": [{"sku": sku, "quantity": str(quantity)}]}
    return CLIENT.call(PLACE, request, who)["order"]


def log_of(order_id):
    """The positions of the order's entries, and what each is."""
    pages = CLIENT.call("mesh.v1.LogService/Tail", {}, "erp:erp1", {"mesh-service": "svc-order"}, take=10000)
    return [(int(e["seq"]), e["type"]) for page in pages for e in page["entries"] if e["key"] == order_id]


def check_seen(order_id, seqs, states):
    """What a watcher saw who stayed until CONFIRMED: every entry of the log once, and no way back."""
    told = [seq for seq, _ in log_of(order_id) if seqs[0] < seq <= seqs[-1]]
    assert seqs[1:] == told, f"seed {SEED}: saw {seqs}, the log has {told}"
    assert states == ["PENDING"] * (len(states) - 1) + ["CONFIRMED"], f"seed {SEED}: {states}"


def follow_in_pieces(order_id, who):
    """The positions and states that a watcher sees who breaks off after every update or two and resumes where it was."""
    seqs, states, after = [], [], None
    while "CONFIRMED" not in states:
        request = {"orderId": order_id, **({"after": after} if after else {})}
        stream, most = CLIENT.stream(WATCH, request, who), chance.randint(1, 2)
        for i, update in enumerate(stream):
            u = as_dict(update)
            after = u["position"]
            seqs.append(int(after["seq"]))
            states.append(u["state"])
            if i + 1 == most or u["state"] == "CONFIRMED":
                break
        stream.cancel()
    return seqs, states


def a_watch_broken_off_and_resumed_has_no_gap_and_no_double():
    for _ in range(25):
        order = place("customer:wanda")
        check_seen(order["orderId"], *follow_in_pieces(order["orderId"], "customer:wanda"))


def take_until(stream, state):
    """The updates up to one of that state."""
    updates = []
    for update in stream:
        updates.append(as_dict(update))
        if updates[-1]["state"] == state:
            stream.cancel()
            return updates
    raise AssertionError(f"ended without {state}: {updates}")


def a_watch_resumed_from_the_beginning_of_the_log_tells_every_change():
    order = place("customer:wanda", wait=True)
    entries = CLIENT.call("mesh.v1.LogService/Tail", {}, "erp:erp1", {"mesh-service": "svc-order"}, take=1)[0]
    start = {"incarnation": entries["position"]["incarnation"], "seq": "0"}
    updates = take_until(CLIENT.stream(WATCH, {"orderId": order["orderId"], "after": start}, "customer:wanda"), "CONFIRMED")
    seqs = [int(u["position"]["seq"]) for u in updates]
    assert seqs == [seq for seq, _ in log_of(order["orderId"]) if seq <= seqs[-1]], updates
    check_seen(order["orderId"], seqs, [u["state"] for u in updates])


def a_watch_goes_on_until_the_orders_life_has_ended():
    order = place("customer:wanda", wait=True)
    stream = CLIENT.stream(WATCH, {"orderId": order["orderId"]}, "customer:wanda")
    first = as_dict(next(stream))
    assert first["state"] == "CONFIRMED" and first["paymentState"] == "AUTHORIZED", first
    CLIENT.call("oms.order.v1.OrderService/CancelOrder", {"requestId": new_id(), "orderId": order["orderId"],
                                                          "reason": "CUSTOMER_REQUEST"}, "customer:wanda")
    updates = [as_dict(u) for u in stream]
    assert updates[-1]["state"] == "CANCELLED" and updates[-1]["paymentState"] == "VOIDED", updates
    assert "CANCELLING" in {u["state"] for u in updates}, updates


def many_watchers_each_see_their_own_order_only():
    seen, problems = {}, []

    def watch(who):
        try:
            order = place(who)
            updates = take_until(CLIENT.stream(WATCH, {"orderId": order["orderId"]}, who), "CONFIRMED")
            seen[who] = {u["order"]["orderId"] for u in updates if u.get("order")}
            assert seen[who] == {order["orderId"]}, updates
        except Exception as e:
            problems.append(f"{who}: {e}")

    threads = [threading.Thread(target=watch, args=(f"customer:w{i}",)) for i in range(32)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not problems, problems[:3]


def a_watch_cannot_resume_from_another_logs_position():
    order = place("customer:wanda", wait=True)
    try:
        list(CLIENT.stream(WATCH, {"orderId": order["orderId"], "after": {"incarnation": "0123456789abcdef", "seq": "1"}}, "customer:wanda"))
    except grpc.RpcError as e:
        refused = Refused(e)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "FOREIGN_INCARNATION"), refused
        return
    raise AssertionError("a position of another log was taken")


if __name__ == "__main__":
    with Mesh() as MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            a_watch_broken_off_and_resumed_has_no_gap_and_no_double,
            a_watch_resumed_from_the_beginning_of_the_log_tells_every_change,
            a_watch_goes_on_until_the_orders_life_has_ended,
            many_watchers_each_see_their_own_order_only,
            a_watch_cannot_resume_from_another_logs_position,
        ])
    sys.exit(not ok)
