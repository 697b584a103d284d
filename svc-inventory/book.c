/* One query reads the book; at most five kinds of statement write it, whatever the number of lines. */
#include "svc-inventory/book.h"

#include "svc-inventory/availability.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define APART_BUDGET (64 * 1024 * 1024) /* bytes */

static int compare_portions(const void *a, const void *b)
{
    const struct portion *x = a, *y = b;
    return strcmp(x->sku, y->sku);
}

size_t portions_add_up(struct portion *portions, size_t n)
{
    size_t kept = 0;
    qsort(portions, n, sizeof(*portions), compare_portions);
    for (size_t i = 0; i < n; i++) {
        if (kept && strcmp(portions[kept - 1].sku, portions[i].sku) == 0)
            portions[kept - 1].quantity += portions[i].quantity;
        else
            portions[kept++] = portions[i];
    }
    return kept;
}

static int compare_skus(const void *a, const void *b)
{
    const struct sku_stock *x = a, *y = b;
    return strcmp(x->sku, y->sku);
}

static int sort_skus(struct book *book, const char *const *skus, size_t n)
{
    book->skus = arena_zalloc(book->txn->arena, n * sizeof(*book->skus));
    if (!book->skus)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        book->skus[i] = (struct sku_stock){ .sku = skus[i], .stocked = true };
    qsort(book->skus, n, sizeof(*book->skus), compare_skus);

    for (size_t i = 0; i < n; i++) {
        if (book->n_skus == 0 || compare_skus(&book->skus[book->n_skus - 1], &book->skus[i]) != 0)
            book->skus[book->n_skus++] = book->skus[i];
    }
    return 0;
}

/* A row is one shelf of a SKU, or the SKU alone when nothing of it was ever anywhere. */
static int read_shelves(struct book *book, const struct rows *rows)
{
    struct shelf *shelf = arena_alloc(book->txn->arena, rows->n * sizeof(*shelf));
    if (!shelf)
        return -ENOMEM;

    for (size_t i = 0; i < rows->n; i++) {
        struct sku_stock *sku = book_find(book, row_text(rows, i, 0));
        sku->known = !row_null(rows, i, 1);
        sku->stocked = !sku->known || row_int(rows, i, 1);
        sku->version = row_int(rows, i, 2);
        if (row_null(rows, i, 3))
            continue;

        *shelf = (struct shelf){
            .location_id = row_text(rows, i, 3),
            .on_hand = row_int(rows, i, 4),
            .reserved = row_int(rows, i, 5),
            .version = row_int(rows, i, 6),
        };
        sku->available += shelf->on_hand - shelf->reserved;
        sku->available_before = sku->available;
        if (sku->n_shelves++ == 0)
            sku->shelves = shelf;
        shelf++;
    }
    return 0;
}

int book_open(struct txn *txn, const char *const *skus, size_t n, struct book *ret_book)
{
    struct book book = { .txn = txn };
    int r = sort_skus(&book, skus, n);
    if (r < 0)
        return r;

    struct value *values = arena_alloc(txn->arena, book.n_skus * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < book.n_skus; i++)
        values[i] = T(book.skus[i].sku);

    struct rows rows;
    r = txn_query_many(txn, &rows,
                       "WITH wanted (sku) AS (VALUES (CAST($1 AS TEXT))) SELECT w.sku, v.stocked, a.version, "
                       "s.location_id, s.on_hand, s.reserved, s.version FROM wanted w "
                       "LEFT JOIN variant v ON v.sku = w.sku LEFT JOIN availability a ON a.sku = w.sku "
                       "LEFT JOIN stock s ON s.sku = w.sku LEFT JOIN location l ON l.location_id = s.location_id "
                       "ORDER BY w.sku, l.priority, s.location_id",
                       book.n_skus, 1, values);
    if (r < 0)
        return r;
    r = read_shelves(&book, &rows);
    if (r < 0)
        return r;
    *ret_book = book;
    return 0;
}

struct sku_stock *book_find(const struct book *book, const char *sku)
{
    const struct sku_stock wanted = { .sku = sku };
    struct sku_stock *found = bsearch(&wanted, book->skus, book->n_skus, sizeof(wanted), compare_skus);
    assert(found);
    return found;
}

struct shelf *book_shelf(const struct sku_stock *sku, const char *location_id)
{
    for (size_t i = 0; i < sku->n_shelves; i++) {
        if (strcmp(sku->shelves[i].location_id, location_id) == 0)
            return &sku->shelves[i];
    }
    return NULL;
}

int book_add_shelf(struct book *book, struct sku_stock *sku, const char *location_id, struct shelf **ret_shelf)
{
    struct shelf *shelves = arena_zalloc(book->txn->arena, (sku->n_shelves + 1) * sizeof(*shelves));
    if (!shelves)
        return -ENOMEM;
    if (sku->n_shelves)
        memcpy(shelves + 1, sku->shelves, sku->n_shelves * sizeof(*shelves));
    shelves->location_id = location_id;
    sku->shelves = shelves;
    sku->n_shelves++;
    *ret_shelf = shelves;
    return 0;
}

static int grow_movements(struct book *book)
{
    size_t max = book->max_movements ? 2 * book->max_movements : 64;
    struct movement *movements = arena_alloc(book->txn->arena, max * sizeof(*movements));
    if (!movements)
        return -ENOMEM;
    if (book->n_movements)
        memcpy(movements, book->movements, book->n_movements * sizeof(*movements));
    book->movements = movements;
    book->max_movements = max;
    return 0;
}

