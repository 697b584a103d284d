/* The laws of the mesh, as queries that find nothing. */
#include "tests/sim/laws.h"

#include <stddef.h>

/* Of a log: entries between floor and head are all there. */
#define LOG_GAPS(schema) \
    "SELECT min(seq) || ' to ' || max(seq) || ', of which there are ' || count(*) FROM " schema "event_log " \
    "HAVING count(*) <> max(seq) - (SELECT floor FROM " schema "log_head)"

/* What reservations still hold, of every line that holds something. */
#define HELD \
    "(SELECT order_id, sku, location_id, quantity FROM reservation JOIN reservation_line USING (reservation_id) " \
    "WHERE released = 0 UNION ALL SELECT order_id, sku, location_id, rest FROM reservation " \
    "JOIN reservation_line USING (reservation_id) WHERE rest > 0)"

const struct law laws[] = {
    /* orders */
    { ALWAYS, "an acknowledged order is there as it was acknowledged",
      "SELECT request_id FROM wanted w WHERE fate = 1 AND NOT EXISTS (SELECT 1 FROM o.sales_order s WHERE s.order_id = "
      "w.order_id AND s.channel = w.channel AND s.customer_id = w.customer AND s.total_minor = w.total)" },
    { ALWAYS, "what was ordered once is there once",
      "SELECT channel FROM o.sales_order GROUP BY channel HAVING count(*) > 1" },
    { ALWAYS, "an order is one that somebody wanted",
      "SELECT order_id FROM o.sales_order WHERE channel NOT IN (SELECT channel FROM wanted)" },
    { ALWAYS, "an order has the lines that were wanted",
      "WITH there AS (SELECT order_id, sku, sum(quantity) FROM o.order_line GROUP BY order_id, sku), "
      "meant AS (SELECT order_id, sku, sum(quantity) FROM o.sales_order JOIN wanted_line USING (channel) "
      "GROUP BY order_id, sku) SELECT order_id FROM (SELECT * FROM there EXCEPT SELECT * FROM meant) UNION ALL "
      "SELECT order_id FROM (SELECT * FROM meant EXCEPT SELECT * FROM there)" },
    { ALWAYS, "an order costs what its lines cost",
      "SELECT order_id FROM o.sales_order LEFT JOIN (SELECT order_id, sum(quantity * unit_minor) sum, count(*) n "
      "FROM o.order_line GROUP BY order_id) USING (order_id) WHERE (sum, n) IS NOT (total_minor, lines)" },
    { AT_REST, "an order is confirmed or rejected", "SELECT order_id FROM o.sales_order WHERE state NOT IN (2, 3)" },
    { ALWAYS, "a confirmed order holds the stock of its lines",
      "SELECT order_id FROM (SELECT order_id, sku, sum(quantity) wants FROM o.order_line JOIN o.sales_order "
      "USING (order_id) WHERE state = 2 GROUP BY order_id, sku) JOIN variant USING (sku) LEFT JOIN (SELECT order_id, "
      "sku, sum(quantity) holds FROM " HELD
      " GROUP BY order_id, sku) USING (order_id, sku) WHERE stocked AND wants IS NOT holds" },
    { AT_REST, "only confirmed orders hold stock",
      "SELECT order_id FROM " HELD " EXCEPT SELECT order_id FROM o.sales_order WHERE state = 2" },
    { ALWAYS, "the stock of a line that nobody ordered is not held",
      "SELECT order_id || ': ' || sku FROM " HELD " "
      "EXCEPT SELECT order_id || ': ' || sku FROM o.order_line" },
    { AT_REST, "who follows the log knows what became of every order",
      "SELECT order_id FROM o.sales_order LEFT JOIN told USING (order_id) "
      "WHERE (placed, confirmed, rejected) IS NOT (1, state = 2, state = 3)" },
    { ALWAYS, "who follows the log is told of an order once and of one end",
      "SELECT order_id FROM told WHERE placed <> 1 OR confirmed + rejected > 1" },
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
      "SELECT sku || ' in ' || location_id FROM stock LEFT JOIN (SELECT sku, location_id, sum(quantity) q "
      "FROM " HELD " GROUP BY sku, location_id) "
      "USING (sku, location_id) WHERE coalesce(q, 0) <> reserved" },
    { ALWAYS, "an order has one reservation",
      "SELECT order_id FROM reservation WHERE released = 0 GROUP BY order_id HAVING count(*) > 1" },
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
    { ALWAYS, "svc-inventory's log has no gap", LOG_GAPS("") },
    { ALWAYS, "svc-order's log has no gap", LOG_GAPS("o.") },
    { ALWAYS, "nobody outside knows of an event that is not in the log",
      "SELECT seq FROM follower WHERE seq > (SELECT coalesce(max(seq), 0) FROM o.event_log)" },
    { AT_REST, "who follows the log knows all of it",
      "SELECT seq FROM follower WHERE seq <> (SELECT coalesce(max(seq), 0) FROM o.event_log)" },
    { AT_REST, "consumers stand at the head of what they consume",
      "SELECT name FROM o.consumer_cursor WHERE seq <> (SELECT max(seq) FROM main.event_log) "
      "OR incarnation <> (SELECT incarnation FROM main.log_head) OR booting" },
    { AT_REST, "svc-inventory has heard of all that became of orders",
      "SELECT name FROM main.consumer_cursor WHERE seq <> (SELECT max(seq) FROM o.event_log) OR booting" },
    { AT_REST, "no command waits",
      "SELECT method || ' for ' || key FROM o.outbox UNION ALL SELECT method FROM outbox" },
    { AT_REST, "no command lies dead", "SELECT method || ' for ' || key FROM o.dead_letter" },
    {},
};
