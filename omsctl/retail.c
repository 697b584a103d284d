/* Reads a retailer's lines, refuses those that are no trade, and gathers the others by invoice. */
#include "omsctl/retail.h"

#include "mesh/base/money.h"
#include "omsctl/sheet.h"
#include "omsctl/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX    100000000
#define FIELD_SIZE   256 /* of one field that is kept */
#define WORD_MAX     64  /* bytes of a code, an invoice number, a customer, a country, as the API has it */
#define TITLE_MAX    200
#define QUANTITY_MAX 1000000000
#define INVOICE_MAX  1000 /* lines, as the API has it */

static const char *const reasons[RETAIL_OUTCOMES] = {
    [RETAIL_SOLD] = "",
    [RETAIL_REFUNDED] = "",
    [RETAIL_CUSTOMER_UNKNOWN] = "CUSTOMER_UNKNOWN",
    [RETAIL_NO_SUCH_SALE] = "NO_SUCH_SALE",
    [RETAIL_ABOVE_SALE_PRICE] = "ABOVE_SALE_PRICE",
    [RETAIL_ADJUSTMENT] = "ADJUSTMENT",
    [RETAIL_FIELD_MISSING] = "FIELD_MISSING",
    [RETAIL_QUANTITY_MISSING] = "QUANTITY_MISSING",
    [RETAIL_PRICE_MISSING] = "PRICE_MISSING",
    [RETAIL_PRICE_NOT_WHOLE] = "PRICE_NOT_WHOLE",
    [RETAIL_PRICE_NEGATIVE] = "PRICE_NEGATIVE",
    [RETAIL_QUANTITY_NOT_POSITIVE] = "QUANTITY_NOT_POSITIVE",
    [RETAIL_QUANTITY_NOT_NEGATIVE] = "QUANTITY_NOT_NEGATIVE",
    [RETAIL_INVOICE_TOO_LONG] = "INVOICE_TOO_LONG",
};

const char *retail_word(enum retail_outcome outcome)
{
    if (retail_is_refused(outcome))
        return "refused";
    return retail_is_credited(outcome) ? "credited" : outcome == RETAIL_SOLD ? "sold" : "refunded";
}

const char *retail_reason(enum retail_outcome outcome)
{
    return reasons[outcome];
}

/* --- one line --- */

/* A row without blanks around its fields. */
struct row {
    char fields[MAPPING_COLUMNS][FIELD_SIZE];
    int64_t time_us, quantity, price_minor;
};

/* What is too long is cut, and is then longer than anything may be. */
static void trim(const char *from, char to[FIELD_SIZE])
{
    size_t n;
    while (isspace((unsigned char)*from))
        from++;
    n = strnlen(from, FIELD_SIZE - 1);
    while (n > 0 && isspace((unsigned char)from[n - 1]))
        n--;
    memcpy(to, from, n);
    to[n] = '\0';
}

static void cut_suffix(char *text, const char *suffix)
{
    size_t n = strlen(text), end = strlen(suffix);
    if (n >= end && strcmp(text + n - end, suffix) == 0)
        text[n - end] = '\0';
}

static bool is_word(const char *text)
{
    return text[0] && strlen(text) <= WORD_MAX;
}

/* "6", "-6" and "6.0"; not what no order can have. */
static int parse_quantity(const char *text, int64_t *ret_quantity)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || (*end && strspn(end + 1, "0") != strlen(end + 1)) || (*end && *end != '.'))
        return -EINVAL;
    *ret_quantity = n;
    return n > QUANTITY_MAX || n < -QUANTITY_MAX ? -ERANGE : 0;
}

/* The rules of docs/import.md, of which the first that fits counts. */
static enum retail_outcome judge(const struct mapping *mapping, struct row *row)
{
    const char *invoice = row->fields[MAPPING_INVOICE], *customer = row->fields[MAPPING_CUSTOMER];
    int64_t amount;
    if (mapping_fits(mapping, MAPPING_ADJUSTMENT, invoice))
        return RETAIL_ADJUSTMENT;
    bool cancellation = mapping_fits(mapping, MAPPING_CANCELLATION, invoice);
    if (!is_word(invoice) || !is_word(row->fields[MAPPING_CODE]) || !is_word(row->fields[MAPPING_COUNTRY]) ||
        (customer[0] && !is_word(customer)) || (!cancellation && !mapping_fits(mapping, MAPPING_SALE, invoice)) ||
        mapping_time(mapping, row->fields[MAPPING_TIME], &row->time_us) < 0)
        return RETAIL_FIELD_MISSING;
    if (parse_quantity(row->fields[MAPPING_QUANTITY], &row->quantity) < 0)
        return RETAIL_QUANTITY_MISSING;
    int price = amount_parse(row->fields[MAPPING_PRICE], mapping->currency, &row->price_minor);
    if (price == -EDOM)
        return RETAIL_PRICE_NOT_WHOLE;
    if (price < 0 || (row->price_minor == 0 && !customer[0]) ||
        money_multiply(row->price_minor, row->quantity, &amount) < 0)
        return RETAIL_PRICE_MISSING;
    if (row->price_minor < 0)
        return RETAIL_PRICE_NEGATIVE;
    if (cancellation)
        return row->quantity < 0 ? RETAIL_NO_SUCH_SALE : RETAIL_QUANTITY_NOT_NEGATIVE;
    return row->quantity > 0 ? RETAIL_SOLD : RETAIL_QUANTITY_NOT_POSITIVE;
}

