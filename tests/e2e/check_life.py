#!/usr/bin/python3
"""Whole lives of orders through the gateway: delivered, sold out, declined, settled by asking again, proven by the
customer, lost, cancelled, short. At the end all books are compared: the processor's, the carrier's, the ledger, stock, mail."""
import json
import re
import sys
import urllib.request

import tap
from client import Client, Refused, as_dict, await_prices, await_true, new_id
from whole_mesh import Mesh

ORDER, PAYMENT = "oms.order.v1.OrderService/", "oms.payment.v1.PaymentService/"
LEDGER, STOCK = "oms.payment.v1.LedgerService/", "oms.inventory.v1.InventoryService/"
PARCEL, ALERT = "oms.shipping.v1.FulfillmentService/", "oms.notify.v1.AlertService/"
MUG = 500  # what MUG-S costs
STORY = {}  # order ids by what becomes of them
PARCELS = {}  # the same of their parcels


class Watched:
    """An order that was placed, and everything that its customer is told of it."""

    def __init__(self, name, quantity, token, city="Berlin"):
        self.who = f"customer:{name}"
        address = {"name": name.title(), "street": ["Ring 1"], "city": city, "postalCode": "10115", "country": "DE"}
        self.order_id = CLIENT.call(ORDER + "PlaceOrder", {
            "requestId": new_id(), "currencyCode": "EUR", "paymentToken": token, "email": f"{name}@example.com",
            "shipTo": address, "lines": [{"sku": "MUG-S", "quantity": str(quantity)}]}, self.who)["order"]["orderId"]
        self.stream = CLIENT.stream(ORDER + "WatchOrder", {"orderId": self.order_id}, self.who, timeout=60)
        self.told = []

    def until(self, *states):
        """Reads on until the state, the payment's or the parcels' is one of these; then the update."""
        for update in self.stream:
            u = as_dict(update)
            self.told.append((u["state"], u["paymentState"], u["fulfillmentState"]))
            if set(self.told[-1]) & set(states):
                return u
        raise AssertionError(f"the watch ended without {states}: {self.told}")

    def ends(self):
        """The watch ends by itself; then the last states."""
        for update in self.stream:
            u = as_dict(update)
            self.told.append((u["state"], u["paymentState"], u["fulfillmentState"]))
        return self.told[-1]


def cases_of(order_id):
    return [(c["kind"], c["state"]) for c in CLIENT.call(ALERT + "ListCases", {"orderId": order_id}, "csr:carol")["cases"]]


def ship(order_id, missing=()):
    """The warehouse packs the order's one parcel, as far as it is there, and hands it over when it has its label."""
    listed = await_true("the parcel is to be packed", lambda: CLIENT.call(
        PARCEL + "ListFulfillments", {"orderId": order_id}, "warehouse:will")["fulfillments"])
    parcel = listed[0]["fulfillmentId"]
    packed = CLIENT.call(PARCEL + "PackFulfillment", {"requestId": new_id(), "fulfillmentId": parcel, "weightGrams": "700",
                                                      "missing": list(missing), "wait": True}, "warehouse:will")["fulfillment"]
    assert packed["trackingNumber"], packed
    CLIENT.call(PARCEL + "ShipFulfillment", {"requestId": new_id(), "fulfillmentId": parcel}, "warehouse:will")
    return parcel


def an_order_is_paid_packed_shipped_and_delivered():
    order = Watched("ada", 3, "tok_ok")
    STORY["delivered"] = order.order_id
    order.until("CONFIRMED")
    PARCELS["delivered"] = ship(order.order_id)
    assert order.ends() == ("COMPLETED", "CAPTURED", "DELIVERED"), order.told
    states = [t[2] for t in order.told]
    assert states.index("ALLOCATED") < states.index("SHIPPED") < states.index("DELIVERED"), order.told
    line = CLIENT.call(ORDER + "GetOrder", {"orderId": order.order_id}, order.who)["order"]["lines"][0]
    assert (line["shipped"], line["cancelled"]) == ("3", "0"), line


def an_order_of_more_than_there_is_is_rejected_and_staff_are_told():
    order = Watched("ben", 200000, "tok_ok")
    STORY["sold out"] = order.order_id
    assert order.ends()[0] == "REJECTED", order.told
    await_true("staff have a case", lambda: cases_of(order.order_id) == [("SHORTAGE", "OPEN")])


