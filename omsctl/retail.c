/* Reads one day of a retailer's lines and sorts goods sold from everything else that stands among them. */
#include "omsctl/retail.h"

#include "omsctl/sheet.h"
#include "omsctl/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINES_MAX    100000 /* of one day */
#define TITLE_MAX    200
#define QUANTITY_MAX 1000000000

enum { INVOICE, CODE, DESCRIPTION, QUANTITY, DATE, PRICE, CUSTOMER, COUNTRY, COLUMNS };

static const struct {
    const char *reason, *sentence;
} refusals[RETAIL_REFUSALS] = {
    [RETAIL_SOLD] = { "SOLD", "goods sold" },
    [RETAIL_MISSING_FIELD] = { "FIELD_MISSING", "a field is missing or malformed" },
    [RETAIL_CANCELLED] = { "CANCELLATION", "it cancels another invoice" },
    [RETAIL_ADJUSTMENT] = { "ADJUSTMENT", "it adjusts the books" },
    [RETAIL_QUANTITY] = { "QUANTITY_NOT_POSITIVE", "the quantity is not positive, or beyond reason" },
    [RETAIL_PRICE] = { "PRICE_NOT_POSITIVE", "the price is not positive" },
    [RETAIL_PRICE_FRACTION] = { "PRICE_NOT_WHOLE_PENCE", "the price is no whole number of pence" },
};

const char *retail_reason(enum retail_refusal refusal)
{
    return refusals[refusal].reason;
}

const char *retail_sentence(enum retail_refusal refusal)
{
    return refusals[refusal].sentence;
}

/* Without blanks around it and with one between words. */
static char *tidy(struct arena *arena, const char *text)
{
    char *out = arena_copy(arena, text, strlen(text)), *to = out;
    for (const char *from = out; *from; from++) {
        if (*from == ' ' && (to == out || to[-1] == ' '))
            continue;
        *to++ = *from;
    }
    while (to > out && to[-1] == ' ')
        to--;
    *to = '\0';
    return out;
}

/* "17850.0" is 17850. */
static const char *tidy_customer(struct arena *arena, const char *text)
{
    char *customer = tidy(arena, text);
    size_t n = strlen(customer);
    if (n > 2 && strcmp(customer + n - 2, ".0") == 0)
        customer[n - 2] = '\0';
    return customer[0] ? customer : RETAIL_GUEST;
}

static int parse_time(const char *text, int64_t *ret_us)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);
    if (!end || *end)
        return -EINVAL;
    *ret_us = (int64_t)timegm(&tm) * 1000000;
    return 0;
}

static int parse_quantity(const char *text, int64_t *ret_quantity)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno || end == text || (*end && strcmp(end, ".0") != 0))
        return -EINVAL;
    *ret_quantity = n;
    return 0;
}

static enum retail_refusal judge(struct retail_line *line, const char *date)
{
    if (!line->invoice[0] || !line->code[0] || !line->country[0])
        return RETAIL_MISSING_FIELD;
    if (line->invoice[0] == 'C')
        return RETAIL_CANCELLED;
    if (!isdigit((unsigned char)line->invoice[0]))
        return RETAIL_ADJUSTMENT;
    int price = amount_parse(line->price_text, RETAIL_CURRENCY, &line->price_minor);
    if (parse_time(date, &line->time_us) < 0 || parse_quantity(line->quantity_text, &line->quantity) < 0 ||
        (price < 0 && price != -EDOM))
        return RETAIL_MISSING_FIELD;
    if (line->quantity <= 0 || line->quantity > QUANTITY_MAX)
        return RETAIL_QUANTITY;
    if (price == -EDOM)
        return RETAIL_PRICE_FRACTION;
    return line->price_minor <= 0 ? RETAIL_PRICE : RETAIL_SOLD;
}

static void keep_line(struct arena *arena, struct retail_line *line, size_t number, const char *const *values)
{
    *line = (struct retail_line){ .line = number,
                                  .invoice = tidy(arena, values[INVOICE]),
                                  .code = tidy(arena, values[CODE]),
                                  .description = tidy(arena, values[DESCRIPTION]),
                                  .quantity_text = tidy(arena, values[QUANTITY]),
                                  .price_text = tidy(arena, values[PRICE]),
                                  .customer = tidy_customer(arena, values[CUSTOMER]),
                                  .country = tidy(arena, values[COUNTRY]) };
    line->refusal = judge(line, values[DATE]);
}

