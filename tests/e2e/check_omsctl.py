#!/usr/bin/python3
"""omsctl against a whole mesh: every command, exit codes, second runs."""

import contextlib
import csv
import email
import email.policy
import json
import os
import pty
import re
import subprocess
import sys

import tap
from client import await_true
from whole_mesh import CTL, SAMPLE, Mesh

IMPORT = ("catalog", "import", SAMPLE / "catalogue.csv", "--locations", SAMPLE / "locations.csv", "--stock",
          SAMPLE / "stock.csv")
PAN, MUG, TENT = "KIT-PAN1-24CM", "TAB-MUG1-CREAM", "OUT-TEN1-ORANGE"


def the_sample_is_imported_once_and_a_second_run_sends_nothing():
    first = MESH.ask(*IMPORT)
    assert first["products"] == {"sent": 304, "unchanged": 0, "refused": 0}, first
    assert first["locations"] == 5 and first["stock"]["refused"] == 0 and first["stock"]["adjusted"] > 3000, first
    second = MESH.ask(*IMPORT)
    assert second == {"products": {"sent": 0, "unchanged": 304, "refused": 0}, "locations": 0,
                      "stock": {"adjusted": 0, "refused": 0}}, second


def long_work_shows_on_a_terminal_how_far_it_is():
    terminal, stderr = pty.openpty()
    more = MESH.dir / "more.csv"
    more.write_text((SAMPLE / "stock.csv").read_text(encoding="utf-8").replace("\n", "0\n").replace("on_hand0", "on_hand"), encoding="utf-8")
    with subprocess.Popen([CTL, "catalog", "import", SAMPLE / "catalogue.csv", "--stock", more], env=MESH.env, stdout=subprocess.DEVNULL, stderr=stderr) as ctl:
        os.close(stderr)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal says that its other side is gone
            while chunk := os.read(terminal, 65536):
                shown += chunk
        os.close(terminal)
    assert ctl.returncode == 0, shown
    steps = [int(n) for n in re.findall(r"\r\033\[K(\d+) of \d+ stock adjustments, \d+/s, \d+ s left", shown.decode())]
    assert steps and steps == sorted(steps), shown
    assert re.search(r"(\d+) of \1 stock adjustments, \d+/s in [\d.]+ s\r\n$", shown.decode()), shown
    MESH.ctl(*IMPORT)


def a_changed_price_is_the_only_thing_sent():
    changed = MESH.dir / "changed.csv"
    text = (SAMPLE / "catalogue.csv").read_text(encoding="utf-8")
    assert ",48.90,EUR,1495," in text
    changed.write_text(text.replace(",48.90,EUR,1495,", ",47.90,EUR,1495,", 1), encoding="utf-8")
    assert MESH.ask("catalog", "import", changed)["products"] == {"sent": 1, "unchanged": 303, "refused": 0}
    price = next(v["price"] for v in MESH.ask("catalog", "get", PAN)["variants"] if v["sku"] == PAN)
    assert (price["units"], price["nanos"]) == ("47", 900000000), price
    MESH.ctl(*IMPORT)


def products_are_got_listed_and_searched():
    assert "Frying pan" in MESH.ctl("catalog", "get", "KIT-PAN1")
    assert len(MESH.ask("catalog", "list", "--limit", "0")["products"]) == 304
    assert len(MESH.ask("catalog", "list", "--limit", "7")["products"]) == 7
    found = MESH.ask("catalog", "search", "mer")["products"]
    assert found and all("merino" in p["title"].lower() for p in found), found
    assert "NOT_FOUND" in MESH.ctl("catalog", "get", "no-such-thing", code=2)


def stock_is_adjusted_and_told():
    before = MESH.ask("stock", "list", "--sku", MUG, "--location", "BER")["stock"][0]
    after = MESH.ask("stock", "adjust", MUG, "BER", "5")["stock"]
    assert int(after["onHand"]) == int(before["onHand"]) + 5, (before, after)
    MESH.ctl("stock", "adjust", MUG, "BER", "--", "-5")
    total = sum(int(s["available"]) for s in MESH.ask("stock", "list", "--sku", MUG)["stock"])
    assert int(MESH.ask("stock", "availability", MUG)["availability"][0]["available"]) == total
    assert len(MESH.ask("stock", "locations")["locations"]) == 5


