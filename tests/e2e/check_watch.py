#!/usr/bin/python3
"""Watches: what many watchers see is what the log says, wherever they break off and resume."""
import os
import random
import sys
import threading

import grpc

import tap
from client import Client, Refused, as_dict, await_true, new_id
from whole_mesh import Mesh

WATCH = "oms.order.v1.OrderService/WatchOrder"
PLACE = "oms.order.v1.OrderService/PlaceOrder"
SEED = int(os.environ.get("OMS_SEED") or random.SystemRandom().randrange(1 << 30))
chance = random.Random(SEED)


def place(who, sku="MUG-S", quantity=1, wait=False):
    request = {"requestId": new_id(), "currencyCode": "EUR", "wait": wait, "lines": [{"sku": sku, "quantity": str(quantity)}]}
    return CLIENT.call(PLACE, request, who)["order"]


def follow_in_pieces(order_id, who):
    """The states a watcher sees who breaks off after every update or two and resumes where it was."""
    states, after = [], None
    while True:
        request = {"orderId": order_id, **({"after": after} if after else {})}
        stream, most = CLIENT.stream(WATCH, request, who), chance.randint(1, 2)
        for i, update in enumerate(stream):
            u = as_dict(update)
            if after:
                assert int(u["position"]["seq"]) > int(after["seq"]), f"an update came twice: {u}"
            after = u["position"]
            states.append(u["state"])
            if i + 1 == most:
                break
        stream.cancel()
        if states and states[-1] in ("CONFIRMED", "REJECTED"):
            return states


def a_watch_broken_off_and_resumed_has_no_gap_and_no_double():
    for i in range(25):
        order = place("customer:wanda")
        states = follow_in_pieces(order["orderId"], "customer:wanda")
        assert states in (["PENDING", "CONFIRMED"], ["CONFIRMED"]), f"seed {SEED}: {states}"


def a_watch_resumed_from_the_beginning_of_the_log_tells_every_change():
    order = place("customer:wanda", wait=True)
    entries = CLIENT.call("mesh.v1.LogService/Tail", {}, "erp:erp1", {"mesh-service": "svc-order"}, take=1)[0]
    start = {"incarnation": entries["position"]["incarnation"], "seq": "0"}
    got = [as_dict(u)["state"] for u in CLIENT.stream(WATCH, {"orderId": order["orderId"], "after": start}, "customer:wanda")]
    assert got == ["PENDING", "CONFIRMED"], got


def many_watchers_each_see_their_own_order_only():
    seen, problems = {}, []

    def watch(who):
        try:
            order = place(who)
            seen[who] = [(as_dict(u)["state"], as_dict(u).get("order") and as_dict(u)["order"]["orderId"]) for u in
                         CLIENT.stream(WATCH, {"orderId": order["orderId"]}, who)]
            assert seen[who][-1][0] == "CONFIRMED", seen[who]
            assert {o for _, o in seen[who] if o} == {order["orderId"]}, seen[who]
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


def ready():
    try:
        return place("customer:wanda", wait=True)["state"] == "CONFIRMED"
    except Refused as e:
        if e.reason != "SKU_UNKNOWN":
            raise
        return False


if __name__ == "__main__":
    with Mesh() as MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_true("svc-order knows the prices", ready)
        ok = tap.run([
            a_watch_broken_off_and_resumed_has_no_gap_and_no_double,
            a_watch_resumed_from_the_beginning_of_the_log_tells_every_change,
            many_watchers_each_see_their_own_order_only,
            a_watch_cannot_resume_from_another_logs_position,
        ])
    sys.exit(not ok)
