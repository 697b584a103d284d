#!/usr/bin/python3
"""A real retailer's day through the gateway: what comes back equals, to the penny, what a script reads from the file."""

import collections
import csv
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "year"))
import expect
import client
import tap
from whole_mesh import RETAIL, SAMPLE, Mesh

DAY = os.environ.get("RETAIL_DAY", "2010-12-01")
ORDERS = "oms.order.v1.OrderService/"
MAPPING = SAMPLE / "retailer.json"


def cut_day():
    """The file's lines of one day, in a file of their own."""
    path = MESH.dir / "day.csv"
    with expect.open_text(RETAIL) as file, path.open("w", encoding="utf-8", newline="") as out:
        rows, writer = csv.reader(file), csv.writer(out)
        head = next(rows)
        writer.writerow(head)
        writer.writerows(row for row in rows if row[head.index("InvoiceDate")].startswith(DAY))
    return path


def minor(money):
    return int(money.get("units", 0)) * 100 + money.get("nanos", 0) // 10_000_000


def products():
    return MESH.ask("catalog", "import", FILE, "--map", MAPPING)


def place():
    """The summary, and the report as line → outcome and reason."""
    report = MESH.dir / "report.csv"
    told = MESH.ask("order", "import", FILE, "--map", MAPPING, "--report", report, code=4)
    with report.open(encoding="utf-8", newline="") as file:
        return told, {int(row["line"]): (row["outcome"], row["reason"]) for row in csv.DictReader(file)}


def letters():
    """What svc-order has still to tell others."""
    queues = MESH.ask("status", "--service", "svc-order").get("queues", [])
    return sum(int(queue.get("waiting", 0)) for queue in queues if queue["destination"] != "timers")


def stock():
    return MESH.ask("stock", "list", "--limit", "0")["stock"]


def orders():
    return MESH.ask("order", "list", "--channel", "erp", "--limit", "0")["orders"]


def credits():
    return MESH.ask("call", ORDERS + "ListCredits", '{"pageSize": 500}').get("credits", [])


def products_and_stock_are_made_of_the_day():
    done = products()
    assert done["products"] == {"sent": len(EXPECTED.skus), "unchanged": 0, "refused": 0}, done
    sold = {sku: sums[expect.SOLD][1] for sku, sums in EXPECTED.cells.by(2).items() if sku in EXPECTED.goods}
    assert {row["sku"]: int(row["onHand"]) for row in stock()} == {sku: n for sku, n in sold.items() if n}
    before = stock()
    assert products()["products"]["sent"] == 0
    assert stock() == before


def a_staged_import_of_which_one_invoice_is_refused_takes_nothing():
    spoilt = MESH.dir / "spoilt.csv"
    spoilt.write_text(FILE.read_text(encoding="utf-8") + f"999999,NOWHERE,?,1,{DAY} 23:00:00,1.00,1.0,France\n", encoding="utf-8")
    held = stock()
    told = MESH.ctl("order", "import", spoilt, "--map", MAPPING, "--staged", "spoilt", code=2)
    assert f"1 of {EXPECTED.sales + EXPECTED.cancellations + 1} invoices were refused, and import spoilt is discarded" in told, told
    client.await_true("it is forgotten", lambda: MESH.ask("call", ORDERS + "GetImport", '{"importId": "spoilt"}')["job"]["state"] == "DISCARDED")
    assert (orders(), credits(), stock()) == ([], [], held)