def the_books_are_verified():
    books = MESH.ask("stock", "verify", "--repair")
    assert books["divergences"] == [] and books["verified"] > 500, books
    assert "the books agree" in MESH.ctl("stock", "verify")
    assert "PERMISSION_DENIED" in MESH.ctl("stock", "verify", code=2,
                                           env={"OMSCTL_TOKEN": MESH.token("eve", "customer")})


def the_same_request_id_has_one_effect():
    args = ("stock", "adjust", MUG, "BER", "3", "--request-id", "once-only")
    assert MESH.ask(*args) == MESH.ask(*args)
    assert "REQUEST_ID_REUSED" in MESH.ctl("stock", "adjust", MUG, "BER", "4", "--request-id", "once-only", code=2)


def an_order_is_confirmed_while_it_is_watched():
    lines = [json.loads(line) for line in MESH.ctl("order", "place", f"{PAN}=2", f"{MUG}=4", "SVC-WRAP-STD", "--customer",
                                                   "ada", "--settled", "-o", "json").splitlines()]
    order = lines[0]["order"]
    assert (lines[-1].get("state") or order["state"]) == "CONFIRMED", lines
    assert MESH.ask("order", "get", order["orderId"])["order"]["state"] == "CONFIRMED"
    assert order["orderId"] in {o["orderId"] for o in MESH.ask("order", "list", "--customer", "ada")["orders"]}
    assert "CONFIRMED" in MESH.ctl("order", "watch", order["orderId"], "--settled")


def orders_are_found_by_their_channels_number_and_by_a_filter():
    order_id = MESH.ask("order", "place", f"{MUG}=3", "--customer", "ada", "--channel", "shop", "--external-id", "N-1", "--wait")["order"]["orderId"]
    assert MESH.ask("order", "get", "shop", "N-1")["order"]["orderId"] == order_id
    assert "NOT_FOUND" in MESH.ctl("order", "get", "shop", "N-2", code=2)
    found = [o["orderId"] for o in MESH.ask("order", "list", "--filter", f"channel = shop lines.sku:{MUG} lines.quantity:3")["orders"]]
    assert found == [order_id], found
    assert MESH.ask("order", "list", "--filter", "channel = shop -state = CONFIRMED")["orders"] == []
    refused = json.loads(MESH.ctl("order", "list", "--filter", "chanel = shop", "-o", "json", code=2))["error"]
    assert refused["reason"] == "FILTER_INVALID" and "at 1: there is no such field" in refused["message"], refused


def exported(*args, **more):
    """The orders by id, and the position to go on after; what stdout has is what a file would have."""
    lines = [json.loads(line) for line in MESH.ctl("order", "export", *args, **more).splitlines()]
    position = lines.pop()["position"]
    return {line["order"]["orderId"]: line["order"] for line in lines if "order" in line}, "{incarnation}:{seq}".format(**position)


def orders_are_exported_and_then_what_has_changed():
    orders, position = exported()
    listed = {o["orderId"]: o for o in MESH.ask("order", "list", "--limit", "0")["orders"]}
    assert orders.keys() == listed.keys() and len(orders) > 1, (orders.keys(), listed.keys())
    assert all(orders[i]["lines"] == listed[i]["lines"] for i in orders), orders
    changed = orders
    while changed:
        before, (changed, position) = position, exported("--after", position)
    assert position == before
    order_id = MESH.ask("order", "place", f"{MUG}=2", "--customer", "ada", "--channel", "shop", "--external-id", "N-2", "--wait")["order"]["orderId"]
    changed, position = exported("--after", position, "--filter", "channel = shop")
    assert list(changed) == [order_id], changed
    path = MESH.dir / "orders.csv"
    MESH.ctl("order", "export", "--format", "csv", "--filter", "external_id = N-2", "--to", path)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["id"], r["sku"], r["quantity"], r["channel"], r["reason"]) for r in rows] == [(order_id, MUG, "2", "shop", "")], rows
    MESH.ctl("order", "export", "--format", "csv", "--filter", "nonsense =", "--to", MESH.dir / "none.csv", code=2)
    assert not list(MESH.dir.glob("none.csv*"))
    assert "FOREIGN_INCARNATION" in MESH.ctl("order", "export", "--after", f"0123456789abcdef:{position.split(':')[1]}", code=2)
    assert "PERMISSION_DENIED" in MESH.ctl("order", "export", code=2, env={"OMSCTL_TOKEN": MESH.token("ada", "customer")})


