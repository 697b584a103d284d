/* Orders and credit memos looked through by a filter: narrow rows, of which few are read whole.
 *
 * A credit answers to the fields that it shares with an order, of which some have another name there: order_id is its
 * credit_id, place_time when it was issued, placed_by who did, ship_to.country its country. */
#pragma once

#include "svc-order/order.h"

#include "mesh/rpc/filter.h"

/* The fields of a filter, which are the columns of a row, and behind them those of a line. */
enum search_field {
    FIELD_ORDER_ID,
    FIELD_CUSTOMER_ID,
    FIELD_CHANNEL,
    FIELD_EXTERNAL_ID,
    FIELD_PLACED_BY,
    FIELD_PLACE_TIME,
    FIELD_UPDATE_TIME,
    FIELD_TOTAL,
    FIELD_CURRENCY,
    FIELD_COUNTRY,
    FIELD_STATE,
    FIELD_PAYMENT_STATE,
    FIELD_FULFILLMENT_STATE,
    FIELD_CAPTURED,
    FIELD_CREDITED,
    FIELD_PAYMENT_ID,
    FIELD_ELSEWHERE,
    FIELD_LINE_SKU,
    FIELD_LINE_QUANTITY,
    FIELD_LINE_SHIPPED,
    FIELD_LINE_CANCELLED,
    FIELD_LINE_RETURNED,
};
extern const struct filter_field search_fields[];

enum { SEARCH_LINES = FIELD_ELSEWHERE + 1 }; /* the column behind them: how many lines there are */

/* What every statement selects; drafts too, so that it looks at no more rows than it gives. The country stands in
 * another table: as BIGINT $n says whether it is asked for. */
#define SEARCH_ORDER(n) \
    "o.order_id, o.customer_id, o.channel, o.external_id, o.placed_by, o.place_time_us, o.update_time_us, " \
    "o.total_minor, o.currency, CASE WHEN " n " = 1 THEN (SELECT a.country FROM order_address a " \
    "WHERE a.order_id = o.order_id) END, CASE WHEN o.draft = 1 THEN 7 ELSE o.state END, o.payment_state, " \
    "o.fulfillment_state, o.captured_minor, o.credited_minor, o.payment_id, o.elsewhere, o.lines "
#define SEARCH_CREDIT \
    "c.credit_id, c.customer_id, c.channel, c.external_id, c.issued_by, c.issue_time_us, c.update_time_us, " \
    "c.total_minor, c.currency, c.country, CASE WHEN c.draft = 1 THEN 7 END, CAST(NULL AS BIGINT), CAST(NULL AS " \
    "BIGINT), " \
    "CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS TEXT), CAST(NULL AS BIGINT), c.lines "

struct search {
    const struct filter *filter; /* NULL: everything fits */
    const char *channel;         /* "": any */
    bool credits;                /* the rows are of credits */
    int64_t lines_left;          /* so many may still be looked at; when none are left, no further row is judged */
};
/* $n of SEARCH_ORDER. */
struct value search_country(const struct search *search);

/* Which of the rows fit, which drafts of an import never do, in the transaction's arena. Returns how many rows were
 * judged, or a negative errno. */
int search_judge(struct txn *txn, struct search *search, const struct rows *rows, const bool **ret_fits);

/* What a page has room for. */
struct picked {
    const char **ids; /* room for max */
    size_t n, max;
    int64_t lines, max_lines;
};
/* Takes those of n rows that fit, until one has no room: the first always has. Returns how many rows it has passed. */
size_t search_pick(struct picked *picked, const struct rows *rows, size_t n, const bool *fits);
