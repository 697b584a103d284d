#!/usr/bin/python3
"""What can be seen from outside: one trace through every hop, figures that move, and nowhere a word about a person."""
import http.server
import json
import secrets
import sqlite3
import sys
import threading
import urllib.request

import tap
from client import Client, await_prices, await_true, new_id
from whole_mesh import ROOT, Mesh

PLACE = "oms.order.v1.OrderService/PlaceOrder"
PARCEL = "oms.shipping.v1.FulfillmentService/"
TAIL = "mesh.v1.LogService/Tail"
CANARY = "Canary" + secrets.token_hex(8)
ADMIN = {row[0]: int(row[2]) for row in map(str.split, open(ROOT / "dev" / "processes", encoding="utf-8"))
         if len(row) == 3 and row[0] != "#"}
SERVICES = sorted(p for p in ADMIN if p != "gateway")
# A person is told of in these tables only, each with a column that says whose it is.
PERSONAL = {"order_address", "contact", "shipment_address"}


def place(extra=None, who="customer:wanda"):
    address = {"name": f"{CANARY} Name", "street": [f"{CANARY} Street 1"], "city": f"{CANARY} City", "postalCode": "10115",
               "country": "DE"}
    request = {"requestId": new_id(), "currencyCode": "EUR", "wait": True, "shipTo": address, "paymentToken": "tok_ok",
               "email": f"{CANARY}@example.com", "lines": [{"sku": "MUG-S", "quantity": "1"}]}
    return CLIENT.call(PLACE, request, who, extra)["order"]


def log_of(service):
    return [e for page in CLIENT.call(TAIL, {}, "erp:erp1", {"mesh-service": service}, take=10000) for e in page["entries"]]


def traced(service, trace):
    return [e for e in log_of(service) if e["trace"].split("-")[1:2] == [trace]]


def one_trace_goes_through_calls_commands_and_events():
    trace = secrets.token_hex(16)
    order = place({"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"})
    mine = [e for e in log_of("svc-order") if e["key"] == order["orderId"]]
    assert mine[0]["type"] == 10 and 11 in {e["type"] for e in mine}, mine
    assert all(e["trace"].split("-")[1] == trace for e in mine), mine
    sold = traced("svc-inventory", trace)
    assert [e["key"] for e in sold] == ["MUG-S"], "the reservation's event belongs to the trace too"
    for service in ("svc-payment", "svc-shipping"):
        told = await_true(f"{service} has told of the order", lambda service=service: traced(service, trace))
        assert {e["key"] for e in told} == {order["orderId"]}, told