def an_order_of_more_than_there_is_is_rejected_with_a_sentence():
    order = MESH.ask("order", "place", f"{TENT}=400", "--customer", "ben", "--wait")["order"]
    assert order["state"] == "REJECTED" and order["rejectReason"], order


def a_refusal_names_code_reason_and_field():
    said = MESH.ctl("order", "place", "NO-SUCH-SKU", "--currency", "EUR", "--customer", "ada", code=2)
    assert "lines[0].sku" in said, said
    error = json.loads(MESH.ctl("order", "place", f"{PAN}=0", "--currency", "EUR", "--customer", "ada", "-o", "json",
                                code=2))["error"]
    assert error["code"] == "INVALID_ARGUMENT" and error["fields"][0]["field"] == "lines[0].quantity", error


def an_order_is_explained_cancelled_and_its_watch_ends():
    order_id = MESH.ask("order", "place", f"{MUG}=1", "--customer", "ada", "--email", "ada@example.com", "--wait")["order"]["orderId"]
    explained = MESH.ask("order", "explain", order_id)
    assert explained["state"] == "CONFIRMED" and explained["legal"] == ["CancelOrder"], explained
    told = MESH.ctl("order", "explain", order_id)
    assert "waits for" in told and "CancelOrder" in told and "RESERVE" in told, told
    order = MESH.ask("order", "cancel", order_id, "--reason", "CHANGED_MIND", "--wait")["order"]
    assert order["state"] == "CANCELLED" and order["lines"][0]["cancelled"] == "1", order
    assert "CANCELLED" in MESH.ctl("order", "watch", order_id)
    assert "ORDER_STATE" in MESH.ctl("order", "cancel", order_id, code=2)
    assert "REASON_INVALID" in MESH.ctl("order", "cancel", order_id, "--reason", "no longer wanted", code=2)


def an_order_is_packed_shipped_and_paid_for():
    order_id = MESH.ask("order", "place", f"{MUG}=2", "--customer", "ada", "--pay", "tok_ok", "--email", "ada@example.com",
                        "--wait")["order"]["orderId"]
    shipment = await_true("there is a parcel", lambda: MESH.ask("shipment", "list", "--order", order_id)["fulfillments"])[0]
    MESH.ctl("shipment", "pack", shipment["fulfillmentId"], "--weight", "800", "--wait")
    MESH.ctl("shipment", "ship", shipment["fulfillmentId"])
    seen = [json.loads(line) for line in MESH.ctl("order", "watch", order_id, "-o", "json").splitlines()]
    assert (seen[-1]["state"], seen[-1]["paymentState"]) == ("COMPLETED", "CAPTURED"), seen
    told = MESH.ctl("order", "get", order_id)
    assert "COMPLETED" in told and "captured" in told, told
    payment = MESH.ask("payment", "get", order_id)
    assert payment["state"] == "CAPTURED" and [o["kind"] for o in payment["operations"]] == ["AUTHORIZE", "CAPTURE"], payment
    assert payment["paymentId"] in MESH.ctl("payment", "list", "--customer", "ada")
    MESH.ctl("payment", "refund", order_id, "1.50", "--reason", "GOODWILL")
    await_true("it is refunded", lambda: "refunded 1.50 EUR" in MESH.ctl("payment", "get", payment["paymentId"]))
    assert "REFUND_EXCEEDS_CAPTURED" in MESH.ctl("payment", "refund", order_id, "1000", code=2)
    MESH.ctl("payment", "refund", order_id, "a lot", code=1)
    assert "OPERATION_NOT_UNKNOWN" in MESH.ctl("payment", "resolve", f"{order_id}-authorize", "succeeded", "--reason", "SEEN", code=2)
    MESH.ctl("payment", "resolve", f"{order_id}-authorize", "perhaps", "--reason", "SEEN", code=1)


