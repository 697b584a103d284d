/* The tables of svc-notify. What is personal stands in contact alone, with the subject whose it is. */
#include "svc-notify/notify.h"

const struct migration notify_migrations[] = {
    { 1, "messages",
      "CREATE TABLE message (\n"
      "    message_id {text} NOT NULL PRIMARY KEY,\n"
      "    order_id {text} NOT NULL,\n"
      "    customer_id {text} NOT NULL,\n"
      "    template {int} NOT NULL,\n"
      "    state {int} NOT NULL CHECK (state BETWEEN 1 AND 4),\n"
      "    reason {text} NOT NULL,\n" /* a sentence of ours */
      "    tracking_number {text} NOT NULL,\n"
      "    amount {text} NOT NULL,\n"
      "    event_time_us {int} NOT NULL,\n"
      "    update_time_us {int} NOT NULL\n"
      ") {clustered};\n"
      "CREATE INDEX message_by_time ON message (event_time_us, message_id);\n"
      "CREATE INDEX message_by_order ON message (order_id, event_time_us, message_id);\n"
      "CREATE INDEX message_by_customer ON message (customer_id, event_time_us, message_id);\n"
      "CREATE TABLE contact (\n"
      "    order_id {text} NOT NULL PRIMARY KEY,\n"
      "    known {int} NOT NULL CHECK (known IN (0, 1)),\n" /* 0: svc-order has been asked */
      "    subject {text} NOT NULL,\n" /* whose it is: the customer, or the order itself of a guest */
      "    name {text} NOT NULL,\n"
      "    email {text} NOT NULL,\n" /* empty: none that can be written to */
      "    total {text} NOT NULL\n"
      ") {clustered}" },
    { 2, "cases",
      "CREATE TABLE alert_case (\n"
      "    case_id {text} NOT NULL PRIMARY KEY,\n"
      "    kind {int} NOT NULL,\n"
      "    state {int} NOT NULL CHECK (state BETWEEN 1 AND 3),\n"
      "    order_id {text} NOT NULL,\n"
      "    customer_id {text} NOT NULL,\n"
      "    ref {text} NOT NULL,\n"
      "    detail {text} NOT NULL,\n"
      "    raise_time_us {int} NOT NULL,\n"
      "    acknowledge_time_us {int} NOT NULL,\n"
      "    acknowledged_by {text} NOT NULL,\n"
      "    resolve_time_us {int} NOT NULL,\n"
      "    resolved_by {text} NOT NULL,\n"
      "    resolution {text} NOT NULL,\n"
      "    version {int} NOT NULL\n"
      ") {clustered};\n"
      "CREATE UNIQUE INDEX alert_case_unresolved ON alert_case (ref, kind) WHERE state <> 3;\n"
      "CREATE INDEX alert_case_by_order ON alert_case (order_id, case_id);\n"
      "CREATE INDEX alert_case_by_state ON alert_case (state, case_id)" },
    { 3, "whose work a message is", "ALTER TABLE message ADD COLUMN trace {text} NOT NULL DEFAULT ''" },
    {}
};
