/* The tables of svc-payment. Of persons there is the customer's id alone; the token is the processor's name for a card.
 */
#include "svc-payment/payment.h"

const struct migration payment_migrations[] = {
    { 1, "payments",
      "CREATE TABLE payment (\n"
      "    payment_id {text} NOT NULL PRIMARY KEY,\n"
      "    order_id {text} NOT NULL,\n"
      "    customer_id {text} NOT NULL,\n" /* empty: a guest */
      "    currency {text} NOT NULL,\n"
      "    amount_minor {int} NOT NULL CHECK (amount_minor > 0),\n"
      "    authorized_minor {int} NOT NULL CHECK (authorized_minor >= 0),\n"
      "    capturing_minor {int} NOT NULL CHECK (capturing_minor >= 0),\n" /* of operations under way */
      "    captured_minor {int} NOT NULL CHECK (captured_minor >= 0),\n"
      "    refunding_minor {int} NOT NULL CHECK (refunding_minor >= 0),\n"
      "    refunded_minor {int} NOT NULL CHECK (refunded_minor >= 0),\n"
      "    authorize_state {int} NOT NULL CHECK (authorize_state BETWEEN 1 AND 6),\n"
      "    voiding {int} NOT NULL CHECK (voiding BETWEEN 0 AND 2),\n"
      "    payment_token {text} NOT NULL,\n"
      "    decline_reason {text} NOT NULL,\n"
      "    action_url {text} NOT NULL,\n"
      "    operations {int} NOT NULL CHECK (operations > 0),\n"
      "    open_operations {int} NOT NULL CHECK (open_operations >= 0),\n"
      "    create_time_us {int} NOT NULL,\n"
      "    update_time_us {int} NOT NULL,\n"
      "    version {int} NOT NULL\n"
      ") {clustered};\n"
      "CREATE INDEX payment_of_order ON payment (order_id, payment_id);\n"
      "CREATE INDEX payment_of_customer ON payment (customer_id, payment_id);\n"
      "CREATE INDEX payment_open ON payment (payment_id) WHERE open_operations > 0;\n"
      "CREATE TABLE payment_operation (\n"
      "    payment_id {text} NOT NULL REFERENCES payment (payment_id),\n"
      "    place {int} NOT NULL,\n" /* the authorize is 1 */
      "    operation_id {text} NOT NULL,\n"
      "    kind {int} NOT NULL CHECK (kind BETWEEN 1 AND 4),\n"
      "    state {int} NOT NULL CHECK (state BETWEEN 1 AND 6),\n"
      "    amount_minor {int} NOT NULL CHECK (amount_minor >= 0),\n"
      "    processor_ref {text} NOT NULL,\n"
      "    reason {text} NOT NULL,\n"
      "    decided_by {text} NOT NULL,\n"
      "    create_time_us {int} NOT NULL,\n"
      "    update_time_us {int} NOT NULL,\n"
      "    PRIMARY KEY (payment_id, place)\n"
      ") {clustered};\n"
      "CREATE UNIQUE INDEX payment_operation_id ON payment_operation (operation_id);\n"
      "CREATE INDEX payment_operation_waiting ON payment_operation (create_time_us) WHERE state = 1;\n"
      /* When it is looked for operations that have had no answer in time: a timer each. */
      "CREATE TABLE overdue_round (\n"
      "    due_us {int} NOT NULL PRIMARY KEY\n"
      ") {strict}" },
    { 2, "ledger",
      "CREATE TABLE ledger_entry (\n"
      "    entry_id {text} NOT NULL PRIMARY KEY,\n"
      "    order_id {text} NOT NULL,\n"
      "    payment_id {text} NOT NULL,\n"
      "    operation_id {text} NOT NULL,\n"
      "    time_us {int} NOT NULL\n"
      ") {clustered};\n"
      "CREATE INDEX ledger_entry_of_order ON ledger_entry (order_id, entry_id);\n"
      "CREATE TABLE ledger_posting (\n"
      "    entry_id {text} NOT NULL REFERENCES ledger_entry (entry_id),\n"
      "    account {text} NOT NULL,\n"
      "    currency {text} NOT NULL,\n"
      "    minor {int} NOT NULL,\n" /* a debit is above zero */
      "    PRIMARY KEY (entry_id, account)\n"
      ") {clustered};\n"
      "CREATE TABLE ledger_balance (\n"
      "    account {text} NOT NULL,\n"
      "    currency {text} NOT NULL,\n"
      "    minor {int} NOT NULL,\n"
      "    entries {int} NOT NULL,\n"
      "    PRIMARY KEY (account, currency)\n"
      ") {clustered}" },
    { 3, "invoices",
      "ALTER TABLE ledger_entry ADD COLUMN document_id {text} NOT NULL DEFAULT '';\n" /* empty: an operation */
      "ALTER TABLE ledger_entry ADD COLUMN kind {int} NOT NULL DEFAULT 0;\n"
      "ALTER TABLE ledger_entry ADD COLUMN effective_us {int} NOT NULL DEFAULT 0;\n" /* 0: when it was booked */
      "ALTER TABLE ledger_entry ADD COLUMN customer_id {text} NOT NULL DEFAULT '';\n"
      "ALTER TABLE ledger_entry ADD COLUMN country {text} NOT NULL DEFAULT '';\n"
      "ALTER TABLE ledger_entry ADD COLUMN channel {text} NOT NULL DEFAULT '';\n"
      "ALTER TABLE ledger_entry ADD COLUMN lines {int} NOT NULL DEFAULT 0;\n"
      "CREATE UNIQUE INDEX ledger_entry_of_document ON ledger_entry (document_id, kind) WHERE document_id <> '';\n"
      /* What a posting is made of, if it is told; an entry goes on having two, which the release before reads. */
      "CREATE TABLE ledger_line (\n"
      "    entry_id {text} NOT NULL REFERENCES ledger_entry (entry_id),\n"
      "    account {text} NOT NULL,\n"
      "    sku {text} NOT NULL,\n"
      "    quantity {int} NOT NULL CHECK (quantity > 0),\n"
      "    minor {int} NOT NULL,\n"
      "    PRIMARY KEY (entry_id, account, sku)\n"
      ") {clustered}" },
    {}
};