def what_is_sold_out_is_a_case_and_a_mail():
    order_id = MESH.ask("order", "place", f"{TENT}=400", "--customer", "ben", "--pay", "tok_ok", "--email", "ben@example.com",
                        "--wait")["order"]["orderId"]
    case = await_true("there is a case", lambda: MESH.ask("case", "list", "--order", order_id)["cases"])[0]
    assert (case["kind"], case["state"]) == ("SHORTAGE", "OPEN"), case
    assert "SHORTAGE" in MESH.ctl("case", "list", "--state", "OPEN", "--kind", "SHORTAGE")
    taken = MESH.ask("case", "ack", case["caseId"], "--etag", case["etag"])
    assert taken["state"] == "ACKNOWLEDGED", taken
    assert "ETAG_MISMATCH" in MESH.ctl("case", "resolve", case["caseId"], "--reason", "RESTOCKED", "--etag", case["etag"], code=2)
    assert "CASE_NOT_OPEN" in MESH.ctl("case", "ack", case["caseId"], code=2)
    assert "RESTOCKED" in MESH.ctl("case", "resolve", case["caseId"], "--reason", "RESTOCKED")
    assert taken["etag"] != MESH.ask("case", "get", case["caseId"])["etag"]
    MESH.ctl("case", "list", "--state", "CLOSED", code=1)
    MESH.ctl("case", "resolve", case["caseId"], code=1)
    await_true("the mail is sent", lambda: "SENT" in MESH.ctl("message", "list", "--order", order_id))
    mail = email.message_from_bytes((MESH.dir / "mail" / f"{order_id}-rejected.eml").read_bytes(), policy=email.policy.default)
    assert mail["To"] == "ben@example.com" and order_id in mail["Subject"] and not mail.defects, mail
    assert "Not enough in stock" in mail.get_content(), mail.get_content()


def the_ledger_is_told():
    balance = MESH.ask("ledger", "balance", "--currency", "EUR")
    assert all(s.get("units", "0") == "0" and not s.get("nanos") for s in balance["sums"]), balance
    assert "sum" in MESH.ctl("ledger", "balance") and "SALES" in MESH.ctl("ledger", "entries")


def no_order_is_stuck():
    assert MESH.ask("order", "stuck") == {"orders": []}
    assert "no order is stuck" in MESH.ctl("order", "stuck")


def a_customer_sees_only_their_own():
    ada = {"OMSCTL_TOKEN": MESH.token("ada", "customer")}
    eve = {"OMSCTL_TOKEN": MESH.token("eve", "customer")}
    assert "PAYMENT_REQUIRED" in MESH.ctl("order", "place", f"{MUG}=1", env=ada, code=2)
    order = MESH.ask("order", "place", f"{MUG}=1", "--pay", "tok_ok", "--wait", env=ada)["order"]
    assert order["customerId"] == "ada", order
    assert "NOT_FOUND" in MESH.ctl("order", "get", order["orderId"], env=eve, code=2)
    assert "PERMISSION_DENIED" in MESH.ctl("stock", "adjust", MUG, "BER", "1", env=eve, code=2)


