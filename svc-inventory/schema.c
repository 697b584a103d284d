/* The tables of svc-inventory. Rows of stock are never deleted. */
#include "svc-inventory/inventory.h"

const struct migration inventory_migrations[] = {
    { 1, "catalogue",
      "CREATE TABLE product (\n"
      "    product_id {text} NOT NULL PRIMARY KEY,\n"
      "    title {text} NOT NULL,\n"
      "    description {text} NOT NULL,\n"
      "    brand {text} NOT NULL,\n"
      "    category {text} NOT NULL,\n"
      "    version {int} NOT NULL,\n"
      "    update_time_us {int} NOT NULL\n"
      ") {strict};\n"
      "CREATE TABLE variant (\n"
      "    sku {text} NOT NULL PRIMARY KEY,\n"
      "    product_id {text} NOT NULL REFERENCES product (product_id),\n"
      "    place {int} NOT NULL,\n" /* among the product's variants */
      "    title {text} NOT NULL,\n"
      "    price_minor {int} NOT NULL CHECK (price_minor >= 0),\n"
      "    currency {text} NOT NULL,\n"
      "    weight_grams {int} NOT NULL,\n"
      "    gtin {text} NOT NULL,\n"
      "    stocked {int} NOT NULL CHECK (stocked IN (0, 1))\n"
      ") {strict};\n"
      "CREATE UNIQUE INDEX variant_of_product ON variant (product_id, place);\n"
      "CREATE TABLE search_word (\n" /* in lower case; compared byte by byte: the database needs the C collation */
      "    word {text} NOT NULL,\n"
      "    product_id {text} NOT NULL REFERENCES product (product_id),\n"
      "    PRIMARY KEY (word, product_id)\n"
      ") {clustered};\n"
      "CREATE INDEX search_word_of_product ON search_word (product_id)" },
    { 2, "stock",
      "CREATE TABLE location (\n"
      "    location_id {text} NOT NULL PRIMARY KEY,\n"
      "    title {text} NOT NULL,\n"
      "    country {text} NOT NULL,\n"
      "    priority {int} NOT NULL\n"
      ") {strict};\n"
      "CREATE TABLE stock (\n"
      "    sku {text} NOT NULL,\n"
      "    location_id {text} NOT NULL REFERENCES location (location_id),\n"
      "    on_hand {int} NOT NULL,\n"
      "    reserved {int} NOT NULL CHECK (reserved >= 0),\n"
      "    version {int} NOT NULL,\n"
      "    PRIMARY KEY (sku, location_id),\n"
      "    CHECK (on_hand >= reserved)\n"
      ") {clustered};\n"
      /* Movement n of a stock row is the one that made its version n: no gap, no double, and sum = stock. */
      "CREATE TABLE movement (\n"
      "    sku {text} NOT NULL,\n"
      "    location_id {text} NOT NULL,\n"
      "    version {int} NOT NULL,\n"
      "    on_hand {int} NOT NULL,\n"
      "    reserved {int} NOT NULL,\n"
      "    reason {text} NOT NULL,\n"
      "    ref {text} NOT NULL,\n"
      "    time_us {int} NOT NULL,\n"
      "    PRIMARY KEY (sku, location_id, version)\n"
      ") {clustered};\n"
      "CREATE TABLE availability (\n"
      "    sku {text} NOT NULL PRIMARY KEY,\n"
      "    available {int} NOT NULL CHECK (available >= 0),\n"
      "    version {int} NOT NULL\n"
      ") {clustered};\n"
      "CREATE TABLE reservation (\n"
      "    holder {text} NOT NULL,\n"       /* the service that holds it */
      "    operation_id {text} NOT NULL,\n" /* the request id of its ReserveStock */
      "    reservation_id {text} NOT NULL,\n"
      "    order_id {text} NOT NULL,\n"
      "    released {int} NOT NULL CHECK (released IN (0, 1)),\n"
      "    time_us {int} NOT NULL,\n"
      "    PRIMARY KEY (holder, operation_id)\n"
      ") {clustered};\n"
      "CREATE TABLE reservation_line (\n"
      "    reservation_id {text} NOT NULL,\n"
      "    sku {text} NOT NULL,\n"
      "    location_id {text} NOT NULL,\n"
      "    quantity {int} NOT NULL CHECK (quantity > 0),\n"
      "    PRIMARY KEY (reservation_id, sku, location_id)\n"
      ") {clustered}" },
    /* A reservation that is not whole any more counts as released for the previous release, which so lets it be; what
     * each of its lines still holds is its rest. */
    { 3, "life of reservations",
      "ALTER TABLE reservation_line ADD COLUMN rest {int} NOT NULL DEFAULT 0 CHECK (rest >= 0);\n"
      "CREATE INDEX reservation_line_rest ON reservation_line (sku, location_id) WHERE rest > 0;\n"
      "ALTER TABLE reservation ADD COLUMN expire_us {int} NOT NULL DEFAULT 0;\n" /* 0: not any more, or never */
      "CREATE INDEX reservation_expiring ON reservation (expire_us) WHERE expire_us > 0" },
    /* An empty document, and a time of 0, are what the previous release writes: none, and that of the booking. */
    { 4, "documents of movements",
      "ALTER TABLE movement ADD COLUMN document_id {text} NOT NULL DEFAULT '';\n"
      "ALTER TABLE movement ADD COLUMN effective_us {int} NOT NULL DEFAULT 0;\n"
      "CREATE INDEX movement_of_document ON movement (document_id) WHERE document_id <> ''" },
    {}
};