class Collector(http.server.ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    daemon_threads = True

    def __init__(self):
        self.bodies = []
        super().__init__(("127.0.0.1", 0), CollectorCall)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def spans(self, trace):
        """[(service, span)]"""
        found = []
        for body in list(self.bodies):
            for resource in json.loads(body)["resourceSpans"]:
                service, = (a["value"]["stringValue"] for a in resource["resource"]["attributes"] if a["key"] == "service.name")
                found += [(service, s) for scope in resource["scopeSpans"] for s in scope["spans"] if s["traceId"] == trace]
        return found


class CollectorCall(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/json"), self.headers
        self.server.bodies.append(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def a_collector_is_told_of_a_call_and_of_all_that_follows():
    trace, client_span = secrets.token_hex(16), secrets.token_hex(8)
    place({"traceparent": f"00-{trace}-{client_span}-00"})
    wanted = {"gateway", "svc-order", "svc-inventory", "svc-payment", "svc-shipping"}

    def is_whole():
        told = COLLECTOR.spans(trace)
        known = {span["spanId"] for _, span in told} | {client_span}
        return wanted <= {service for service, _ in told} and all(span["parentSpanId"] in known for _, span in told)

    await_true("all have told of it, and of what they are parts of", is_whole)
    spans = COLLECTOR.spans(trace)
    ids = {span["spanId"] for _, span in spans}
    assert len(ids) == len(spans), "every span has an id of its own"
    entry, = (span for service, span in spans if service == "gateway")
    assert (entry["name"], entry["parentSpanId"]) == ("oms.order.v1.OrderService/PlaceOrder", client_span), entry
    assert ("svc-payment", "POST processor") in {(service, s["name"]) for service, s in spans}, spans
    assert all(int(s["startTimeUnixNano"]) <= int(s["endTimeUnixNano"]) for _, s in spans), spans


def metric(process, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{MESH.base + ADMIN[process]}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name) and not line.startswith("#"))


def calls_are_counted_by_every_process_they_pass():
    names = {p: "mesh_rpc_seconds_count" for p in ("svc-order", "svc-inventory", "svc-payment", "svc-shipping")} | {"gateway": "gateway_request_seconds_count"}
    before = {p: metric(p, n) for p, n in names.items()}
    for _ in range(5):
        place()
    for process, name in names.items():
        assert metric(process, name) >= before[process] + 1, f"{name} of {process} stands still"
    assert metric("gateway", names["gateway"]) >= before["gateway"] + 5


def every_process_says_that_it_is_well():
    for process, offset in ADMIN.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{MESH.base + offset}/healthz", timeout=10) as answer:
            assert answer.status == 200, process


def tables_with(word):
    """The tables of all databases that have the word somewhere, as text or within bytes, and their columns."""
    found = {}
    for file in sorted((MESH.dir / "data").glob("*.db")):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                rows = db.execute(f'SELECT * FROM "{table}"')
                columns = {c[0] for c in rows.description}
                for row in rows:
                    if any(word.encode() in (v if isinstance(v, bytes) else str(v).encode()) for v in row):
                        found[table] = columns
    return found


def mails():
    return [f for f in (MESH.dir / "mail").rglob("*") if f.is_file()]


def pack(order_id):
    """With the label, for which the carrier is told where to."""
    parcel, = await_true("there is a parcel", lambda: CLIENT.call(PARCEL + "ListFulfillments", {"orderId": order_id},
                                                                  "warehouse:will")["fulfillments"])
    CLIENT.call(PARCEL + "PackFulfillment", {"requestId": new_id(), "fulfillmentId": parcel["fulfillmentId"],
                                             "weightGrams": "700", "wait": True}, "warehouse:will")


def a_person_is_told_of_in_few_tables_only():
    order = place()
    pack(order["orderId"])
    again = CLIENT.call("oms.order.v1.OrderService/GetOrder", {"orderId": order["orderId"]}, "customer:wanda")["order"]
    assert again["shipTo"]["name"].startswith(CANARY), "she reads her own address"
    await_true("she is written to", lambda: any(f"{CANARY}@example.com" in f.read_text() for f in mails()))
    for service in SERVICES:
        assert CANARY not in str(log_of(service)), f"the log of {service} tells of a person"
    for log in (MESH.dir / "log").glob("*.log"):
        assert CANARY not in log.read_text(errors="replace"), f"{log.name} tells of a person"
    assert not any(CANARY in body for body in COLLECTOR.bodies), "the collector is told of a person"
    MESH.stop()  # databases are locked while their process lives
    found = tables_with(CANARY)
    assert set(found) == PERSONAL, found
    assert all("subject" in columns for columns in found.values()), found


if __name__ == "__main__":
    COLLECTOR = Collector()
    with Mesh({"OMS_TRACES": f"http://127.0.0.1:{COLLECTOR.server_address[1]}"}) as MESH, Client(MESH) as CLIENT:
        MESH.load_goods()
        await_prices(CLIENT)
        ok = tap.run([
            one_trace_goes_through_calls_commands_and_events,
            a_collector_is_told_of_a_call_and_of_all_that_follows,
            calls_are_counted_by_every_process_they_pass,
            every_process_says_that_it_is_well,
            a_person_is_told_of_in_few_tables_only,
        ])
    sys.exit(not ok)
