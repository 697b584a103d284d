#!/usr/bin/python3
"""JSON over HTTP as a shop without gRPC has it: curl, over HTTP/1.1 and HTTP/2, in the clear and by TLS."""
import json
import subprocess
import sys

import tap
from client import new_id
from whole_mesh import Mesh

WAYS = {"HTTP/1.1": ["--http1.1"], "HTTP/2": ["--http2-prior-knowledge"], "TLS": []}
ORDER = {"currencyCode": "EUR", "wait": True, "paymentToken": "tok_ok", "lines": [{"sku": "MUG-S", "quantity": 2}]}


def curl(path, body=None, who="alice", way="HTTP/1.1", key=None, more=()):
    """The status of HTTP and the answer."""
    url = f"https://localhost:{MESH.base + 443}{path}" if way == "TLS" else f"http://{MESH.address}{path}"
    args = ["curl", "-sS", "--max-time", "30", "-w", "\n%{http_code}", "--cacert", str(MESH.ca), *WAYS[way], url, *more]
    if who:
        args += ["-H", f"authorization: Bearer {TOKENS[who]}"]
    if key:
        args += ["-H", f"idempotency-key: {key}"]
    if body is not None:
        args += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60, check=True)
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text)


def refused(answer, http, status, reason):
    error = answer[1]["error"]
    assert answer[0] == error["code"] == http and error["status"] == status and error["message"], answer
    assert any(d.get("reason") == reason for d in error["details"]), answer


def life_of_an_order(way):
    key = new_id()
    http, placed = curl("/v1/orders", ORDER, way=way, key=key)
    assert http == 200 and placed["order"]["state"] == "CONFIRMED", placed
    name = placed["order"]["orderId"]
    assert curl("/v1/orders", ORDER, way=way, key=key)[1]["order"]["orderId"] == name
    refused(curl("/v1/orders", ORDER | {"channel": "web"}, way=way, key=key), 400, "INVALID_ARGUMENT", "REQUEST_ID_REUSED")
    http, read = curl(f"/v1/orders/{name}", way=way)
    assert http == 200 and read["order"]["orderId"] == name and read["order"]["customerId"] == "alice", read
    http, listed = curl("/v1/orders?customer_id=alice&page_size=1&filter=lines.sku%3AMUG-S+state+%3D+CONFIRMED", way=way)
    assert http == 200 and [o["orderId"] for o in listed["orders"]] == [name], listed
    http, cancelled = curl(f"/v1/orders/{name}:cancel", {"wait": True}, way=way, key=new_id())
    assert http == 200 and cancelled["order"]["state"] == "CANCELLED", cancelled
    assert curl(f"/v1/orders/{name}", way=way)[1]["order"]["state"] == "CANCELLED"


def what_is_refused_says_why():
    name = curl("/v1/orders", ORDER, key=new_id())[1]["order"]["orderId"]
    refused(curl(f"/v1/orders/{name}", who="bob"), 404, "NOT_FOUND", "ORDER_NOT_FOUND")
    refused(curl("/v1/orders?customer_id=alice", who="bob"), 403, "PERMISSION_DENIED", "NOT_YOURS")
    refused(curl(f"/v1/orders/{name}", who=None), 401, "UNAUTHENTICATED", "TOKEN_REQUIRED")
    refused(curl("/v1/orders", ORDER), 400, "INVALID_ARGUMENT", "FIELD_REQUIRED")
    refused(curl("/v1/orders?colour=red"), 400, "INVALID_ARGUMENT", "PARAMETER_INVALID")
    refused(curl("/v1/nothing"), 404, "NOT_FOUND", "PATH_UNKNOWN")
    refused(curl("/v1/orders", more=["-X", "DELETE"]), 405, "UNIMPLEMENTED", "VERB_NOT_ALLOWED")
    refused(curl("/v1/orders", more=["-d", "a=b"]), 415, "INVALID_ARGUMENT", "CONTENT_UNSUPPORTED")


with Mesh() as MESH:
    MESH.load_goods()
    TOKENS = {name: MESH.token(name, "customer") for name in ("alice", "bob")}
    tests = [(f"an order is placed once, read, found and cancelled over {way}", lambda way=way: life_of_an_order(way))
             for way in WAYS]
    ok = tap.run([*tests, what_is_refused_says_why])
sys.exit(not ok)
