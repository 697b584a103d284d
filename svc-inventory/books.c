/* What the books say of a page of SKUs, each beside what it should be.
 *
 * A hold that no shelf knows has no SKU whose page would show it, so that reservations are looked at all at once, with
 * the first page: finding those that hold something means reading all of them. */
#include "svc-inventory/verification.h"

#include <errno.h>

#define PAGE_SKUS 200
#define HOLDS_MAX 500 /* shelves whose reservations differ and are told */

/* Everything that has a shelf, a movement or an availability, each table by its key. */
static int read_page(struct txn *txn, struct verification *v, struct rows *ret_rows)
{
    return txn_query(
        txn, ret_rows,
        "WITH RECURSIVE moved (sku) AS (SELECT MIN(sku) FROM movement WHERE sku > $1 UNION ALL "
        "SELECT (SELECT MIN(sku) FROM movement n WHERE n.sku > moved.sku) FROM moved WHERE moved.sku IS NOT NULL), "
        "page (sku) AS (SELECT sku FROM (SELECT sku FROM moved WHERE sku IS NOT NULL LIMIT $2) m UNION "
        "SELECT sku FROM (SELECT DISTINCT sku FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2) s UNION "
        "SELECT sku FROM (SELECT sku FROM availability WHERE sku > $1 ORDER BY sku LIMIT $2) a) "
        "SELECT sku FROM page ORDER BY sku LIMIT $2",
        T(v->request->after_sku), I(PAGE_SKUS));
}

static int read_shelves(struct txn *txn, const char *after, const char *last, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, CAST(SUM(moved) AS BIGINT), CAST(SUM(there) AS BIGINT), "
                     "CAST(SUM(moved_reserved) AS BIGINT), CAST(SUM(reserved) AS BIGINT) FROM ("
                     "SELECT sku, location_id, on_hand AS moved, 0 AS there, reserved AS moved_reserved, 0 AS reserved "
                     "FROM movement WHERE sku > $1 AND sku <= $2 UNION ALL "
                     "SELECT sku, location_id, 0, on_hand, 0, reserved FROM stock WHERE sku > $1 AND sku <= $2) b "
                     "GROUP BY sku, location_id ORDER BY sku, location_id",
                     T(after), T(last));
}

static int read_words(struct txn *txn, const char *after, const char *last, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, CAST(SUM(free) AS BIGINT), CAST(SUM(available) AS BIGINT), "
                     "CAST(SUM(version) AS BIGINT) FROM ("
                     "SELECT sku, on_hand - reserved AS free, 0 AS available, 0 AS version FROM stock "
                     "WHERE sku > $1 AND sku <= $2 UNION ALL "
                     "SELECT sku, 0, available, version FROM availability WHERE sku > $1 AND sku <= $2) b "
                     "GROUP BY sku ORDER BY sku",
                     T(after), T(last));
}

static int read_holds(struct txn *txn, struct rows *ret_rows)
{
    return txn_query(txn, ret_rows,
                     "SELECT sku, location_id, CAST(SUM(reserved) AS BIGINT), CAST(SUM(held) AS BIGINT) FROM ("
                     "SELECT sku, location_id, reserved, 0 AS held FROM stock UNION ALL "
                     "SELECT l.sku, l.location_id, 0, l.quantity FROM reservation r JOIN reservation_line l "
                     "ON l.reservation_id = r.reservation_id WHERE r.released = 0 UNION ALL "
                     "SELECT sku, location_id, 0, rest FROM reservation_line WHERE rest > 0) b "
                     "GROUP BY sku, location_id HAVING SUM(reserved) <> SUM(held) ORDER BY sku, location_id LIMIT $1",
                     I(HOLDS_MAX));
}

static void find(struct verification *v, const struct rows *rows, size_t row, size_t column, const char *what)
{
    const struct finding finding = { row_text(rows, row, 0), row_text(rows, row, 1), what, row_int(rows, row, column),
                                     row_int(rows, row, column + 1) };
    if (finding.expected != finding.found)
        v->findings[v->n_findings++] = finding;
}

static int compare_page(struct txn *txn, struct verification *v, const char *last)
{
    struct rows shelves, holds = { 0 }, words;
    const char *after = v->request->after_sku;
    int r = read_shelves(txn, after, last, &shelves);
    if (r == 0)
        r = read_words(txn, after, last, &words);
    if (r == 0 && after[0] == '\0')
        r = read_holds(txn, &holds);
    if (r < 0)
        return r;

    v->findings = arena_alloc(txn->arena, (2 * shelves.n + holds.n) * sizeof(*v->findings));
    v->words = arena_zalloc(txn->arena, words.n * sizeof(*v->words));
    if (!v->findings || !v->words)
        return -ENOMEM;
    for (size_t i = 0; i < shelves.n; i++) {
        find(v, &shelves, i, 2, "ON_HAND");
        find(v, &shelves, i, 4, "RESERVED");
    }
    for (size_t i = 0; i < holds.n; i++)
        find(v, &holds, i, 2, "RESERVATIONS");
    for (; v->n_words < words.n; v->n_words++)
        v->words[v->n_words] = (struct word){
            .sku = row_text(&words, v->n_words, 0),
            .free = row_int(&words, v->n_words, 1),
            .stored = row_int(&words, v->n_words, 2),
            .version = (uint64_t)row_int(&words, v->n_words, 3),
        };
    return 0;
}

int books_compare(struct txn *txn, struct verification *v)
{
    struct log_position at;
    struct rows rows;
    v->n_findings = v->n_words = v->n_skus = 0;
    int r = log_position(txn, &at);
    if (r == 0)
        r = read_page(txn, v, &rows);
    if (r < 0)
        return r;
    v->seq = at.seq;
    v->n_skus = rows.n;
    v->next_sku = rows.n == PAGE_SKUS ? row_text(&rows, rows.n - 1, 0) : "";
    return compare_page(txn, v, rows.n ? row_text(&rows, rows.n - 1, 0) : v->request->after_sku);
}
