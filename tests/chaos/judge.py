"""What must be so when everything has come to rest: read from the databases, and from the books of those outside."""
import contextlib
import json
import sqlite3

# Each finds nothing. main is svc-inventory's database; o, p, s and n are those of order, payment, shipping and notify.
# known: orders that were acknowledged; owned: those that wait for somebody; did: the processor's book, took: its sums by
# authorization; sent: the carrier's book; mailed: files in the folder of mails.
LAWS = {
    "stock is the sum of its journal":
        "SELECT sku || ' in ' || location_id FROM stock s LEFT JOIN (SELECT sku, location_id, sum(on_hand) h, sum(reserved) r, "
        "count(*) n, max(version) v FROM movement GROUP BY sku, location_id) m USING (sku, location_id) "
        "WHERE (m.h, m.r, m.n, m.v) IS NOT (s.on_hand, s.reserved, s.version, s.version)",
    "no shelf promises more than it holds": "SELECT sku FROM stock WHERE reserved < 0 OR reserved > on_hand",
    "what may be sold is what is there and not promised":
        "SELECT sku FROM (SELECT sku, sum(on_hand - reserved) free FROM stock GROUP BY sku) s FULL JOIN availability a USING (sku) "
        "WHERE s.free IS NOT a.available",
    "orders that have ended hold no stock":
        "SELECT order_id FROM reservation JOIN reservation_line USING (reservation_id) JOIN o.sales_order USING (order_id) "
        "WHERE state IN (3, 5, 6) AND (released = 0 OR rest > 0)",
    "what has left the shelves is what has been shipped":
        "SELECT sku FROM (SELECT sku, -sum(on_hand) n FROM movement WHERE reason = 'SHIPPED' GROUP BY sku) FULL JOIN "
        "(SELECT sku, sum(shipped) n2 FROM o.order_line GROUP BY sku HAVING sum(shipped) > 0) USING (sku) WHERE n IS NOT n2",
    "captures stay within authorizations":
        "SELECT authorization FROM took WHERE captured > authorized",
    "what is refunded was captured": "SELECT authorization FROM took WHERE refunded > captured",
    "svc-payment knows what the processor did":
        "SELECT reference FROM (SELECT reference, sum(captured) c, sum(refunded) r FROM took GROUP BY reference) FULL JOIN "
        "(SELECT order_id reference, sum(captured_minor) c2, sum(refunded_minor) r2 FROM p.payment GROUP BY order_id) USING (reference) "
        "WHERE coalesce(c, 0) <> coalesce(c2, 0) OR coalesce(r, 0) <> coalesce(r2, 0)",
    "svc-order knows what was captured":
        "SELECT order_id FROM (SELECT order_id, sum(captured_minor) c FROM p.payment GROUP BY order_id) JOIN o.sales_order USING (order_id) "
        "WHERE c <> captured_minor",
    "a completed order is paid":
        "SELECT order_id FROM o.sales_order LEFT JOIN (SELECT reference, sum(captured) c FROM took GROUP BY reference) ON reference = order_id "
        "WHERE state = 6 AND payment_token <> '' AND coalesce(c, 0) < due_minor",
    "nothing is kept from orders that came to nothing":
        "SELECT order_id FROM o.sales_order JOIN (SELECT reference, sum(captured - refunded) kept FROM took GROUP BY reference) "
        "ON reference = order_id WHERE state IN (3, 5) AND kept <> 0 AND payment_token <> 'tok_refund_fails'",
    "no authorization stays open of orders that came to nothing":
        "SELECT order_id FROM o.sales_order JOIN took ON reference = order_id WHERE state IN (3, 5) AND authorized > captured AND NOT voided",
    "a completed order has been delivered":
        "SELECT order_id FROM o.sales_order JOIN s.fulfillment USING (order_id) WHERE state = 6 AND fulfillment_id IN "
        "(SELECT key FROM sent WHERE kind = 'handover') AND fulfillment_id NOT IN (SELECT key FROM sent WHERE status = 'DELIVERED')",
    "a parcel that nobody handed over has not moved":
        "SELECT key FROM sent WHERE kind = 'event' AND key NOT IN (SELECT key FROM sent WHERE kind = 'handover')",
    "what staff has to decide is an open case":
        "SELECT order_id FROM owned WHERE owner = 'staff' AND order_id NOT IN (SELECT order_id FROM n.alert_case WHERE state <> 3)",
    "every mail was sent, and no other": "SELECT message_id FROM n.message WHERE state = 2 EXCEPT SELECT message_id FROM mailed "
        "UNION ALL SELECT * FROM (SELECT message_id FROM mailed EXCEPT SELECT message_id FROM n.message WHERE state = 2)",
    "a customer is written to of each end of his order once":
        "SELECT order_id FROM o.sales_order LEFT JOIN (SELECT order_id, count(*) n, min(template) t FROM n.message WHERE template IN "
        "(3, 4, 10) GROUP BY order_id) USING (order_id) WHERE state IN (3, 5, 6) AND (n, t) IS NOT (1, CASE state WHEN 3 THEN 3 "
        "WHEN 5 THEN 4 ELSE 10 END)",
    "the ledger has what the payments have":
        "SELECT 'in all' WHERE (SELECT coalesce(sum(captured_minor - refunded_minor), 0) FROM p.payment) IS NOT "
        "(SELECT coalesce(max(minor), 0) FROM p.ledger_balance WHERE account = 'PROCESSOR_RECEIVABLE')",
    "every entry of the ledger is balanced":
        "SELECT entry_id FROM p.ledger_posting GROUP BY entry_id, currency HAVING sum(minor) <> 0",
    "balances are the sums of their postings":
        "SELECT account FROM p.ledger_balance b FULL JOIN (SELECT account, currency, sum(minor) m, count(*) n FROM p.ledger_posting "
        "GROUP BY account, currency) USING (account, currency) WHERE (m, n) IS NOT (b.minor, b.entries)",
    "a parcel has one label":
        "SELECT key FROM sent WHERE kind = 'shipment' GROUP BY key HAVING count(*) > 1",
    "no line is torn or done twice in the processor's book":
        "SELECT key FROM did WHERE status <> 'requires_action' GROUP BY key HAVING count(*) > 1",
}
LOGS = {"o": "svc-order", "main": "svc-inventory", "p": "svc-payment", "s": "svc-shipping", "n": "svc-notify"}


