#!/usr/bin/python3
"""A real retailer's day through the gateway: what comes back equals, to the penny, what a script reads from the file."""

import collections
import csv
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "year"))
import expect
import tap
from whole_mesh import RETAIL, SAMPLE, Mesh

DAY = os.environ.get("RETAIL_DAY", "2010-12-01")
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


def stock():
    return MESH.ask("stock", "list", "--limit", "0")["stock"]


def orders():
    return MESH.ask("order", "list", "--channel", "erp", "--limit", "0")["orders"]


def products_and_stock_are_made_of_the_day():
    done = products()
    assert done["products"] == {"sent": len(EXPECTED.skus), "unchanged": 0, "refused": 0}, done
    sold = {sku: sums.units[expect.SOLD] for sku, sums in EXPECTED.skus.items() if sku in EXPECTED.stocked}
    assert {row["sku"]: int(row["onHand"]) for row in stock()} == {sku: n for sku, n in sold.items() if n}
    before = stock()
    assert products()["products"]["sent"] == 0
    assert stock() == before


def every_line_becomes_what_the_rules_say():
    told, outcomes = place()
    sent = {n: o if o[0] in (expect.SOLD, "refused") else ("unsent", "") for n, o in EXPECTED.outcomes.items()}
    assert outcomes == sent, [(n, outcomes.get(n), o) for n, o in sent.items() if outcomes.get(n) != o][:5]
    assert told["lines"]["read"] == len(sent) == told["lines"]["accepted"] + told["lines"]["refused"] + told["lines"]["unsent"]


def sums_per_country_read_back_are_those_of_the_file():
    told = collections.Counter()
    for order in orders():
        whole = MESH.ask("order", "get", order["orderId"])["order"]
        assert minor(whole["total"]) == sum(minor(line["lineTotal"]) for line in whole["lines"])
        told[whole["shipTo"]["country"]] += minor(whole["total"])
    expected = {country: sums.pence[expect.SOLD] for country, sums in EXPECTED.countries.items()}
    assert told == expected, (told, expected)


def a_second_run_has_no_second_effect():
    before, held = orders(), stock()
    told, outcomes = place()
    assert told["lines"]["accepted"] == EXPECTED.counts[expect.SOLD]
    assert {order["orderId"] for order in orders()} == {order["orderId"] for order in before}
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
            every_line_becomes_what_the_rules_say,
            sums_per_country_read_back_are_those_of_the_file,
            a_second_run_has_no_second_effect,
            a_mistake_in_the_mapping_is_told_before_anything_is_sent,
        ])
    sys.exit(not ok)
