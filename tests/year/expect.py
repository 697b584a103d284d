#!/usr/bin/python3
"""What a retailer's file must come to, computed from the file by the rules of docs/import.md and nothing else: counts, and
sums per month, country and SKU, each as [pence, units]. Prints them as JSON: expect.py FILE [--mapping MAPPING]."""
import argparse
import collections
import csv
import datetime
import decimal
import functools
import json
import lzma
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MAPPING = ROOT / "dev" / "sample" / "retailer.json"
WORD_MAX, QUANTITY_MAX, INVOICE_MAX = 64, 10**9, 1000
PENCE = decimal.Decimal(100)
SOLD, REFUNDED, CREDITED = "sold", "refunded", "credited"

Line = collections.namedtuple("Line", "number invoice code quantity pence customer country time outcome reason sale", defaults=("",))


def open_text(path):
    opened = lzma.open if str(path).endswith(".xz") else open
    return opened(path, "rt", encoding="utf-8-sig", newline="")


@functools.cache
def whole_number(text):
    """None: it is none, or one that no order can have."""
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        return None
    return int(number) if number == int(number) and abs(number) <= QUANTITY_MAX else None


@functools.cache
def in_pence(text):
    """As a decimal; None: it is no number."""
    try:
        return decimal.Decimal(text) * PENCE
    except decimal.InvalidOperation:
        return None


def refusal(kind, row, quantity, pence):
    """Why a line is refused by what stands in it, or None."""
    words = row.invoice, row.code, row.country
    if kind == "adjustment":
        return "ADJUSTMENT"
    if not all(words) or kind is None or row.time is None or max(map(len, (*words, row.customer))) > WORD_MAX:
        return "FIELD_MISSING"
    if quantity is None:
        return "QUANTITY_MISSING"
    if pence is None or (pence == 0 and not row.customer):
        return "PRICE_MISSING"
    if pence != int(pence):
        return "PRICE_NOT_WHOLE"
    if pence < 0:
        return "PRICE_NEGATIVE"
    if kind == "sale" and quantity <= 0:
        return "QUANTITY_NOT_POSITIVE"
    if kind == "cancellation" and quantity >= 0:
        return "QUANTITY_NOT_NEGATIVE"
    return None


class Reader:
    """The lines of a file as the mapping has them, each with what the rules that look at it alone say."""

    def __init__(self, mapping):
        self.columns, self.format = mapping["columns"], mapping["time"]
        self.suffix = mapping.get("customer_suffix", "")
        self.patterns = [(kind, re.compile(mapping["invoices"][kind])) for kind in ("adjustment", "cancellation", "sale")]
        self.kind, self.time = functools.cache(self._kind), functools.cache(self._time)

    def _kind(self, invoice):
        return next((kind for kind, pattern in self.patterns if pattern.search(invoice)), None)

    def _time(self, text):
        """Microseconds since 1970, or None."""
        try:
            moment = datetime.datetime.strptime(text, self.format).replace(tzinfo=datetime.timezone.utc)
        except ValueError:
            return None
        return int(moment.timestamp()) * 10**6

    def lines(self, file):
        rows = csv.reader(file)
        head = next(rows)
        invoice, code, quantity, price, customer, country, time = (
            head.index(self.columns[name]) for name in ("invoice", "code", "quantity", "price", "customer", "country", "time"))
        for row in rows:
            buyer = row[customer].strip().removesuffix(self.suffix)
            n, pence = whole_number(row[quantity].strip()), in_pence(row[price].strip())
            line = Line(rows.line_num, row[invoice].strip(), row[code].strip(), abs(n or 0), pence, buyer,
                        row[country].strip(), self.time(row[time].strip()), "", "")
            kind = self.kind(line.invoice)
            reason = refusal(kind, line, n, pence)
            if reason:
                yield line._replace(outcome="refused", reason=reason)
            else:
                yield line._replace(outcome=SOLD if kind == "sale" else CREDITED, pence=int(pence))


def gather(lines):
    """Refused lines, and the others by invoice, in the order of the invoices' first lines; time, customer and country of an
     invoice are those of its first line."""
    refused, invoices = [], {}
    for line in lines:
        if line.outcome == "refused":
            refused.append(line)
            continue
        of = invoices.setdefault(line.invoice, [])
        first = of[0] if of else line
        if first is not line:
            line = line._replace(time=first.time, customer=first.customer, country=first.country)
        of.append(line)
    for number in [number for number, of in invoices.items() if len(of) > INVOICE_MAX]:
        refused += [line._replace(outcome="refused", reason="INVOICE_TOO_LONG") for line in invoices.pop(number)]
    return refused, invoices