int book_move(struct book *book, struct sku_stock *sku, struct shelf *shelf, int64_t on_hand, int64_t reserved,
              const struct cause *cause)
{
    int r = book->n_movements < book->max_movements ? 0 : grow_movements(book);
    if (r < 0)
        return r;

    shelf->on_hand += on_hand;
    shelf->reserved += reserved;
    shelf->version++;
    shelf->changed = true;
    sku->available += on_hand - reserved;
    book->movements[book->n_movements++] = (struct movement){
        .sku = sku->sku,
        .location_id = shelf->location_id,
        .version = shelf->version,
        .on_hand = on_hand,
        .reserved = reserved,
        .cause = cause,
    };
    return 0;
}

/* The update needs no condition: two transactions that read the same version of a shelf would write the same
 * movement, and the journal's key lets only one. */
static int write_shelves(struct book *book)
{
    enum { COLUMNS = 5 };
    size_t n = 0;
    struct value *values = arena_alloc(book->txn->arena, book->n_movements * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < book->n_skus; i++) {
        const struct sku_stock *sku = &book->skus[i];
        for (size_t k = 0; k < sku->n_shelves; k++) {
            const struct shelf *s = &sku->shelves[k];
            if (!s->changed)
                continue;
            const struct value row[COLUMNS] = { T(sku->sku), T(s->location_id), I(s->on_hand), I(s->reserved),
                                                I(s->version) };
            memcpy(values + n++ * COLUMNS, row, sizeof(row));
        }
    }
    return txn_post_many(book->txn,
                         "INSERT INTO stock (sku, location_id, on_hand, reserved, version) VALUES ($1, $2, $3, $4, $5) "
                         "ON CONFLICT (sku, location_id) DO UPDATE SET on_hand = excluded.on_hand, "
                         "reserved = excluded.reserved, version = excluded.version",
                         n, COLUMNS, values);
}

static int compare_movements(const void *a, const void *b)
{
    const struct movement *x = a, *y = b;
    int sku = strcmp(x->sku, y->sku), location = sku ? 0 : strcmp(x->location_id, y->location_id);
    return sku ? sku : location ? location : (x->version > y->version) - (x->version < y->version);
}

/* In the order of their key, so that each page of the journal is come to once. */
static int write_movements(struct book *book)
{
    enum { COLUMNS = 10 };
    if (book->n_movements > 1)
        qsort(book->movements, book->n_movements, sizeof(*book->movements), compare_movements);
    struct value *values = arena_alloc(book->txn->arena, book->n_movements * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < book->n_movements; i++) {
        const struct movement *m = &book->movements[i];
        const struct value row[COLUMNS] = {
            T(m->sku),
            T(m->location_id),
            I(m->version),
            I(m->on_hand),
            I(m->reserved),
            T(m->cause->reason),
            T(m->cause->ref),
            I(book->txn->now_us),
            T(m->cause->document_id),
            I(m->cause->effective_us),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_post_many(book->txn,
                         "INSERT INTO movement (sku, location_id, version, on_hand, reserved, reason, ref, time_us, "
                         "document_id, effective_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                         book->n_movements, COLUMNS, values);
}

static int append_changed(struct book *book, const struct sku_stock *sku, struct event *event)
{
    AvailabilityChanged *payload = arena_message(book->txn->arena, &oms__event__v1__availability_changed__descriptor);
    if (!payload)
        return -ENOMEM;
    payload->sku = (char *)sku->sku;
    payload->available = sku->available;
    payload->version = sku->version;
    *event = availability_event(payload);
    return 0;
}

static int write_availability(struct book *book)
{
    enum { COLUMNS = 3 };
    size_t n = 0;
    struct value *values = arena_alloc(book->txn->arena, book->n_skus * COLUMNS * sizeof(*values));
    struct event *events = arena_alloc(book->txn->arena, book->n_skus * sizeof(*events));
    if (!values || !events)
        return -ENOMEM;
    for (size_t i = 0; i < book->n_skus; i++) {
        struct sku_stock *sku = &book->skus[i];
        if (sku->available == sku->available_before)
            continue;
        sku->version++;
        const struct value row[COLUMNS] = { T(sku->sku), I(sku->available), I(sku->version) };
        memcpy(values + n * COLUMNS, row, sizeof(row));
        int r = append_changed(book, sku, &events[n++]);
        if (r < 0)
            return r;
    }

    int r = txn_post_many(book->txn,
                          "INSERT INTO availability (sku, available, version) VALUES ($1, $2, $3) "
                          "ON CONFLICT (sku) DO UPDATE SET available = excluded.available, version = excluded.version",
                          n, COLUMNS, values);
    return r < 0 ? r : log_append_many(book->txn, events, n);
}

int book_close(struct book *book)
{
    if (book->n_movements == 0)
        return 0;
    int r = write_shelves(book);
    if (r < 0)
        return r;
    r = write_movements(book);
    return r < 0 ? r : write_availability(book);
}

int book_apart(struct txn *txn, int (*run)(struct txn *txn, void *arg), void *arg)
{
    struct arena own, *callers = txn->arena;
    arena_init(&own, APART_BUDGET);
    txn->arena = &own;
    int r = run(txn, arg);
    txn->arena = callers;
    arena_finish(&own);
    return r;
}