def an_order_whose_card_is_declined_is_rejected():
    order = Watched("cem", 5, "tok_declined")
    STORY["declined"] = order.order_id
    assert order.ends()[:2] == ("REJECTED", "DECLINED"), order.told


def an_order_whose_processor_does_not_answer_is_settled_by_asking_again():
    order = Watched("dora", 7, "tok_mute")
    STORY["asked again"] = order.order_id
    order.until("PAYMENT_UNKNOWN")
    explained = CLIENT.call(ORDER + "ExplainOrder", {"orderId": order.order_id}, "csr:carol")
    assert explained["owner"] == "staff" and explained["state"] == "PENDING", explained
    await_true("staff have a case", lambda: cases_of(order.order_id) == [("PAYMENT_UNKNOWN", "OPEN")])
    assert order.until("CONFIRMED")["paymentState"] == "AUTHORIZED", order.told
    await_true("the case has ended by itself", lambda: cases_of(order.order_id) == [("PAYMENT_UNKNOWN", "RESOLVED")])
    order.stream.cancel()


def a_customer_who_proves_himself_gets_his_order():
    order = Watched("emil", 11, "tok_3ds")
    STORY["proven"] = order.order_id
    order.until("ACTION_REQUIRED")
    assert order.until("CONFIRMED")["paymentState"] == "AUTHORIZED", order.told
    order.stream.cancel()


def an_order_that_is_cancelled_after_it_was_paid_for_owes_nothing():
    order = Watched("fay", 13, "tok_ok")
    STORY["cancelled"] = order.order_id
    order.until("CONFIRMED")
    request = {"requestId": new_id(), "orderId": order.order_id, "reason": "CUSTOMER_REQUEST", "wait": True}
    cancelled = CLIENT.call(ORDER + "CancelOrder", request, order.who)["order"]
    assert (cancelled["state"], cancelled["paymentState"]) == ("CANCELLED", "VOIDED"), cancelled
    assert order.ends() == ("CANCELLED", "VOIDED", "NOT_NEEDED"), order.told


def a_parcel_that_is_lost_is_paid_back_when_the_order_is_cancelled():
    order = Watched("gil", 17, "tok_ok", "Lostwick")
    STORY["lost"] = order.order_id
    order.until("CONFIRMED")
    PARCELS["lost"] = ship(order.order_id)
    order.until("EXCEPTION")
    await_true("staff have a case", lambda: cases_of(order.order_id) == [("PARCEL_LOST", "OPEN")])
    CLIENT.call(ORDER + "CancelOrder", {"requestId": new_id(), "orderId": order.order_id, "reason": "LOST"}, "csr:carol")
    assert order.ends()[:2] == ("CANCELLED", "REFUNDED"), order.told


def an_order_goes_on_without_what_the_warehouse_does_not_find():
    order = Watched("hal", 19, "tok_ok")
    STORY["short"] = order.order_id
    order.until("CONFIRMED")
    PARCELS["short"] = ship(order.order_id, [{"sku": "MUG-S", "quantity": "4"}])
    assert order.ends() == ("COMPLETED", "CAPTURED", "DELIVERED"), order.told
    line = CLIENT.call(ORDER + "GetOrder", {"orderId": order.order_id}, order.who)["order"]["lines"][0]
    assert (line["shipped"], line["cancelled"]) == ("15", "4"), line
    await_true("staff have a case", lambda: cases_of(order.order_id) == [("SHORTAGE", "OPEN")])