def match(invoices):
    """Each line of a cancellation refers to the latest sale before it, of the same customer, code and quantity, that no
    other one refers to; unless its price is above that one's."""
    sales = collections.defaultdict(list)
    for lines in invoices.values():
        for line in lines:
            key = line.customer, line.code, line.quantity
            if line.outcome == SOLD:
                if line.customer:
                    sales[key].append(line)
                yield line
            elif not line.customer:
                yield line._replace(reason="CUSTOMER_UNKNOWN")
            elif not sales[key]:
                yield line._replace(reason="NO_SUCH_SALE")
            elif sales[key][-1].pence < line.pence:
                yield line._replace(reason="ABOVE_SALE_PRICE")
            else:
                yield line._replace(outcome=REFUNDED, sale=sales[key].pop().invoice)


@functools.cache
def month_of(time_us):
    return datetime.datetime.fromtimestamp(time_us // 10**6, datetime.timezone.utc).strftime("%Y-%m")


class Cells:
    """Pence and units by (month, country, SKU, outcome), from which every sum is made."""

    def __init__(self):
        self.all = {}

    def add(self, month, country, sku, outcome, pence, units):
        cell = self.all.setdefault((month, country, sku, outcome), [0, 0])
        cell[0] += pence
        cell[1] += units

    def by(self, place):
        """Sums by the place of a cell's key: 0 month, 1 country, 2 SKU."""
        sums = {}
        for key, (pence, units) in self.all.items():
            of = sums.setdefault(key[place], {outcome: [0, 0] for outcome in (SOLD, REFUNDED, CREDITED, "net")})
            sign = 1 if key[3] == SOLD else -1
            for outcome, factor in ((key[3], 1), ("net", sign)):
                of[outcome][0] += factor * pence
                of[outcome][1] += factor * units
        return dict(sorted(sums.items()))


class Order:
    """What becomes of a sale: pence sold and given back, and the units of each SKU that came back. Money counts: what came
    back cheaper than it was sold is not given back whole."""

    def __init__(self):
        self.sold, self.back, self.returned = 0, 0, {}

    def add(self, line):
        if line.outcome == SOLD:
            self.sold += line.pence * line.quantity
        else:
            self.back += line.pence * line.quantity
            self.returned[line.code] = self.returned.get(line.code, 0) + line.quantity

    def ends(self):
        return self.sold, self.back, "REFUNDED" if 0 < self.sold <= self.back else "ON_ACCOUNT", self.returned


class Expected:
    """What a file comes to. Of each line (by its number in the file) its outcome and reason."""

    def __init__(self, path, mapping_path=MAPPING):
        mapping = json.loads(pathlib.Path(mapping_path).read_text(encoding="utf-8"))
        with open_text(path) as file:
            refused, invoices = gather(Reader(mapping).lines(file))
        self.cells = Cells()
        self.outcomes = {line.number: (line.outcome, line.reason) for line in refused}
        of_orders = collections.defaultdict(Order)
        for line in match(invoices):
            if line.outcome != CREDITED:
                of_orders[line.sale or line.invoice].add(line)
            self.outcomes[line.number] = line.outcome, line.reason
            self.cells.add(month_of(line.time), line.country, line.code, line.outcome, line.pence * line.quantity, line.quantity)
        self.orders = {number: order.ends() for number, order in of_orders.items()}
        self.counts = collections.Counter(self.outcomes.values())
        self.sales = sum(lines[0].outcome == SOLD for lines in invoices.values())
        self.cancellations = len(invoices) - self.sales
        self.skus = {key[2] for key in self.cells.all}
        self.goods = {sku for sku in self.skus if re.search(mapping["goods"], sku)}

    def balances(self):
        """Of each account of the ledger, in pence: a debit is above zero."""
        sold = sum(pence for key, (pence, _) in self.cells.all.items() if key[3] == SOLD)
        back = sum(pence for key, (pence, _) in self.cells.all.items() if key[3] != SOLD)
        return {"RECEIVABLE": sold - back, "SALES": -sold, "CREDITS": back}

    def count(self, *outcomes):
        return sum(n for (outcome, _), n in self.counts.items() if outcome in outcomes)

    def as_dict(self):
        return {"sales": self.sales, "cancellations": self.cancellations, "lines": len(self.outcomes),
                "outcomes": {f"{outcome} {reason}".strip(): n for (outcome, reason), n in sorted(self.counts.items())},
                "months": self.cells.by(0), "countries": self.cells.by(1), "skus": self.cells.by(2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--mapping", default=MAPPING)
    args = parser.parse_args()
    json.dump(Expected(args.file, args.mapping).as_dict(), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