def a_staged_import_that_is_not_what_the_file_has_does_not_begin():
    more = [{"requestId": "more", "importId": "longer", "orders": [{
        "customerId": "", "currencyCode": "GBP", "channel": "erp", "externalId": "more", "fulfilled": True,
        "lines": [{"sku": min(EXPECTED.goods), "quantity": "1", "unitPrice": {"currencyCode": "GBP", "units": "1"}}]}]}]
    with client.Client(MESH) as erp:
        (taken,) = erp.call(ORDERS + "ImportOrders", more, "erp:erp1")
        assert taken["placed"] == 1, taken
    told, n = MESH.ctl("order", "import", FILE, "--map", MAPPING, "--staged", "longer", code=2), EXPECTED.sales + EXPECTED.cancellations
    assert f"it has {n + 1} entries, and should have {n}" in told, told
    job = MESH.ask("call", ORDERS + "GetImport", '{"importId": "longer"}')["job"]
    assert (job["state"], int(job["staged"])) == ("STAGED", n + 1), job
    MESH.ctl("call", ORDERS + "DiscardImport", '{"requestId": "longer", "importId": "longer"}')
    client.await_true("it is forgotten", lambda: MESH.ask("call", ORDERS + "GetImport", '{"importId": "longer"}')["job"]["state"] == "DISCARDED")
    assert (orders(), credits()) == ([], [])


def every_line_becomes_what_the_rules_say():
    told, outcomes = place()
    assert outcomes == EXPECTED.outcomes, [(n, outcomes.get(n), o) for n, o in EXPECTED.outcomes.items() if outcomes.get(n) != o][:5]
    assert told["invoices"]["accepted"] == EXPECTED.sales + EXPECTED.cancellations, told["invoices"]
    lines = told["lines"]
    assert lines["read"] == len(outcomes) == lines["accepted"] + lines["refused"] + lines["credited"], lines


def sums_per_country_read_back_are_those_of_the_file():
    told = collections.Counter()
    for order in orders():
        assert order["state"] == "COMPLETED"
        assert minor(order["total"]) == sum(minor(line["lineTotal"]) for line in order["lines"])
        told[order["shipTo"]["country"]] += minor(order["total"])
    expected = {country: sums[expect.SOLD][0] for country, sums in EXPECTED.cells.by(1).items() if sums[expect.SOLD][1]}
    assert told == expected, (told, expected)


def what_is_cancelled_refers_to_its_order_or_has_a_reason():
    found = collections.Counter()
    for credit in credits():
        for line in credit["lines"]:
            found[(expect.REFUNDED, "") if line.get("orderId") else (expect.CREDITED, line["reason"])] += 1
    assert found == {o: n for o, n in EXPECTED.counts.items() if o[0] in (expect.REFUNDED, expect.CREDITED)}, found


def a_second_run_has_no_second_effect():
    before = orders(), credits()
    client.await_true("the stock has moved", lambda: letters() == 0)
    held = stock()
    assert place()[1] == EXPECTED.outcomes
    assert (orders(), credits()) == before
    products()
    assert stock() == held


def a_mistake_in_the_mapping_is_told_before_anything_is_sent():
    wrong = MESH.dir / "wrong.json"
    mapping = json.loads(MAPPING.read_text(encoding="utf-8"))
    wrong.write_text(json.dumps(mapping | {"goods": "("}), encoding="utf-8")
    assert f"{wrong}: goods: " in MESH.ctl("order", "import", FILE, "--map", wrong, code=1)
    mapping["columns"]["price"] = "Prize"
    wrong.write_text(json.dumps(mapping), encoding="utf-8")
    assert f"{FILE}:1: the column Prize is missing" in MESH.ctl("order", "import", FILE, "--map", wrong, code=1)


if __name__ == "__main__":
    if not RETAIL.exists():
        print(f"1..0 # SKIP the retailer's data is absent: {RETAIL.name}")
        sys.exit(0)
    with Mesh() as MESH:
        FILE = cut_day()
        EXPECTED = expect.Expected(FILE)
        ok = tap.run([
            products_and_stock_are_made_of_the_day,
            a_staged_import_of_which_one_invoice_is_refused_takes_nothing,
            a_staged_import_that_is_not_what_the_file_has_does_not_begin,
            every_line_becomes_what_the_rules_say,
            sums_per_country_read_back_are_those_of_the_file,
            what_is_cancelled_refers_to_its_order_or_has_a_reason,
            a_second_run_has_no_second_effect,
            a_mistake_in_the_mapping_is_told_before_anything_is_sent,
        ])
    sys.exit(not ok)