def _book(path):
    with open(path, encoding="utf-8") as book:
        return [json.loads(line) for line in book]


class Judge:
    """The mesh has ended. Use as a context manager."""

    def __init__(self, mesh, acknowledged, owned):
        data = mesh.dir / "data"
        self.db = sqlite3.connect(data / "svc-inventory.db")
        for schema, name in LOGS.items():
            if schema != "main":
                self.db.execute(f"ATTACH ? AS {schema}", (str(data / f"{name}.db"),))
        self.db.execute("CREATE TEMP TABLE known (order_id TEXT PRIMARY KEY)")
        self.db.executemany("INSERT INTO known VALUES (?)", [(order_id,) for order_id in acknowledged])
        self.db.execute("CREATE TEMP TABLE owned (order_id TEXT PRIMARY KEY, owner TEXT)")
        self.db.executemany("INSERT INTO owned VALUES (?, ?)", owned.items())
        self.db.execute("CREATE TEMP TABLE mailed (message_id TEXT PRIMARY KEY)")
        self.db.executemany("INSERT INTO mailed VALUES (?)", [(mail.stem,) for mail in (mesh.dir / "mail").glob("*.eml")])
        self.db.execute("CREATE TEMP TABLE did (key, kind, authorization, amount_minor, status, reference)")
        self.db.executemany("INSERT INTO did VALUES (:key, :kind, :authorization, :amount_minor, :status, :reference)",
                            _book(mesh.dir / "sandbox" / "processor.book"))
        self.db.execute("CREATE TEMP TABLE sent (key, kind, status)")
        self.db.executemany("INSERT INTO sent VALUES (:key, :kind, :status)", _book(mesh.dir / "sandbox" / "carrier.book"))
        self.db.execute(
            "CREATE TEMP TABLE took AS SELECT authorization, max(reference) reference, "
            "coalesce(sum(amount_minor) FILTER (WHERE kind = 'authorize' AND status = 'succeeded'), 0) authorized, "
            "coalesce(sum(amount_minor) FILTER (WHERE kind = 'capture' AND status = 'succeeded'), 0) captured, "
            "coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund' AND status = 'succeeded'), 0) refunded, "
            "count(*) FILTER (WHERE kind = 'void') > 0 voided FROM did GROUP BY authorization")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.db.close()

    def rows(self, sql):
        with contextlib.closing(self.db.execute(sql)) as cursor:
            return cursor.fetchall()

    def one(self, sql):
        return self.rows(sql)[0][0]

    def broken_laws(self):
        """Pairs of a law and who breaks it."""
        broken = [(law, [row[0] for row in found]) for law, sql in LAWS.items() if (found := self.rows(sql))]
        for schema, name in LOGS.items():
            gaps = f"SELECT count(*) FROM {schema}.event_log HAVING count(*) <> max(seq) - (SELECT floor FROM {schema}.log_head)"
            dead = f"SELECT method || ' for ' || key FROM {schema}.dead_letter"
            broken += [(f"{name}: {law}", [row[0] for row in found]) for law, sql in
                       (("its log has no gap", gaps), ("no command lies dead", dead)) if (found := self.rows(sql))]
        return broken

    def figures(self):
        """Name and value of each; the ones after the first two are to be 0."""
        return {
            "orders_acknowledged": self.one("SELECT count(*) FROM known"),
            "orders_completed": self.one("SELECT count(*) FROM o.sales_order WHERE state = 6"),
            "orders_lost": self.one("SELECT count(*) FROM known WHERE order_id NOT IN (SELECT order_id FROM o.sales_order)"),
            "charged_twice": self.one(
                "SELECT count(*) FROM (SELECT reference FROM took GROUP BY reference HAVING count(*) FILTER (WHERE authorized > 0 "
                "AND NOT voided) > 1 OR sum(captured) > (SELECT total_minor FROM o.sales_order WHERE order_id = reference))"),
            "charged_without_order": self.one("SELECT count(*) FROM took WHERE captured > 0 AND reference NOT IN (SELECT order_id FROM o.sales_order)"),
            "oversold": self.one(
                "SELECT coalesce(sum(max(0, sold - came)), 0) FROM (SELECT sku, sum(quantity - cancelled) sold FROM o.order_line JOIN "
                "o.sales_order USING (order_id) WHERE state IN (2, 6) GROUP BY sku) JOIN (SELECT sku, sum(on_hand) came FROM movement "
                "WHERE reason <> 'SHIPPED' GROUP BY sku) USING (sku)"),
            "not_terminal": self.one("SELECT count(*) FROM o.sales_order WHERE state NOT IN (3, 5, 6) AND order_id NOT IN (SELECT order_id FROM owned)"),
            "ledger_sum": self.one("SELECT coalesce(sum(abs(sum)), 0) FROM (SELECT sum(minor) sum FROM p.ledger_posting GROUP BY currency)"),
        }
