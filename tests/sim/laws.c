/* The laws of the mesh, as queries that find nothing. */
#include "tests/sim/laws.h"

#include <stddef.h>

/* Of a log: entries between floor and head are all there. */
#define LOG_GAPS(schema) \
    "SELECT min(seq) || ' to ' || max(seq) || ', of which there are ' || count(*) FROM " schema "event_log " \
    "HAVING count(*) <> max(seq) - (SELECT floor FROM " schema "log_head)"

/* Consumers are called by what they follow: "order-payments". */
#define HEAD(of, schema) \
    "SELECT '%-" of "', (SELECT coalesce(max(seq), 0) FROM " schema "event_log), incarnation FROM " schema "log_head"
#define HEADS \
    HEAD("prices", "main.") \
    " UNION ALL " HEAD("orders", "o.") " UNION ALL " HEAD("payments", "p.") " UNION ALL " HEAD("fulfillments", "s.")
#define CURSOR(schema)  "SELECT name, seq, incarnation, booting FROM " schema "consumer_cursor"
#define CURSORS         CURSOR("main.") " UNION ALL " CURSOR("o.") " UNION ALL " CURSOR("n.")
#define LETTERS(schema) "SELECT method || ' for ' || key FROM " schema "outbox WHERE destination <> ''"
#define DEAD(schema)    "SELECT method || ' for ' || key || ': ' || last_reason FROM " schema "dead_letter"
#define EVERYWHERE(of) \
    of("main.") " UNION ALL " of("o.") " UNION ALL " of("p.") " UNION ALL " of("s.") " UNION ALL " of("n.")

