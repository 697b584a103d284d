"""What a mesh has made of an import, read three ways through its gateway: from its orders and credit memos, from the
ledger, and from the stock journal. Each way yields cells of pence and units as expect.py makes them of the file."""
import client  # the stubs
from expect import CREDITED, REFUNDED, SOLD, Cells, month_of

import oms.inventory.v1.inventory_pb2 as inventory_pb
import oms.order.v1.order_pb2 as order_pb
import oms.payment.v1.ledger_pb2 as ledger_pb

RETURNED = "returned"  # refunded or credited: neither ledger nor journal tells them apart
TIMEOUT_S = 120
ACCOUNTS = {ledger_pb.BookInvoiceRequest.SALE: ("SALES", SOLD, -1), ledger_pb.BookInvoiceRequest.CREDIT: ("CREDITS", RETURNED, 1)}
REASONS = {"SOLD": (SOLD, -1), "RETURNED": (RETURNED, 1)}


def pence_of(money):
    return money.units * 100 + money.nanos // 10_000_000


class Books:
    """Reads with one connection, as an ERP."""

    def __init__(self, mesh):
        self.client = client.Client(mesh)
        self.who = self.client.metadata("erp:year")
        self.countries = {}  # of each document

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.__exit__()

    def _pages(self, method, request):
        stub = self.client.stub(method)
        while True:
            reply = stub(request, metadata=self.who, timeout=TIMEOUT_S)
            yield reply
            if not reply.next_page_token:
                return
            request.page_token = reply.next_page_token

    def orders(self):
        """Also notes where each document belongs, and in ends how each order has ended, as expect.py has it. Numbers that are
        there twice, of a channel, are in doubled."""
        cells, numbers, self.doubled, self.ends = Cells(), set(), [], {}
        export = self.client.stub("oms.order.v1.OrderService/ExportOrders")
        for page in export(order_pb.ExportOrdersRequest(), metadata=self.who, timeout=TIMEOUT_S):
            for order in page.orders:
                self._note(order.order_id, order.ship_to.country, order, numbers)
                month, country = month_of(order.place_time_us), order.ship_to.country
                returned_units = {}
                for line in order.lines:
                    cells.add(month, country, line.sku, SOLD, pence_of(line.line_total), line.quantity)
                    if line.returned:
                        returned_units[line.sku] = returned_units.get(line.sku, 0) + line.returned
                payment_state = order_pb.Order.PaymentState.Name(order.payment_state)
                self.ends[order.external_id] = pence_of(order.total), pence_of(order.credited), payment_state, returned_units
            for credit in page.credits:
                self._note(credit.credit_id, credit.country, credit, numbers)
                month, country = month_of(credit.issue_time_us), credit.country
                for line in credit.lines:
                    outcome = REFUNDED if line.order_id else CREDITED
                    cells.add(month, country, line.sku, outcome, pence_of(line.line_total), line.quantity)
        return cells

    def _note(self, document, country, message, numbers):
        self.countries[document] = country
        number = message.channel, message.external_id
        if number in numbers:
            self.doubled.append(number)
        numbers.add(number)

    def ledger(self):
        """Every entry's postings add up to nothing, or it is unbalanced."""
        cells, self.unbalanced = Cells(), []
        for page in self._pages("oms.payment.v1.LedgerService/ListLedgerEntries", ledger_pb.ListLedgerEntriesRequest(page_size=500)):
            for entry in page.entries:
                account, outcome, sign = ACCOUNTS[entry.kind]
                month, total = month_of(entry.effective_time_us), 0
                for posting in entry.postings:
                    pence = pence_of(posting.amount)
                    total += pence
                    if posting.account == account:
                        cells.add(month, entry.country, posting.sku, outcome, sign * pence, posting.quantity)
                if total:
                    self.unbalanced.append(entry.entry_id)
        return cells

    def journal(self):
        """Units only; the country is that of the document, so orders() comes first. What moved for other reasons is in
        others: reason → SKU → units."""
        cells, self.others = Cells(), {}
        request = inventory_pb.ListMovementsRequest(page_size=1000)
        for page in self._pages("oms.inventory.v1.InventoryService/ListMovements", request):
            for moved in page.movements:
                if moved.reason not in REASONS:
                    of = self.others.setdefault(moved.reason, {})
                    of[moved.sku] = of.get(moved.sku, 0) + moved.on_hand
                    continue
                outcome, sign = REASONS[moved.reason]
                country = self.countries.get(moved.document_id, f"of no document: {moved.document_id}")
                cells.add(month_of(moved.effective_time_us), country, moved.sku, outcome, 0, sign * moved.on_hand)
        return cells


def returned(cells):
    """The same with refunds and credits together."""
    merged = Cells()
    for (month, country, sku, outcome), (pence, units) in cells.all.items():
        merged.add(month, country, sku, SOLD if outcome == SOLD else RETURNED, pence, units)
    return merged


def units_of(cells, goods):
    """The units of goods alone."""
    kept = Cells()
    for (month, country, sku, outcome), (_, units) in cells.all.items():
        if sku in goods:
            kept.add(month, country, sku, outcome, 0, units)
    return kept


def differences(expected, found):
    """Cells that are not alike, as texts."""
    nothing = [0, 0]
    return [f"{' '.join(map(str, key))}: {found.all.get(key, nothing)} instead of {expected.all.get(key, nothing)}"
            for key in sorted(expected.all.keys() | found.all.keys())
            if expected.all.get(key, nothing) != found.all.get(key, nothing)]