def a_refund_that_is_refused_is_a_case_of_staff_until_it_was_made_another_way():
    order = Watched("ivo", 23, "tok_refund_fails", "Lostwick")
    STORY["not refunded"] = order.order_id
    order.until("CONFIRMED")
    PARCELS["not refunded"] = ship(order.order_id)
    order.until("EXCEPTION")
    CLIENT.call(ORDER + "CancelOrder", {"requestId": new_id(), "orderId": order.order_id, "reason": "LOST"}, "csr:carol")
    await_true("staff have a case", lambda: ("REFUND_FAILED", "OPEN") in cases_of(order.order_id))
    await_true("it is theirs", lambda: CLIENT.call(ORDER + "ExplainOrder", {"orderId": order.order_id}, "csr:carol")["owner"] == "staff")
    payment = CLIENT.call(PAYMENT + "GetPayment", {"orderId": order.order_id}, "csr:carol")
    refund = [o["operationId"] for o in payment["operations"] if o["kind"] == "REFUND"]
    CLIENT.call(PAYMENT + "ResolveOperation", {
        "requestId": new_id(), "operationId": refund[0], "succeeded": True, "reason": "BANK_TRANSFER"}, "csr:carol")
    assert order.ends()[:2] == ("CANCELLED", "REFUNDED"), order.told
    await_true("the case has ended", lambda: ("REFUND_FAILED", "RESOLVED") in cases_of(order.order_id))


# --- the books ---

