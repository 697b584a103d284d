"""What a retailer's customers buy: the invoices of online-retail.csv.xz in ../shared/data (or in the directory that
OMS_RETAIL_DATA names) where it is there, else invoices drawn from the quantiles below, which are measured from it.

    bench/retailer.py FILE      measures them again"""

import bisect
import collections
import csv
import decimal
import lzma
import os
import pathlib
import random
import sys

FILE = pathlib.Path(os.environ.get("OMS_RETAIL_DATA", pathlib.Path(__file__).resolve().parents[2] / "shared/data")) / "online-retail.csv.xz"

# Of what docs/import.md accepts as sold: value at the quantile, in percent. 14,334 invoices with 362,338 lines.
LINES = ((0, 1), (10, 2), (20, 5), (30, 8), (40, 11), (50, 15), (60, 19), (70, 24), (75, 28), (80, 33), (85, 41), (90, 51),
         (95, 75), (97, 105), (98, 151), (99, 204), (99.5, 290), (99.9, 512), (100, 705))
QUANTITY = ((0, 1), (25, 1), (30, 2), (40, 2), (45, 3), (50, 4), (60, 6), (70, 9), (75, 12), (85, 12), (90, 24), (95, 30),
            (97, 48), (98, 72), (99, 100), (99.5, 192), (99.9, 480), (100, 74215))
PRICE = ((0, 0), (5, 42), (10, 65), (20, 85), (30, 128), (40, 165), (50, 210), (60, 295), (70, 375), (80, 495), (90, 795),
         (95, 995), (98, 1495), (99, 1800), (99.5, 2496), (99.9, 17672), (100, 1354133))  # minor units
# The share of lines, in percent, that the most frequent so many codes have.
CODES = ((0, 0), (0.49, 1), (0.93, 2), (2.13, 5), (3.58, 10), (6.16, 20), (12.47, 50), (20.37, 100), (31.71, 200),
         (47.52, 400), (67.17, 800), (79.53, 1200), (87.77, 1600), (93.26, 2000), (97.3, 2500), (99.25, 3000), (100, 3744))
GUESTS = 0.081  # of the invoices; the others are of 3,616 customers
CUSTOMERS = 3616
INVOICES = 14334

Invoice = collections.namedtuple("Invoice", "customer country lines")  # lines: (code's rank, quantity, minor)


def read(path):
    """The invoices as docs/import.md accepts their lines, codes replaced by how frequent they are: 0 is the most."""
    invoices = {}
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            number, code, country = row["InvoiceNo"].strip(), row["StockCode"].strip(), row["Country"].strip()
            if not number or number[0] in "CA" or not code or not country:
                continue
            try:
                quantity, minor = int(row["Quantity"]), decimal.Decimal(row["UnitPrice"]) * 100
            except (ValueError, decimal.InvalidOperation):
                continue
            if quantity <= 0 or minor < 0 or minor != int(minor) or (minor == 0 and not row["CustomerID"]):
                continue
            customer = f"cus_{row['CustomerID'].split('.')[0]}" if row["CustomerID"] else ""
            invoices.setdefault(number, Invoice(customer, country, [])).lines.append((code, quantity, int(minor)))
    counted = collections.Counter(code for invoice in invoices.values() for code, _, _ in invoice.lines)
    rank = {code: i for i, (code, _) in enumerate(counted.most_common())}
    return [Invoice(i.customer, i.country, [(rank[c], q, m) for c, q, m in i.lines]) for i in invoices.values()]


def drawn(chance, table):
    at = chance.random() * 100
    i = bisect.bisect_right(table, (at, float("inf")))
    (p0, v0), (p1, v1) = table[i - 1], table[min(i, len(table) - 1)]
    return v0 + (v1 - v0) * (at - p0) / (p1 - p0 or 1)


def made():
    chance = random.Random(1)
    return [Invoice("" if chance.random() < GUESTS else f"cus_{chance.randrange(CUSTOMERS)}", "United Kingdom",
                    [(int(drawn(chance, CODES)), int(drawn(chance, QUANTITY)), int(drawn(chance, PRICE)))
                     for _ in range(round(drawn(chance, LINES)))]) for _ in range(INVOICES)]


def invoices():
    """And in words what they are."""
    found = read(FILE) if FILE.exists() else made()
    lines = sorted(len(i.lines) for i in found)
    return found, (f"{len(found)} invoices {'of a retailer' if FILE.exists() else 'as a retailer has them'}, "
                   f"{sum(lines)} lines: median {lines[len(lines) // 2]}, p99 {lines[len(lines) * 99 // 100]}, max {lines[-1]}")


def codes(found):
    return 1 + max(code for invoice in found for code, _, _ in invoice.lines)


def write(found, path):
    """For the programs that load with them; see bench/plan.h."""
    with open(path, "w", encoding="utf-8") as out:
        for invoice in found:
            out.write(f"I\t{invoice.customer}\t{invoice.country}\n")
            out.writelines(f"L\tB{code:05d}\t{quantity}\t{minor}\n" for code, quantity, minor in invoice.lines)


def quantiles(name, values, table):
    values = sorted(values)
    print(name, tuple((p, values[min(len(values) - 1, int(len(values) * p / 100))]) for p, _ in table))


def main(path):
    found = read(path)
    lines = [line for invoice in found for line in invoice.lines]
    by_code = collections.Counter(code for code, _, _ in lines)
    quantiles("LINES", [len(invoice.lines) for invoice in found], LINES)
    quantiles("QUANTITY", [line[1] for line in lines], QUANTITY)
    quantiles("PRICE", [line[2] for line in lines], PRICE)
    print("CODES", tuple((round(100 * sum(by_code[c] for c in range(n)) / len(lines), 2), n) for _, n in CODES), codes(found))
    print("GUESTS", round(sum(not i.customer for i in found) / len(found), 3), "CUSTOMERS", len({i.customer for i in found}) - 1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
