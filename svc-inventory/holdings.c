/* A reservation is whole until a part of it goes: until then its lines hold their quantities, and one that is given
 * back as a whole is one change. From then on each line says what is left of it. */
#include "svc-inventory/holdings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *reason;
    bool leaves;
} takings[] = {
    [TAKEN_RELEASED] = { "RELEASED", false },
    [TAKEN_EXPIRED] = { "EXPIRED", false },
    [TAKEN_SHIPPED] = { "SHIPPED", true },
};

static int compare_operations(const struct operation *a, const struct operation *b)
{
    int r = strcmp(a->holder, b->holder);
    return r ? r : strcmp(a->id, b->id);
}

static int compare_holdings(const void *a, const void *b)
{
    return compare_operations(&((const struct holding *)a)->operation, &((const struct holding *)b)->operation);
}

static struct holding *find(const struct holdings *holdings, const struct operation *operation)
{
    const struct holding wanted = { .operation = *operation };
    return bsearch(&wanted, holdings->all, holdings->n, sizeof(wanted), compare_holdings);
}

static int sort_operations(struct holdings *holdings, const struct operation *operations, size_t n)
{
    holdings->all = arena_zalloc(holdings->txn->arena, n * sizeof(*holdings->all));
    if (!holdings->all)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        holdings->all[i].operation = operations[i];
    qsort(holdings->all, n, sizeof(*holdings->all), compare_holdings);

    for (size_t i = 0; i < n; i++) {
        if (holdings->n == 0 || compare_holdings(&holdings->all[holdings->n - 1], &holdings->all[i]) != 0)
            holdings->all[holdings->n++] = holdings->all[i];
    }
    return 0;
}

static int query_lines(struct holdings *holdings, struct rows *ret_rows)
{
    struct value *values = arena_alloc(holdings->txn->arena, holdings->n * 2 * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < holdings->n; i++) {
        values[2 * i] = T(holdings->all[i].operation.holder);
        values[2 * i + 1] = T(holdings->all[i].operation.id);
    }
    return txn_query_many(holdings->txn, ret_rows,
                          "WITH wanted (holder, operation_id) AS (VALUES (CAST($1 AS TEXT), CAST($2 AS TEXT))) "
                          "SELECT r.holder, r.operation_id, r.reservation_id, r.order_id, r.released, l.sku, "
                          "l.location_id, CASE WHEN r.released = 0 THEN l.quantity ELSE l.rest END, l.rest "
                          "FROM wanted w CROSS JOIN reservation r "
                          "LEFT JOIN reservation_line l ON l.reservation_id = r.reservation_id "
                          "WHERE r.holder = w.holder AND r.operation_id = w.operation_id "
                          "ORDER BY r.holder, r.operation_id, l.sku, l.location_id",
                          holdings->n, 2, values);
}

/* A row is one line of a reservation, or the reservation alone when nothing of it is stocked. */
static int read_lines(struct holdings *holdings, const struct rows *rows, const char **ret_skus, size_t *ret_n)
{
    struct held_line *line = arena_alloc(holdings->txn->arena, rows->n * sizeof(*line));
    if (!line)
        return -ENOMEM;

    for (size_t i = 0; i < rows->n; i++) {
        struct holding *h = find(holdings, &(struct operation){ row_text(rows, i, 0), row_text(rows, i, 1) });
        h->reservation_id = row_text(rows, i, 2);
        h->order_id = row_text(rows, i, 3);
        h->whole = h->was_whole = row_int(rows, i, 4) == 0;
        if (row_null(rows, i, 5))
            continue;

        *line = (struct held_line){
            .sku = row_text(rows, i, 5),
            .location_id = row_text(rows, i, 6),
            .held = row_int(rows, i, 7),
            .rest = row_int(rows, i, 8),
        };
        ret_skus[(*ret_n)++] = line->sku;
        if (h->n_lines++ == 0)
            h->lines = line;
        line++;
    }
    return 0;
}

int holdings_open(struct txn *txn, const struct operation *operations, size_t n, struct holdings *ret_holdings)
{
    struct holdings holdings = { .txn = txn };
    struct rows rows;
    size_t n_skus = 0;
    int r = sort_operations(&holdings, operations, n);
    if (r == 0)
        r = query_lines(&holdings, &rows);
    if (r < 0)
        return r;
    const char **skus = arena_alloc(txn->arena, rows.n * sizeof(*skus));
    r = skus ? read_lines(&holdings, &rows, skus, &n_skus) : -ENOMEM;
    if (r == 0)
        r = book_open(txn, skus, n_skus, &holdings.book);
    if (r == 0)
        *ret_holdings = holdings;
    return r;
}