/* --- what is kept of it --- */

/* Room for one more than n, of zeroes. */
static void grow(void *array, size_t *room, size_t n, size_t size)
{
    char *old;
    memcpy(&old, array, sizeof(old));
    if (n < *room)
        return;
    size_t larger = *room ? *room * 2 : 1024;
    char *new = realloc(old, larger * size);
    if (!new)
        abort();
    memset(new + *room *size, 0, (larger - *room) * size);
    memcpy(array, &new, sizeof(new));
    *room = larger;
}

static void join_invoice(struct retail *retail, uint32_t at, const struct row *row)
{
    struct retail_line *line = &retail->lines[at];
    struct retail_invoice *invoice = &retail->invoices[line->invoice];
    if (invoice->n++ > 0) {
        retail->lines[invoice->last].next = at;
    } else {
        invoice->first = at;
        invoice->cancellation = line->outcome != RETAIL_SOLD;
        invoice->time_us = row->time_us;
        invoice->customer = names_add(&retail->customers, row->fields[MAPPING_CUSTOMER]);
        invoice->country = names_add(&retail->countries, row->fields[MAPPING_COUNTRY]);
        retail->sent[retail->n_sent++] = line->invoice;
    }
    invoice->last = at;
}

static void keep_title(struct retail *retail, uint32_t code, const char *title)
{
    const char **kept = &retail->titles[code];
    size_t n = strlen(title);
    if (n > strlen(*kept ? *kept : "") && n <= TITLE_MAX)
        *kept = arena_copy(retail->arena, title, n);
}

static void keep_line(struct retail *retail, size_t number, struct row *row)
{
    uint32_t at = (uint32_t)retail->n_lines++;
    enum retail_outcome outcome = judge(retail->mapping, row);
    grow(&retail->lines, &retail->lines_room, at, sizeof(*retail->lines));
    struct retail_line *line = &retail->lines[at];
    *line = (struct retail_line){ .line = (uint32_t)number,
                                  .invoice = names_add(&retail->numbers, row->fields[MAPPING_INVOICE]),
                                  .code = names_add(&retail->codes, row->fields[MAPPING_CODE]),
                                  .next = RETAIL_NONE,
                                  .sale = RETAIL_NONE,
                                  .outcome = (uint8_t)outcome };
    size_t sent_room = retail->invoices_room;
    grow(&retail->invoices, &retail->invoices_room, line->invoice, sizeof(*retail->invoices));
    grow(&retail->sent, &sent_room, line->invoice, sizeof(*retail->sent));
    grow(&retail->titles, &retail->titles_room, line->code, sizeof(*retail->titles));
    if (retail_is_refused(outcome))
        return;
    line->quantity = (int32_t)llabs(row->quantity);
    line->price_minor = row->price_minor;
    join_invoice(retail, at, row);
    keep_title(retail, line->code, row->fields[MAPPING_DESCRIPTION]);
}

/* What no entry can hold is not sent, nor is it a sale that could be cancelled. */
static void drop_long_invoices(struct retail *retail)
{
    size_t kept = 0;
    for (size_t i = 0; i < retail->n_sent; i++) {
        struct retail_invoice *invoice = &retail->invoices[retail->sent[i]];
        if (invoice->n <= INVOICE_MAX) {
            invoice->place = (uint32_t)kept;
            retail->sent[kept++] = retail->sent[i];
            continue;
        }
        for (uint32_t at = invoice->first; at != RETAIL_NONE; at = retail->lines[at].next)
            retail->lines[at].outcome = RETAIL_INVOICE_TOO_LONG;
        invoice->n = 0;
    }
    retail->n_sent = kept;
}

static int read_lines(struct retail *retail, struct sheet *sheet)
{
    const char *values[MAPPING_COLUMNS];
    struct row row;
    int r;
    while ((r = sheet_next(sheet, values)) > 0) {
        if (retail->n_lines == LINES_MAX)
            return sheet_error(sheet, "more than %d lines", LINES_MAX);
        for (size_t i = 0; i < MAPPING_COLUMNS; i++)
            trim(values[i], row.fields[i]);
        cut_suffix(row.fields[MAPPING_CUSTOMER], retail->mapping->customer_suffix);
        keep_line(retail, csv_line(sheet->csv), &row);
    }
    return r;
}

int retail_read(struct arena *arena, const char *path, const struct mapping *mapping, struct retail *ret_retail)
{
    struct sheet sheet;
    struct retail retail = { .mapping = mapping, .arena = arena };
    if (sheet_open(&sheet, path, mapping->columns) < 0)
        return -EINVAL;
    names_init(&retail.numbers, arena);
    names_init(&retail.codes, arena);
    names_init(&retail.customers, arena);
    names_init(&retail.countries, arena);
    names_add(&retail.customers, "");
    int r = read_lines(&retail, &sheet);
    sheet_close(&sheet);
    if (r < 0) {
        retail_finish(&retail);
        return r;
    }
    drop_long_invoices(&retail);
    retail_match(&retail);
    *ret_retail = retail;
    return 0;
}

void retail_finish(struct retail *retail)
{
    names_finish(&retail->numbers);
    names_finish(&retail->codes);
    names_finish(&retail->customers);
    names_finish(&retail->countries);
    free(retail->lines);
    free(retail->invoices);
    free(retail->sent);
    free(retail->titles);
    *retail = (struct retail){ 0 };
}