static int read_lines(struct arena *arena, struct sheet *sheet, const char *day, struct retail_day *ret)
{
    const char *values[COLUMNS];
    size_t n = strlen(day);
    int r;
    ret->lines = arena_alloc(arena, LINES_MAX * sizeof(*ret->lines));
    while ((r = sheet_next(sheet, values)) > 0) {
        if (strncmp(values[DATE], day, n) != 0)
            continue;
        if (ret->n_lines == LINES_MAX)
            return sheet_error(sheet, "more than %d lines of one day", LINES_MAX);
        keep_line(arena, &ret->lines[ret->n_lines++], csv_line(sheet->csv), values);
    }
    return r;
}

static int by_invoice(const void *a, const void *b)
{
    const struct retail_line *x = *(const struct retail_line *const *)a, *y = *(const struct retail_line *const *)b;
    int r = strcmp(x->invoice, y->invoice);
    return r ? r : (x->line > y->line) - (x->line < y->line);
}

static void gather_invoices(struct arena *arena, struct retail_day *day)
{
    day->sold = arena_alloc(arena, (day->n_lines + 1) * sizeof(*day->sold));
    for (size_t i = 0; i < day->n_lines; i++)
        if (day->lines[i].refusal == RETAIL_SOLD)
            day->sold[day->n_sold++] = &day->lines[i];
    qsort(day->sold, day->n_sold, sizeof(*day->sold), by_invoice);
    day->invoices = arena_alloc(arena, (day->n_sold + 1) * sizeof(*day->invoices));
    for (size_t i = 0; i < day->n_sold; i++) {
        struct retail_invoice *last = day->n_invoices ? &day->invoices[day->n_invoices - 1] : NULL;
        if (last && strcmp(last->first->invoice, day->sold[i]->invoice) == 0)
            last->n++;
        else
            day->invoices[day->n_invoices++] = (struct retail_invoice){ day->sold[i], i, 1 };
    }
}

int retail_read(struct arena *arena, const char *path, const char *day, struct retail_day *ret_day)
{
    static const char *const columns[COLUMNS + 1] = { "InvoiceNo",   "StockCode", "Description", "Quantity",
                                                      "InvoiceDate", "UnitPrice", "CustomerID",  "Country" };
    struct tm tm = { 0 };
    const char *end = strptime(day, "%Y-%m-%d", &tm);
    if (!end || *end || strlen(day) != 10) {
        fprintf(stderr, "omsctl: a day is YYYY-MM-DD, not '%s'\n", day);
        return -EINVAL;
    }
    struct sheet sheet;
    struct retail_day result = { 0 };
    int r = sheet_open(&sheet, path, columns);
    if (r < 0)
        return r;
    r = read_lines(arena, &sheet, day, &result);
    sheet_close(&sheet);
    if (r < 0)
        return r;
    if (result.n_lines == 0) {
        fprintf(stderr, "omsctl: %s has no line of %s\n", path, day);
        return -EINVAL;
    }
    gather_invoices(arena, &result);
    *ret_day = result;
    return 0;
}

/* Goods have numbers, some in a series of their own; postage, fees, vouchers and manual entries have words. */
static bool is_goods(const char *code)
{
    return isdigit((unsigned char)code[0]) || strncmp(code, "DCGS", 4) == 0;
}

static int by_code(const void *a, const void *b)
{
    const struct retail_line *x = *(const struct retail_line *const *)a, *y = *(const struct retail_line *const *)b;
    int r = strcmp(x->code, y->code);
    return r ? r : (x->line > y->line) - (x->line < y->line);
}

size_t retail_products(struct arena *arena, const struct retail_day *day, struct retail_product **ret_products)
{
    const struct retail_line **lines = arena_alloc(arena, (day->n_sold + 1) * sizeof(*lines));
    struct retail_product *products = arena_alloc(arena, (day->n_sold + 1) * sizeof(*products));
    size_t n = 0;
    memcpy(lines, day->sold, day->n_sold * sizeof(*lines));
    qsort(lines, day->n_sold, sizeof(*lines), by_code);
    for (size_t i = 0; i < day->n_sold; i++) {
        const struct retail_line *line = lines[i];
        if (n == 0 || strcmp(products[n - 1].code, line->code) != 0)
            products[n++] = (struct retail_product){
                .code = line->code, .title = "", .price_minor = line->price_minor, .stocked = is_goods(line->code)
            };
        struct retail_product *product = &products[n - 1];
        product->quantity += line->quantity;
        if (strlen(line->description) > strlen(product->title) && strlen(line->description) <= TITLE_MAX)
            product->title = line->description;
    }
    for (size_t i = 0; i < n; i++)
        if (!products[i].title[0])
            products[i].title = products[i].code;
    *ret_products = products;
    return n;
}