struct holding *holdings_find(const struct holdings *holdings, const struct operation *operation)
{
    struct holding *holding = find(holdings, operation);
    return holding && holding->reservation_id ? holding : NULL;
}

struct held_line *holding_line(const struct holding *holding, const char *sku, const char *location_id)
{
    for (size_t low = 0, high = holding->n_lines; low < high;) {
        size_t middle = (low + high) / 2;
        struct held_line *line = &holding->lines[middle];
        int order = strcmp(sku, line->sku);
        if (order == 0)
            order = strcmp(location_id, line->location_id);
        if (order == 0)
            return line;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool holding_open(const struct holding *holding)
{
    bool open = holding->whole;
    for (size_t i = 0; i < holding->n_lines && !open; i++)
        open = holding->lines[i].held > 0;
    return open;
}

int holding_take(struct holdings *holdings, struct holding *holding, enum taking why)
{
    struct book *book = &holdings->book;
    struct cause *cause = arena_alloc(holdings->txn->arena, sizeof(*cause));
    if (!cause)
        return -ENOMEM;
    *cause =
        (struct cause){ takings[why].reason, holding->reservation_id, takings[why].leaves ? holding->order_id : "", 0 };
    for (size_t i = 0; i < holding->n_lines; i++) {
        struct held_line *line = &holding->lines[i];
        if (line->asked == 0)
            continue;
        struct sku_stock *sku = book_find(book, line->sku);
        int r = book_move(book, sku, book_shelf(sku, line->location_id), takings[why].leaves ? -line->asked : 0,
                          -line->asked, cause);
        if (r < 0)
            return r;
        line->held -= line->asked;
        line->asked = 0;
    }
    holding->whole = false;
    holding->changed = true;
    holding->shipped |= takings[why].leaves;
    return 0;
}

int holding_end(struct holdings *holdings, struct holding *holding, enum taking why)
{
    for (size_t i = 0; i < holding->n_lines; i++)
        holding->lines[i].asked = holding->lines[i].held;
    return holding_take(holdings, holding, why);
}

/* --- writing back --- */

/* What holds nothing any more, or of what something is on its way, does not expire. */
static bool may_expire(const struct holding *holding)
{
    return !holding->shipped && holding_open(holding);
}

static int write_parted(struct holdings *holdings)
{
    enum { COLUMNS = 3 };
    size_t n = 0;
    struct value *values = arena_alloc(holdings->txn->arena, holdings->n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (const struct holding *h = holdings->all; h < holdings->all + holdings->n; h++) {
        const struct value row[COLUMNS] = { T(h->operation.holder), T(h->operation.id), I(may_expire(h)) };
        if (h->changed)
            memcpy(values + n++ * COLUMNS, row, sizeof(row));
    }
    return txn_post_each(holdings->txn,
                         "UPDATE reservation SET released = 1, expire_us = CASE WHEN $3 = 1 THEN expire_us ELSE 0 END "
                         "WHERE holder = $1 AND operation_id = $2",
                         n, COLUMNS, values);
}

static int write_rests(struct holdings *holdings)
{
    enum { COLUMNS = 4 };
    size_t n = 0, max = 0;
    for (size_t i = 0; i < holdings->n; i++)
        max += holdings->all[i].changed ? holdings->all[i].n_lines : 0;
    struct value *values = arena_alloc(holdings->txn->arena, max * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < holdings->n; i++) {
        const struct holding *h = &holdings->all[i];
        for (size_t k = 0; h->changed && k < h->n_lines; k++) {
            const struct held_line *line = &h->lines[k];
            if (line->held == line->rest)
                continue;
            const struct value row[COLUMNS] = { T(h->reservation_id), T(line->sku), T(line->location_id),
                                                I(line->held) };
            memcpy(values + n++ * COLUMNS, row, sizeof(row));
        }
    }
    return txn_post_each(holdings->txn,
                         "UPDATE reservation_line SET rest = $4 WHERE reservation_id = $1 AND sku = $2 "
                         "AND location_id = $3",
                         n, COLUMNS, values);
}

int holdings_close(struct holdings *holdings)
{
    int r = book_close(&holdings->book);
    if (r == 0)
        r = write_parted(holdings);
    return r < 0 ? r : write_rests(holdings);
}