def book(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{MESH.base + port}/v1/book", timeout=10) as answer:
        return [json.loads(line) for line in answer.read().decode().splitlines() if line]


def minor(money):
    return int(money["units"]) * 100 + money["nanos"] // 10_000_000


def the_processor_has_done_what_it_was_asked_and_nothing_twice():
    expected = {
        (STORY["delivered"], "authorize", 3 * MUG, "succeeded"), (STORY["delivered"], "capture", 3 * MUG, "succeeded"),
        (STORY["declined"], "authorize", 5 * MUG, "declined"), (STORY["asked again"], "authorize", 7 * MUG, "succeeded"),
        (STORY["proven"], "authorize", 11 * MUG, "succeeded"), (STORY["cancelled"], "authorize", 13 * MUG, "succeeded"),
        (STORY["cancelled"], "void", 0, "succeeded"), (STORY["lost"], "authorize", 17 * MUG, "succeeded"),
        (STORY["lost"], "capture", 17 * MUG, "succeeded"), (STORY["lost"], "refund", 17 * MUG, "succeeded"),
        (STORY["short"], "authorize", 19 * MUG, "succeeded"), (STORY["short"], "capture", 15 * MUG, "succeeded"),
        (STORY["short"], "void", 0, "succeeded"), (STORY["not refunded"], "authorize", 23 * MUG, "succeeded"),
        (STORY["not refunded"], "capture", 23 * MUG, "succeeded"), (STORY["not refunded"], "refund", 23 * MUG, "declined"),
    }
    done = [(b["reference"], b["kind"], b["amount_minor"], b["status"]) for b in book(601) if b["status"] != "requires_action"]
    assert sorted(done) == sorted(expected), set(done) ^ expected


def our_payments_are_what_the_processor_has_and_what_was_paid_back_otherwise():
    for payment in CLIENT.call(PAYMENT + "ListPayments", {"pageSize": 500}, "csr:carol")["payments"]:
        own = [b for b in book(601) if b["reference"] == payment["orderId"] and b["status"] == "succeeded"]
        for kind, amount in (("authorize", "authorized"), ("capture", "captured"), ("refund", "refunded")):
            done = sum(b["amount_minor"] for b in own if b["kind"] == kind)
            if (payment["orderId"], kind) == (STORY["not refunded"], "refund"):
                done = 23 * MUG
            assert minor(payment[amount]) == done, (payment, own)


def the_ledger_adds_up_to_nothing_and_has_what_was_sold():
    balance = CLIENT.call(LEDGER + "GetTrialBalance", {"currencyCode": "EUR"}, "erp:erp1")
    assert [minor(s) for s in balance["sums"]] == [0], balance
    entries = CLIENT.call(LEDGER + "ListLedgerEntries", {"pageSize": 500}, "erp:erp1")["entries"]
    assert all(sum(minor(p["amount"]) for p in e["postings"]) == 0 for e in entries), entries
    assert {e["orderId"] for e in entries} == {STORY["delivered"], STORY["lost"], STORY["short"], STORY["not refunded"]}, entries
    accounts = {b["account"]: minor(b["amount"]) for b in balance["balances"]}
    assert (accounts["PROCESSOR_RECEIVABLE"], accounts["PAID_OTHERWISE"]) == ((3 + 15 + 23) * MUG, -23 * MUG), accounts


def stock_is_what_has_left_and_what_is_promised():
    mugs = CLIENT.call(STOCK + "ListStock", {"sku": "MUG-S"}, "csr:carol")["stock"][0]
    assert int(mugs["onHand"]) == 100000 - 3 - 17 - 15 - 23, mugs
    assert int(mugs["reserved"]) == 7 + 11, mugs
    verified = CLIENT.call(STOCK + "VerifyInventory", {"requestId": new_id()}, "operator:olga")
    assert verified["divergences"] == [] and verified["verified"] == "1", verified


def the_carrier_has_the_parcels_that_left():
    done = {(b["key"], b["status"]) for b in book(602)}
    for name, last in (("delivered", "DELIVERED"), ("lost", "LOST"), ("short", "DELIVERED"),
                       ("not refunded", "LOST")):
        assert {s for k, s in done if k == PARCELS[name]} == {"labelled", "handed_over", "IN_TRANSIT", last}, done
    assert {k for k, _ in done} == set(PARCELS.values()), done


def everybody_was_written_to_once_about_each_step():
    payments = {name: CLIENT.call(PAYMENT + "GetPayment", {"orderId": STORY[name]}, "csr:carol")["paymentId"] for name in ("proven", "lost", "not refunded")}
    told = {"delivered": ["confirmed", "completed"], "sold out": ["rejected"], "declined": ["rejected"], "asked again": ["confirmed"],
            "proven": ["confirmed"], "cancelled": ["confirmed", "cancelled"], "lost": ["confirmed", "cancelled"],
            "short": ["confirmed", "completed"], "not refunded": ["confirmed", "cancelled"]}
    expected = [f"{STORY[name]}-{what}" for name, whats in told.items() for what in whats]
    expected += [f"{PARCELS[name]}-{what}" for name, whats in (
        ("delivered", ("shipped", "delivered")), ("lost", ("shipped", "lost")), ("not refunded", ("shipped", "lost")), ("short", ("short", "shipped", "delivered")))
                 for what in whats]
    expected += [ f"{payments['proven']}-action", f"{payments['lost']}-N-refunded",
                 f"{payments['not refunded']}-N-refunded"]

    def messages():
        return CLIENT.call("oms.notify.v1.NotificationService/ListMessages", {"pageSize": 500}, "csr:carol")["messages"]

    await_true("every mail is sent", lambda: len(messages()) >= len(expected) and {m["state"] for m in messages()} == {"SENT"})
    ids = [m["messageId"] for m in messages()]
    assert sorted(re.sub(r"-\d+-", "-N-", i) for i in ids) == sorted(expected), (ids, expected)
    assert sorted(f.name for f in (MESH.dir / "mail").iterdir()) == sorted(f"{i}.eml" for i in ids)


def no_order_is_stuck_and_no_letter_is_dead():
    assert CLIENT.call(ORDER + "ListStuckOrders", {}, "csr:carol")["orders"] == []
    for service in ("svc-order", "svc-payment", "svc-inventory", "svc-shipping", "svc-notify"):
        dead = CLIENT.call("mesh.v1.AdminService/ListDeadLetters", {}, "operator:olga", {"mesh-service": service})
        assert dead["deadLetters"] == [], (service, dead)


if __name__ == "__main__":
    with Mesh() as MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            an_order_is_paid_packed_shipped_and_delivered,
            an_order_of_more_than_there_is_is_rejected_and_staff_are_told,
            an_order_whose_card_is_declined_is_rejected,
            an_order_whose_processor_does_not_answer_is_settled_by_asking_again,
            a_customer_who_proves_himself_gets_his_order,
            an_order_that_is_cancelled_after_it_was_paid_for_owes_nothing,
            a_parcel_that_is_lost_is_paid_back_when_the_order_is_cancelled,
            an_order_goes_on_without_what_the_warehouse_does_not_find,
            a_refund_that_is_refused_is_a_case_of_staff_until_it_was_made_another_way,
            the_processor_has_done_what_it_was_asked_and_nothing_twice,
            our_payments_are_what_the_processor_has_and_what_was_paid_back_otherwise,
            the_ledger_adds_up_to_nothing_and_has_what_was_sold,
            stock_is_what_has_left_and_what_is_promised,
            the_carrier_has_the_parcels_that_left,
            everybody_was_written_to_once_about_each_step,
            no_order_is_stuck_and_no_letter_is_dead,
        ])
    sys.exit(not ok)