const struct law laws[] = {
    /* whether it is over; first, because they are asked again and again */
    { OVER, "no command waits", EVERYWHERE(LETTERS) },
    /* a case of a parcel or of its payment if it is confirmed, and of its payment if it is to end */
    { OVER, "an order has ended, or somebody has a case of what it waits for",
      "SELECT order_id || ' in ' || state FROM o.sales_order s WHERE state NOT IN (3, 5, 6) AND NOT EXISTS (SELECT 1 "
      "FROM n.alert_case c WHERE c.order_id = s.order_id AND c.state <> 3 AND kind >= iif(s.state = 2, 3, 6))" },
    { OVER, "no message waits", "SELECT message_id FROM n.message WHERE state = 1" },

    /* orders */
    { ALWAYS, "an acknowledged order is there as it was acknowledged",
      "SELECT request_id FROM wanted w WHERE fate = 1 AND NOT EXISTS (SELECT 1 FROM o.sales_order s WHERE s.order_id = "
      "w.order_id AND s.channel = w.channel AND s.customer_id = w.customer AND s.total_minor = w.total)" },
    { ALWAYS, "what was ordered once is there once",
      "SELECT channel FROM o.sales_order GROUP BY channel HAVING count(*) > 1" },
    { ALWAYS, "an order is one that somebody wanted",
      "SELECT order_id FROM o.sales_order WHERE channel NOT IN (SELECT channel FROM wanted)" },
    { ALWAYS, "an order has the lines that were wanted",
      "SELECT order_id FROM (SELECT order_id, sku, quantity q FROM o.order_line UNION ALL SELECT order_id, sku, "
      "-quantity FROM o.sales_order JOIN wanted_line USING (channel)) GROUP BY order_id, sku HAVING sum(q) <> 0" },
    { ALWAYS, "an order costs what its lines cost",
      "SELECT order_id FROM o.sales_order LEFT JOIN (SELECT order_id, sum(quantity * unit_minor) sum, count(*) n "
      "FROM o.order_line GROUP BY order_id) USING (order_id) WHERE (sum, n) IS NOT (total_minor, lines)" },
    { ALWAYS, "a confirmed order holds the stock of what is still to be sent",
      "SELECT order_id || ': ' || l.sku FROM (SELECT order_id, sku, sum(quantity - shipped - cancelled) rest FROM "
      "o.order_line JOIN o.sales_order USING (order_id) WHERE state = 2 AND stocked GROUP BY order_id, sku) l LEFT "
      "JOIN "
      "(SELECT order_id, sku, sum(q) q FROM held GROUP BY order_id, sku) h USING (order_id, sku) "
      "WHERE rest > coalesce(q, 0)" },
    { AT_REST, "only what is still to be sent is held",
      "SELECT order_id || ': ' || sku FROM (SELECT order_id, sku, sum(q) q FROM held GROUP BY order_id, sku) h LEFT "
      "JOIN "
      "(SELECT order_id, sku, sum(quantity - shipped - cancelled) rest FROM o.order_line JOIN o.sales_order "
      "USING (order_id) WHERE state = 2 GROUP BY order_id, sku) l USING (order_id, sku) WHERE q IS NOT rest" },
    { ALWAYS, "the stock of a line that nobody ordered is not held",
      "SELECT order_id || ': ' || sku FROM held EXCEPT SELECT order_id || ': ' || sku FROM o.order_line" },
    { AT_REST, "what was shipped has left the shelves, and nothing else",
      "SELECT sku FROM (SELECT sku, sum(shipped) gone FROM o.order_line WHERE stocked AND shipped > 0 GROUP BY sku) "
      "FULL JOIN (SELECT sku, -sum(on_hand) taken FROM movement WHERE reason = 'SHIPPED' GROUP BY sku) USING (sku) "
      "WHERE gone IS NOT taken" },
    { AT_REST, "who follows the log knows what became of every order",
      "SELECT order_id FROM o.sales_order LEFT JOIN told USING (order_id) "
      "WHERE (placed, rejected, cancelled, completed) IS NOT (1, state = 3, state = 5, state = 6)" },
    { ALWAYS, "who follows the log is told of an order once and of one end",
      "SELECT order_id FROM told WHERE placed <> 1 OR confirmed > 1 OR rejected + cancelled + completed > 1" },
    { ALWAYS, "every version of an order is told",
      "SELECT order_id || ': ' || version FROM o.sales_order LEFT JOIN (SELECT key, count(*) n FROM o.event_log "
      "GROUP BY key) ON key = order_id WHERE n IS NOT version AND (SELECT floor FROM o.log_head) = 0" },
    { AT_REST, "a completed order is paid, as far as it was not cancelled",
      "SELECT order_id || ': ' || captured_minor || ' of ' || due_minor FROM o.sales_order WHERE state = 6 AND "
      "payment_state <> 1 AND captured_minor - refunded_minor <> due_minor" },
    { AT_REST, "an order that ended in vain costs nothing",
      "SELECT order_id FROM o.sales_order WHERE state IN (3, 5) AND captured_minor <> refunded_minor" },
    { AT_REST, "an order that ended in vain has undone what it had begun",
      "SELECT order_id || ': step ' || step FROM o.order_step t JOIN o.sales_order s USING (order_id) "
      "WHERE s.state IN (3, 5) AND t.state NOT IN (0, 3, 5)" },
    { ALWAYS, "what an order is still worth is what its lines are that were not cancelled",
      "SELECT order_id FROM o.sales_order JOIN (SELECT order_id, sum((quantity - cancelled) * unit_minor) worth FROM "
      "o.order_line GROUP BY order_id) USING (order_id) WHERE due_minor <> worth" },

    /* money, by the processor's own book */
    { ALWAYS, "no order is charged twice",
      "SELECT reference FROM charge WHERE kind = 'authorize' AND status <> 'declined' GROUP BY reference "
      "HAVING count(*) > 1" },
    { ALWAYS, "nothing is captured beyond what was authorized, or refunded beyond what was captured",
      "SELECT authorization FROM (SELECT authorization, sum(iif(kind = 'authorize', minor, 0)) a, "
      "sum(iif(kind = 'capture', minor, 0)) c, sum(iif(kind = 'refund', minor, 0)) r FROM charge "
      "WHERE status = 'succeeded' GROUP BY authorization) WHERE c > a OR r > c" },
    { AT_REST, "an order knows what was captured and refunded",
      "SELECT order_id FROM o.sales_order LEFT JOIN (SELECT reference, sum(iif(kind = 'capture', minor, 0)) c, "
      "sum(iif(kind = 'refund', minor, 0)) r FROM charge WHERE status = 'succeeded' GROUP BY reference) "
      "ON reference = order_id WHERE captured_minor <> coalesce(c, 0) OR refunded_minor <> coalesce(r, 0)" },
    { AT_REST, "an order that is charged is one that somebody placed",
      "SELECT reference FROM charge WHERE reference NOT IN (SELECT order_id FROM o.sales_order)" },
    { AT_REST, "of an order that has ended nothing is held that was not captured",
      "SELECT order_id FROM (SELECT max(iif(kind = 'authorize', reference, '')) of, sum(iif(kind = 'authorize', minor, "
      "0)) granted, sum(iif(kind = 'capture', minor, 0)) captured, max(kind = 'void') voided FROM charge WHERE status "
      "= "
      "'succeeded' GROUP BY authorization) JOIN o.sales_order ON order_id = of WHERE state IN (3, 5, 6) AND granted > "
      "captured AND NOT voided" },

    { AT_REST, "a payment knows what the processor did",
      "SELECT payment_id FROM p.payment JOIN (SELECT reference, sum(iif(kind = 'capture', minor, 0)) c, "
      "sum(iif(kind = 'refund', minor, 0)) r FROM charge WHERE status = 'succeeded' GROUP BY reference) "
      "ON reference = order_id WHERE (captured_minor, refunded_minor, capturing_minor, refunding_minor) IS NOT (c, r, "
      "0, 0)" },
    { ALWAYS, "an order has one payment", "SELECT order_id FROM p.payment GROUP BY order_id HAVING count(*) > 1" },
    { ALWAYS, "every entry of the ledger sums to nothing",
      "SELECT entry_id FROM p.ledger_posting GROUP BY entry_id HAVING sum(minor) <> 0" },
    { ALWAYS, "what a posting is made of is what is posted",
      "SELECT entry_id FROM p.ledger_posting JOIN p.ledger_line l USING (entry_id, account) GROUP BY entry_id, account "
      "HAVING sum(l.minor) <> max(ledger_posting.minor)" },
    { ALWAYS, "a document is booked once of each kind",
      "SELECT document_id FROM p.ledger_entry WHERE document_id <> '' GROUP BY document_id, kind HAVING count(*) > 1" },
    { ALWAYS, "a balance is the sum of its postings",
      "SELECT account FROM p.ledger_balance b FULL JOIN (SELECT account, currency, sum(minor) minor FROM "
      "p.ledger_posting GROUP BY account, currency) s USING (account, currency) WHERE b.minor IS NOT s.minor" },
    { AT_REST, "sales and refunds of payments in the ledger are what the processor captured and refunded",
      "SELECT coalesce(sum(iif(account = 'SALES', -minor, 0)), 0) s, coalesce(sum(iif(account = 'REFUNDS', minor, 0)), "
      "0) r FROM p.ledger_posting JOIN p.ledger_entry USING (entry_id) WHERE document_id = '' HAVING (s, r) IS NOT "
      "(SELECT coalesce(sum(iif(kind = 'capture', minor, 0)), 0), "
      "coalesce(sum(iif(kind = 'refund', minor, 0)), 0) FROM charge WHERE status = 'succeeded')" },

    /* parcels, by the carrier's own book */
    { AT_REST, "what the carrier was handed is what was shipped",
      "SELECT key FROM carried WHERE handed_over EXCEPT SELECT fulfillment_id FROM o.order_parcel UNION ALL "
      "SELECT fulfillment_id FROM o.order_parcel WHERE state IN (1, 2) AND fulfillment_id NOT IN "
      "(SELECT key FROM carried WHERE handed_over)" },
    { AT_REST, "a fulfilment is of an order",
      "SELECT fulfillment_id FROM s.fulfillment WHERE order_id NOT IN (SELECT order_id FROM o.sales_order)" },
    { ALWAYS, "a location sends an order one parcel",
      "SELECT order_id || ' from ' || location_id FROM s.fulfillment GROUP BY order_id, location_id HAVING count(*) > "
      "1" },

    /* mail and cases */
    { AT_REST, "every message lies in the post office, and nothing else does",
      "SELECT message_id FROM n.message WHERE state = 2 AND '/' || message_id || '.eml' NOT IN (SELECT path FROM mail) "
      "UNION ALL SELECT path FROM mail WHERE path NOT IN (SELECT '/' || message_id || '.eml' FROM n.message)" },
    { AT_REST, "customers are written to about everything that they are to hear of",
      "SELECT key || ': ' || type FROM (SELECT key, type, time_us, payload FROM o.event_log UNION ALL SELECT key, "
      "type, "
      "time_us, payload FROM p.event_log UNION ALL SELECT key, type, time_us, payload FROM s.event_log) JOIN mailed m "
      "USING (type) WHERE instr(payload, CAST(code AS BLOB)) > 0 AND NOT EXISTS (SELECT 1 FROM n.message WHERE "
      "order_id "
      "= key AND event_time_us = time_us AND message.template = m.template)" },
    { ALWAYS, "a matter has one open case",
      "SELECT ref FROM n.alert_case WHERE state <> 3 GROUP BY ref, kind HAVING count(*) > 1" },
    { AT_REST, "svc-order knows the prices of the catalogue",
      "SELECT sku FROM (SELECT sku, price_minor, currency, stocked FROM main.variant EXCEPT SELECT sku, price_minor, "
      "currency, stocked FROM o.price) UNION ALL SELECT sku FROM o.price WHERE sku NOT IN (SELECT sku FROM variant)" },

    /* stock */
    { ALWAYS, "no shelf promises more than it holds",
      "SELECT sku || ' in ' || location_id FROM stock WHERE reserved < 0 OR reserved > on_hand" },
    { ALWAYS, "stock is the sum of its journal",
      "SELECT sku || ' in ' || location_id FROM stock s LEFT JOIN (SELECT sku, location_id, sum(on_hand) h, "
      "sum(reserved) r, count(*) n, max(version) v FROM movement GROUP BY sku, location_id) m "
      "USING (sku, location_id) WHERE (m.h, m.r, m.n, m.v) IS NOT (s.on_hand, s.reserved, s.version, s.version)" },
    { ALWAYS, "nothing is in the journal that is not on a shelf",
      "SELECT sku || ' in ' || location_id FROM movement EXCEPT SELECT sku || ' in ' || location_id FROM stock" },
    { ALWAYS, "what may be sold is what is there and not promised",
      "SELECT sku FROM (SELECT sku, sum(on_hand - reserved) free FROM stock GROUP BY sku) s FULL JOIN availability a "
      "USING (sku) WHERE s.free IS NOT a.available" },
    { ALWAYS, "what is promised is what reservations hold",
      "SELECT sku || ' in ' || location_id FROM stock LEFT JOIN (SELECT sku, location_id, sum(q) q FROM held "
      "GROUP BY sku, location_id) USING (sku, location_id) WHERE coalesce(q, 0) <> reserved" },
    { ALWAYS, "an order has one reservation",
      "SELECT order_id FROM reservation GROUP BY order_id HAVING count(*) > 1" },
    { AT_REST, "only the goods of orders that nobody has decided about may expire",
      "SELECT order_id FROM reservation JOIN o.sales_order USING (order_id) WHERE expire_us > 0 AND state <> 1" },
    { ALWAYS, "what has expired is told once",
      "SELECT key FROM main.event_log WHERE type = 3 GROUP BY key HAVING count(*) > 1" },
    { ALWAYS, "an acknowledged correction of stock is in the journal as it was acknowledged",
      "SELECT request_id FROM adjusted a WHERE fate = 1 AND NOT EXISTS (SELECT 1 FROM movement m "
      "WHERE m.ref = a.request_id AND m.sku = a.sku AND m.location_id = a.location_id AND m.on_hand = a.delta)" },
    { ALWAYS, "a correction of stock is made once",
      "SELECT ref FROM movement WHERE on_hand <> 0 AND reason <> 'SHIPPED' GROUP BY ref HAVING count(*) > 1" },

    /* catalogue */
    { AT_REST, "a price is the one that was acknowledged last",
      "SELECT sku FROM price JOIN variant USING (sku) WHERE minor <> price_minor" },

    /* cache */
    { ALWAYS, "the cache knows nothing newer than the database",
      "SELECT key FROM cached JOIN availability ON sku = key JOIN log_head ON epoch = incarnation "
      "WHERE cached.version > availability.version" },
    { ALWAYS, "the cache and the database agree about a version",
      "SELECT key FROM cached JOIN availability ON sku = key JOIN log_head ON epoch = incarnation "
      "WHERE cached.version = availability.version AND value <> available" },
    { AT_REST, "the cache knows what the database knows",
      "SELECT sku || ': ' || available || ' of version ' || availability.version || ', it says ' || "
      "coalesce(value || ' of ' || c.version, 'nothing') FROM availability LEFT JOIN (SELECT * FROM cached JOIN "
      "log_head ON epoch = incarnation) c "
      "ON c.key = sku WHERE (c.version, c.value) IS NOT (availability.version, available)" },

    /* logs and outboxes */
    { ALWAYS, "svc-inventory's log has no gap", LOG_GAPS("main.") },
    { ALWAYS, "svc-order's log has no gap", LOG_GAPS("o.") },
    { ALWAYS, "svc-payment's log has no gap", LOG_GAPS("p.") },
    { ALWAYS, "svc-shipping's log has no gap", LOG_GAPS("s.") },
    { ALWAYS, "svc-notify's log has no gap", LOG_GAPS("n.") },
    { ALWAYS, "nobody outside knows of an event that is not in the log",
      "SELECT seq FROM follower WHERE seq > (SELECT coalesce(max(seq), 0) FROM o.event_log)" },
    { AT_REST, "who follows the log knows all of it",
      "SELECT seq FROM follower WHERE seq <> (SELECT coalesce(max(seq), 0) FROM o.event_log)" },
    { AT_REST, "consumers stand at the head of what they consume",
      "WITH head (names, seq, incarnation) AS (" HEADS "), cursor AS (" CURSORS ") "
      "SELECT name FROM cursor JOIN head ON name LIKE names "
      "WHERE cursor.seq <> head.seq OR cursor.incarnation <> head.incarnation OR booting" },
    { AT_REST, "no command lies dead", EVERYWHERE(DEAD) },

    /* before the first order */
    { AT_OPENING, "svc-notify follows everybody",
      "SELECT count(*) FROM n.consumer_cursor HAVING count(*) <> 3 OR max(booting) > 0" },
    {},
};
_Static_assert(sizeof(laws) / sizeof(laws[0]) <= LAWS_MAX, "more laws than the judge has room for");
