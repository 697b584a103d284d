/* omsctl: the client people use. One table of commands; each has its function, flags and help. */
#include "omsctl/cli.h"
#include "omsctl/commands.h"

#include <errno.h>

static const struct flag page_flags[] = {
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag catalog_import_flags[] = {
    { "locations", "FILE", NULL, "stock locations: location_id,title,country,priority" },
    { "stock", "FILE", NULL, "what is on hand: sku,location_id,on_hand; set by COUNTED adjustments" },
    { "map", "MAPPING", NULL, "FILE has a retailer's invoice lines (CSV or CSV.xz): how to read them" },
    { "location", "ID", NULL, "where the retailer's stock is received; MAIN if not given" },
    {},
};

static const struct flag stock_list_flags[] = {
    { "sku", "SKU", NULL, "of this SKU only" },
    { "location", "ID", NULL, "at this location only" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag stock_movements_flags[] = {
    { "sku", "SKU", NULL, "of this SKU only" },
    { "location", "ID", NULL, "at this location only" },
    { "document", "ID", NULL, "what left or came for this order or credit memo only" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag stock_verify_flags[] = {
    { "repair", NULL, NULL, "write anew what is derived" },
    {},
};

static const struct flag stock_adjust_flags[] = {
    { "reason", "CODE", NULL, "RECEIVED, COUNTED, DAMAGED …; RECEIVED if not given" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag order_place_flags[] = {
    { "customer", "ID", NULL, "whose order it is; the caller's own if not given" },
    { "currency", "CODE", NULL, "ISO 4217; that of the first SKU's price if not given" },
    { "channel", "NAME", NULL, "web, app, erp …; omsctl if not given" },
    { "external-id", "ID", NULL, "the channel's own number, unique in it" },
    { "pay", "TOKEN", NULL, "the card, as the processor's token; on account if not given" },
    { "email", "ADDRESS", NULL, "where the customer is written to" },
    { "name", "TEXT", NULL, "ship to: who" },
    { "street", "TEXT", NULL, "ship to: street and number" },
    { "city", "TEXT", NULL, "ship to: city" },
    { "postal-code", "TEXT", NULL, "ship to: postal code" },
    { "country", "TEXT", NULL, "ship to: country" },
    { "request-id", "ID", NULL, "the same id twice places one order; made up if not given" },
    { "wait", NULL, NULL, "answer when the order has left PENDING" },
    { "watch", NULL, NULL, "show each step with its time until the order's life has ended" },
    { "settled", NULL, NULL, "the same, but only until the order has left PENDING" },
    {},
};

static const struct flag order_list_flags[] = {
    { "customer", "ID", NULL, "of this customer only" },
    { "channel", "NAME", NULL, "of this channel only" },
    { "filter", "FILTER", NULL, "only those that fit it" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag order_watch_flags[] = {
    { "settled", NULL, NULL, "end when the order has left PENDING" },
    {},
};

static const struct flag order_cancel_flags[] = {
    { "reason", "CODE", NULL, "CUSTOMER_REQUEST, FRAUD …; CUSTOMER_REQUEST if not given" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    { "wait", NULL, NULL, "answer when the order has left CANCELLING" },
    {},
};

static const struct flag order_import_flags[] = {
    { "map", "MAPPING", NULL, "how to read FILE: columns, formats, patterns (dev/sample/retailer.json)" },
    { "report", "FILE", NULL, "write what became of every line, as CSV" },
    { "staged", "NAME", NULL,
      "all of it or nothing: kept under this name, and begun together if no invoice is refused" },
    {},
};

static const struct flag order_export_flags[] = {
    { "after", "SEQ|INCARNATION:SEQ", NULL, "only what has changed after this position; everything if not given" },
    { "filter", "FILTER", NULL, "only those that fit it now; see order list" },
    { "format", "json|csv", NULL, "lines of JSON, or CSV with a row for each line of an order; json if not given" },
    { "to", "FILE", NULL, "where it goes; it is there when it is whole; to stdout if not given" },
    {},
};

static const struct flag shipment_list_flags[] = {
    { "order", "ID", NULL, "of this order only" },
    { "location", "ID", NULL, "from this location only" },
    { "state", "STATE", NULL, "allocated, packed, short, shipped, delivered, exception or cancelled" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag shipment_pack_flags[] = {
    { "weight", "GRAMS", NULL, "what it weighs; not weighed if not given" },
    { "wait", NULL, NULL, "answer when the carrier has given a label, or refused to" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag shipment_ship_flags[] = {
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag case_list_flags[] = {
    { "state", "STATE", NULL, "OPEN, ACKNOWLEDGED or RESOLVED only" },
    { "kind", "KIND", NULL, "of this kind only: SHORTAGE, DELAY, PARCEL_LOST, PAYMENT_UNKNOWN …" },
    { "order", "ID", NULL, "of this order only" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag case_ack_flags[] = {
    { "etag", "ETAG", NULL, "only if the case is still as it was read" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag case_resolve_flags[] = {
    { "reason", "CODE", NULL, "what was done: REFUNDED, SENT_AGAIN …" },
    { "etag", "ETAG", NULL, "only if the case is still as it was read" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag message_list_flags[] = {
    { "order", "ID", NULL, "of this order only" },
    { "customer", "ID", NULL, "to this customer only" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag payment_list_flags[] = {
    { "customer", "ID", NULL, "of this customer only" },
    { "open", NULL, NULL, "only what waits for the processor or the customer" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag payment_refund_flags[] = {
    { "reason", "CODE", NULL, "GOODWILL, DAMAGED …; GOODWILL if not given" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag payment_resolve_flags[] = {
    { "reason", "CODE", NULL, "how you know; kept with your name" },
    { "request-id", "ID", NULL, "the same id twice has one effect; made up if not given" },
    {},
};

static const struct flag ledger_balance_flags[] = {
    { "currency", "CODE", NULL, "ISO 4217; all if not given" },
    {},
};

static const struct flag ledger_entries_flags[] = {
    { "order", "ID", NULL, "of this order only" },
    { "document", "ID", NULL, "of this invoice only: an order that was carried out elsewhere, a credit memo" },
    { "limit", "N", NULL, "at most so many; 0: all; 100 if not given" },
    {},
};

static const struct flag events_flags[] = {
    { "follow", NULL, NULL, "stay, and show what comes" },
    { "after", "SEQ|INCARNATION:SEQ", NULL, "only what came after this position; from the oldest kept if not given" },
    {},
};

static const struct flag discard_flags[] = {
    { "reason", "TEXT", NULL, "why it may be forgotten; kept in the audit trail" },
    {},
};

static const struct flag token_flags[] = {
    { "sub", "SUBJECT", NULL, "who: a customer's id, a person, a system" },
    { "role", "ROLE[,ROLE]", NULL, "customer, csr, warehouse, erp, operator, admin" },
    { "ttl", "DURATION", NULL, "how long it is good for; 1h" },
    { "issuer", "TEXT", "OMSCTL_ISSUER", "iss; ordermesh-dev" },
    { "audience", "TEXT", "OMSCTL_AUDIENCE", "aud; ordermesh" },
    { "key", "FILE", "OMSCTL_KEY", "the private key that the gateway trusts (P-256, PEM)" },
    {},
};

static const struct flag apikey_flags[] = {
    { "sub", "SUBJECT", NULL, "who the machine is: what services and logs call it" },
    { "role", "ROLE[,ROLE]", NULL, "customer, csr, warehouse, erp, operator, admin" },
    { "expires", "DAY", NULL, "when it ends, such as 2027-01-31; never if not given" },
    { "from", "NETWORK[,NETWORK]", NULL, "where it may be used, such as 192.0.2.0/24; anywhere if not given" },
    { "accounts", "FILE", NULL, "the gateway's file of accounts, which gets the line" },
    {},
};

static const struct command commands[] = {
    { "catalog import", "FILE",
      "Loads products, locations and stock from files.\n\n"
      "FILE is CSV with a line per variant: product_id,title,description,brand,category,sku,variant,price,currency,\n"
      "weight_grams,gtin,stocked. Only what differs from the server's is sent. With --map FILE has a retailer's\n"
      "invoice lines: every code in them becomes a product at the first price it was sold at, and where nothing is\n"
      "known of its stock yet as much is received as the file sells.",
      run_catalog_import, catalog_import_flags, 1, 1 },
    { "catalog get", "PRODUCT|SKU", "Shows one product with its variants.", run_catalog_get, NULL, 1, 1 },
    { "catalog list", "", "Lists products.", run_catalog_list, page_flags, 0, 0 },
    { "catalog search", "PREFIX", "Finds products by the beginning of a word of the title, or of a SKU.",
      run_catalog_search, page_flags, 1, 1 },
    { "order place", "SKU[=QUANTITY][@PRICE]…",
      "Places an order.\n\n"
      "A price is what you expect to pay for one; it must be ours, unless your role is erp, which sets it.",
      run_order_place, order_place_flags, 1, 1000 },
    { "order import", "FILE --map MAPPING",
      "Places a retailer's invoices, each at its own prices (needs role erp).\n\n"
      "FILE is CSV or CSV.xz with a line per item sold. What cannot be traded is refused line by line, with its\n"
      "reason (docs/import.md). What breaks is resumed, and a second run places nothing twice.",
      run_order_import, order_import_flags, 1, 1 },
    { "order export", "",
      "Writes all orders and credit memos, or those that have changed (needs role erp, operator or admin).\n\n"
      "In the end the position is told, on stderr and, as JSON, in the last line: what changes from then on is what\n"
      "--after that position exports. A stream that breaks goes on where it was.",
      run_order_export, order_export_flags, 0, 0 },
    { "order get", "ORDER | CHANNEL NUMBER", "Shows one order with its lines, by its id or its channel's own number.",
      run_order_get, NULL, 1, 2 },
    { "order list", "",
      "Lists orders, newest first.\n\n"
      "A filter is written as AIP-160 has it: 'state = (PENDING OR CONFIRMED) total > 100', 'lines.sku:MUG-S',\n"
      "'place_time >= 2011-12-09 -channel:web'. Terms side by side must all be true, OR binds tighter than AND, and\n"
      "* stands for any text. A value alone is looked for in order_id, customer_id and external_id. An unknown field\n"
      "is refused with a list of all.",
      run_order_list, order_list_flags, 0, 0 },
    { "order watch", "ORDER", "Shows an order and every change of it, until its life has ended.", run_order_watch,
      order_watch_flags, 1, 1 },
    { "order cancel", "ORDER",
      "Cancels an order.\n\n"
      "What is held is given back, what was paid is refunded. A parcel that has left goes on: then the order is\n"
      "CONFIRMED again, with the lines that could be cancelled marked.",
      run_order_cancel, order_cancel_flags, 1, 1 },
    { "order explain", "ORDER", "Tells what an order waits for, since when, who has to act, and what may be done.",
      run_order_explain, NULL, 1, 1 },
    { "order stuck", "", "Lists orders that wait for longer than they should, the longest first.", run_order_stuck,
      page_flags, 0, 0 },
    { "stock list", "", "Lists stock per SKU and location.", run_stock_list, stock_list_flags, 0, 0 },
    { "stock adjust", "SKU LOCATION DELTA", "Adds to the stock on hand, or takes from it (write -- before -5).",
      run_stock_adjust, stock_adjust_flags, 3, 3 },
    { "stock availability", "SKU…", "Shows what may still be sold of each SKU.", run_stock_availability, NULL, 1, 500 },
    { "stock locations", "", "Lists stock locations.", run_stock_locations, NULL, 0, 0 },
    { "stock movements", "", "Lists what has changed the stock: shelf by shelf, the latest first.", run_stock_movements,
      stock_movements_flags, 0, 0 },
    { "stock verify", "[--repair]",
      "Compares journal, stock, reservations, availability and cache.\n\n"
      "With --repair availability and cache are written anew where they are wrong; the rest a person has to see to.",
      run_stock_verify, stock_verify_flags, 0, 0 },
    { "shipment list", "", "Lists shipments, oldest first.", run_shipment_list, shipment_list_flags, 0, 0 },
    { "shipment get", "SHIPMENT", "Shows one shipment with its lines and where it is.", run_shipment_get, NULL, 1, 1 },
    { "shipment track", "TRACKING", "Shows the shipment of a carrier's tracking number.", run_shipment_track, NULL, 1,
      1 },
    { "shipment pack", "SHIPMENT [SKU[=QUANTITY]…]",
      "Tells that a shipment is packed, without so many of what is missing, and asks the carrier for a label (needs "
      "role "
      "warehouse).",
      run_shipment_pack, shipment_pack_flags, 1, 1 + SHIPMENT_MISSING_MAX },
    { "shipment ship", "SHIPMENT", "Tells that a shipment was handed over to the carrier (needs role warehouse).",
      run_shipment_ship, shipment_ship_flags, 1, 1 },
    { "case list", "", "Lists what people have to look at, newest first.", run_case_list, case_list_flags, 0, 0 },
    { "case get", "CASE", "Shows one case.", run_case_get, NULL, 1, 1 },
    { "case ack", "CASE", "Takes a case that nobody has taken yet.", run_case_ack, case_ack_flags, 1, 1 },
    { "case resolve", "CASE --reason CODE", "Ends a case.", run_case_resolve, case_resolve_flags, 1, 1 },
    { "message list", "", "Lists what customers were told by mail, newest first.", run_message_list, message_list_flags,
      0, 0 },
    { "payment get", "PAYMENT|ORDER", "Shows one payment with all that the card processor was asked.", run_payment_get,
      NULL, 1, 1 },
    { "payment list", "", "Lists payments, newest first.", run_payment_list, payment_list_flags, 0, 0 },
    { "payment refund", "PAYMENT|ORDER AMOUNT", "Gives back some of what was captured.", run_payment_refund,
      payment_refund_flags, 2, 2 },
    { "payment resolve", "OPERATION succeeded|declined --reason CODE",
      "Decides what became of an operation that the processor does not answer for.\n\n"
      "Whatever the processor says later is compared, and a contradiction becomes a case.",
      run_payment_resolve, payment_resolve_flags, 2, 2 },
    { "ledger balance", "", "Shows what stands on each account; the sum is zero.", run_ledger_balance,
      ledger_balance_flags, 0, 0 },
    { "ledger entries", "", "Lists what was posted, oldest first.", run_ledger_entries, ledger_entries_flags, 0, 0 },
    { "events", "[--service S]", "Shows the log of a process; svc-order's if not said otherwise.", run_events,
      events_flags, 0, 0 },
    { "deadletters list", "--service S", "Lists commands that were given up.", run_deadletters_list, page_flags, 0, 0 },
    { "deadletters explain", "ID --service S", "Tells what happened to one, and what retrying or discarding would do.",
      run_deadletters_explain, NULL, 1, 1 },
    { "deadletters retry", "ID --service S", "Sends one again.", run_deadletters_retry, NULL, 1, 1 },
    { "deadletters discard", "ID --reason TEXT --service S", "Forgets one.", run_deadletters_discard, discard_flags, 1,
      1 },
    { "status", "--service S", "Shows a process: its log, queues, cursors, leases.", run_status, NULL, 0, 0 },
    { "backup", "DIR [SERVICE…]",
      "Copies the services' databases while they run (needs role operator).\n\n"
      "DIR must not exist, and does not until all of them are whole; SERVICE --restore DIR puts one back.",
      run_backup, NULL, 1, -1 },
    { "token", "--sub S --role R[,R]", "Makes a token signed with the development key.", run_token, token_flags, 0, 0 },
    { "apikey create", "ID --sub S --role R[,R]",
      "Makes an API key for a machine.\n\n"
      "The key is shown once. What the gateway needs to know it is a line in its file of accounts (--accounts), which "
      "it\nreads again within seconds; without --accounts the line is shown, too.",
      run_apikey_create, apikey_flags, 1, 1 },
    { "call", "METHOD [JSON|-]",
      "Calls any method, which it learns from the server by reflection.\n\n"
      "METHOD is package.Service/Method. The request is JSON, from the argument or from stdin (-); {} if there is "
      "none.\n"
      "A method whose client streams takes several, one after the other. Every message of a stream is printed on a\n"
      "line of its own. --service says which process is meant where several serve the same method, as they do "
      "health.",
      run_call, NULL, 1, 2 },
    { "list", "[SERVICE]", "Lists the server's services, or one's methods, by reflection.", run_list, NULL, 0, 1 },
    { "describe", "SYMBOL", "Shows a service, method, message or enum, by reflection.", run_describe, NULL, 1, 1 },
    {},
};

int main(int argc, char **argv)
{
    cli_defaults();
    struct ctl ctl = { 0 };
    int r = cli_parse(&ctl, commands, argc, argv);
    int code = r < 0 ? CTL_USAGE : r > 0 ? CTL_OK : ctl.command->run(&ctl);
    cli_finish(&ctl);
    return code;
}
