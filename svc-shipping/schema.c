/* The tables of svc-shipping. What is personal stands in shipment_address alone, with the subject whose it is. */
#include "svc-shipping/shipping.h"

const struct migration shipping_migrations[] = {
    { 1, "fulfilments",
      "CREATE TABLE fulfillment (\n"
      "    fulfillment_id {text} NOT NULL PRIMARY KEY,\n"
      "    holder {text} NOT NULL,\n"       /* the service that wanted it */
      "    operation_id {text} NOT NULL,\n" /* the request id of its CreateFulfillment */
      "    order_id {text} NOT NULL,\n"
      "    customer_id {text} NOT NULL,\n" /* empty: a guest */
      "    location_id {text} NOT NULL,\n"
      "    standing {int} NOT NULL CHECK (standing BETWEEN 1 AND 11),\n"
      "    lines {int} NOT NULL CHECK (lines > 0),\n"
      "    weight_grams {int} NOT NULL,\n"
      "    carrier {text} NOT NULL,\n"
      "    tracking_number {text} NOT NULL,\n"
      "    promise_time_us {int} NOT NULL,\n"
      "    delayed {int} NOT NULL CHECK (delayed IN (0, 1)),\n"
      "    exception {text} NOT NULL,\n"
      "    create_time_us {int} NOT NULL,\n"
      "    update_time_us {int} NOT NULL,\n"
      "    version {int} NOT NULL\n"
      ") {strict};\n"
      "CREATE INDEX fulfillment_of_order ON fulfillment (order_id, fulfillment_id);\n"
      "CREATE INDEX fulfillment_of_operation ON fulfillment (operation_id);\n"
      "CREATE INDEX fulfillment_of_customer ON fulfillment (customer_id, fulfillment_id);\n"
      "CREATE INDEX fulfillment_open ON fulfillment (location_id, fulfillment_id) WHERE standing <= 6;\n"
      "CREATE INDEX fulfillment_under_way ON fulfillment (carrier) WHERE standing BETWEEN 4 AND 6;\n"
      "CREATE INDEX fulfillment_tracked ON fulfillment (tracking_number) WHERE tracking_number <> '';\n"
      "CREATE TABLE fulfillment_line (\n"
      "    fulfillment_id {text} NOT NULL REFERENCES fulfillment (fulfillment_id),\n"
      "    n {int} NOT NULL,\n"
      "    place {int} NOT NULL,\n" /* of the order's line */
      "    sku {text} NOT NULL,\n"
      "    quantity {int} NOT NULL CHECK (quantity > 0),\n"
      "    PRIMARY KEY (fulfillment_id, n)\n"
      ") {clustered};\n"
      /* Of the step that made that version of the fulfilment. */
      "CREATE TABLE tracking_event (\n"
      "    fulfillment_id {text} NOT NULL REFERENCES fulfillment (fulfillment_id),\n"
      "    version {int} NOT NULL,\n"
      "    type {int} NOT NULL,\n"
      "    time_us {int} NOT NULL,\n"
      "    PRIMARY KEY (fulfillment_id, version)\n"
      ") {clustered};\n"
      "CREATE TABLE shipment_address (\n"
      "    order_id {text} NOT NULL PRIMARY KEY,\n"
      "    subject {text} NOT NULL,\n" /* whose it is: the customer, or the order itself of a guest */
      "    name {text} NOT NULL,\n"
      "    street1 {text} NOT NULL,\n"
      "    street2 {text} NOT NULL,\n"
      "    street3 {text} NOT NULL,\n"
      "    street4 {text} NOT NULL,\n"
      "    city {text} NOT NULL,\n"
      "    postal_code {text} NOT NULL,\n"
      "    country {text} NOT NULL\n"
      ") {clustered};\n"
      "CREATE TABLE carrier_cursor (\n"
      "    carrier {text} NOT NULL PRIMARY KEY,\n"
      "    seq {int} NOT NULL,\n"   /* of the last event of theirs that was applied */
      "    round {int} NOT NULL,\n" /* of the asking that counts */
      "    resting {int} NOT NULL CHECK (resting IN (0, 1)),\n"
      "    unknown {int} NOT NULL\n" /* their events about what is not ours */
      ") {clustered};\n"
      "INSERT INTO carrier_cursor (carrier, seq, round, resting, unknown) VALUES ('carrier', 0, 0, 1, 0)" },
    {}
};