def events_are_told_from_any_position():
    entries = [json.loads(line) for line in MESH.ctl("events", "-o", "json").splitlines()]
    assert [e["seq"] for e in entries] == list(range(entries[0]["seq"], entries[-1]["seq"] + 1))
    assert {"ORDER_PLACED", "ORDER_CONFIRMED", "ORDER_REJECTED"} <= {e["type"] for e in entries}
    after = entries[len(entries) // 2]
    rest = MESH.ctl("events", "--after", f"{after['incarnation']}:{after['seq']}", "-o", "json").splitlines()
    assert [json.loads(line)["seq"] for line in rest] == [e["seq"] for e in entries if e["seq"] > after["seq"]]
    assert "PRODUCT_UPSERTED" in MESH.ctl("events", "--service", "svc-inventory")


def a_process_tells_its_status_and_has_no_dead_letters():
    status = MESH.ask("status", "--service", "svc-order")
    assert status["service"] == "svc-order" and any(c["source"] == "svc-inventory" for c in status["cursors"]), status
    assert MESH.ask("deadletters", "list", "--service", "svc-order") == {"dead_letters": []}
    assert "NOT_FOUND" in MESH.ctl("deadletters", "explain", "nothing", "--service", "svc-order", code=2)


def any_method_is_called_by_reflection():
    assert MESH.ask("call", "grpc.health.v1.Health/Check", "--service", "svc-order") == {"status": "SERVING"}
    page = MESH.ask("call", "/oms.catalog.v1.CatalogService/ListProducts", "-", stdin='{"pageSize": 3}')
    assert len(page["products"]) == 3
    stream = MESH.ctl("call", "mesh.v1.LogService/Tail", "{}", "--service", "svc-order").splitlines()
    assert json.loads(stream[0])["entries"]
    assert "no method" in MESH.ctl("call", "oms.catalog.v1.CatalogService/Nothing", code=1)
    assert "pageSiez" in MESH.ctl("call", "oms.catalog.v1.CatalogService/ListProducts", '{"pageSiez": 3}', code=1)


def services_and_types_are_listed_and_described():
    names = {row["name"] for row in MESH.ask("list")}
    assert {"oms.order.v1.OrderService", "oms.catalog.v1.CatalogService", "grpc.health.v1.Health"} <= names, names
    assert "oms.order.v1.OrderService/PlaceOrder" in MESH.ctl("list", "oms.order.v1.OrderService")
    assert "rpc PlaceOrder(oms.order.v1.PlaceOrderRequest)" in MESH.ctl("describe", "oms.order.v1.OrderService")
    assert "CONFIRMED = 2" in MESH.ctl("describe", "oms.order.v1.Order.State")
    assert {"name": "CONFIRMED", "number": 2}.items() <= MESH.ask("describe", "oms.order.v1.Order.State")["value"][2].items()
    assert MESH.ask("describe", "oms.order.v1.OrderService/WatchOrder")["serverStreaming"] is True
    assert "int64 quantity = 2" in MESH.ctl("describe", "oms.order.v1.PlaceOrderRequest.Line")


def no_answer_and_no_sense_have_codes_of_their_own():
    assert "UNAVAILABLE" in MESH.ctl("catalog", "list", "--server", "127.0.0.1:1", "--timeout", "2s", code=3)
    MESH.ctl("catalog", "list", "--limit", "many", code=1)
    assert "UNAUTHENTICATED" in MESH.ctl("order", "list", "--token", "ey.not.one", code=2)


def a_second_up_is_harmless():
    before = {f.name: f.read_text() for f in (MESH.dir / "run").glob("*.pid")}
    MESH._dev("up", "--bare")
    assert before == {f.name: f.read_text() for f in (MESH.dir / "run").glob("*.pid")}


def help_is_told_for_every_command():
    listed = subprocess.run([CTL, "--help"], capture_output=True, text=True, check=True).stdout
    commands = [line[2:24].strip() for line in listed.splitlines() if line.startswith("  ") and line[2] not in "- "]
    assert len(commands) > 20, listed
    for command in commands:
        told = subprocess.run([CTL, *command.split(), "--help"], capture_output=True, text=True, check=True).stdout
        assert told.startswith(f"omsctl {command}"), told


if __name__ == "__main__":
    with Mesh() as MESH:
        ok = tap.run([
            the_sample_is_imported_once_and_a_second_run_sends_nothing,
            long_work_shows_on_a_terminal_how_far_it_is,
            a_changed_price_is_the_only_thing_sent,
            products_are_got_listed_and_searched,
            stock_is_adjusted_and_told,
            the_books_are_verified,
            the_same_request_id_has_one_effect,
            an_order_is_confirmed_while_it_is_watched,
            orders_are_found_by_their_channels_number_and_by_a_filter,
            orders_are_exported_and_then_what_has_changed,
            an_order_of_more_than_there_is_is_rejected_with_a_sentence,
            a_refusal_names_code_reason_and_field,
            an_order_is_explained_cancelled_and_its_watch_ends,
            an_order_is_packed_shipped_and_paid_for,
            what_is_sold_out_is_a_case_and_a_mail,
            the_ledger_is_told,
            no_order_is_stuck,
            a_customer_sees_only_their_own,
            events_are_told_from_any_position,
            a_process_tells_its_status_and_has_no_dead_letters,
            any_method_is_called_by_reflection,
            services_and_types_are_listed_and_described,
            no_answer_and_no_sense_have_codes_of_their_own,
            a_second_up_is_harmless,
            help_is_told_for_every_command,
        ])
    sys.exit(not ok)
