/* Lists by a filter, beside what a reader of all orders would pick; pages that look at so many and no more, and that
 * hold still while orders come in. */
#include "svc-order/api.h"
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static struct shop s;

#define DAY_US 86400000000ll
#define DAY_0  1323388800000000ll /* 2011-12-09T00:00:00Z */

#define STATE(name)   OMS__ORDER__V1__ORDER__STATE__##name
#define PAYMENT(name) OMS__ORDER__V1__ORDER__PAYMENT_STATE__##name

static void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 4, 950000000));
    upsert(&s, product(&s, "MUG", 1, 0));
    Product *post = product(&s, "POST", 3, 0);
    post->variants[0]->stocked = false;
    upsert(&s, post);
    stock(&s, "CUP", "L1", 60);
    stock(&s, "MUG", "L1", 100000);
    shop_settle(&s);
}

static int roll(int below)
{
    return (int)world_roll(s.world, (uint64_t)below);
}

static ListOrdersRequest by(const char *filter)
{
    ListOrdersRequest req = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    req.filter = (char *)filter;
    return req;
}

/* --- orders of every kind --- */

static NewOrder *some_order(ImportOrdersRequest *req, int i)
{
    static const char *const skus[] = { "CUP", "MUG", "POST" };
    static char *const channels[] = { "web", "app", "erp" };
    static char *const customers[] = { "cus_anna", "cus_bert", "" };
    static char *const countries[] = { "France", "EIRE" };
    NewOrder *order = arena_message(&s.arena, &oms__order__v1__import_orders_request__entry__descriptor);
    size_t n = 1 + (size_t)roll(3);
    order->lines = arena_alloc(&s.arena, n * sizeof(*order->lines));
    for (; order->n_lines < n; order->n_lines++) {
        PlaceLine *line = arena_message(&s.arena, &oms__order__v1__place_order_request__line__descriptor);
        line->sku = (char *)skus[roll(3)];
        line->quantity = 1 + roll(4);
        line->unit_price = money(&s, "GBP", roll(5), roll(2) * 500000000);
        order->lines[order->n_lines] = line;
    }
    if (roll(2)) {
        order->ship_to = arena_message(&s.arena, &oms__order__v1__address__descriptor);
        order->ship_to->country = countries[roll(2)];
        order->ship_to->name = "a name";
    }
    order->customer_id = customers[roll(3)];
    order->currency_code = "GBP";
    order->channel = channels[roll(3)];
    order->external_id = arena_printf(&s.arena, "%s%d", roll(2) ? "A-" : "", i);
    order->place_time_us = DAY_0 + roll(10) * DAY_US / 2; /* many at the same time */
    order->payment_token = roll(2) ? "tok_ok" : "";
    order->fulfilled = !order->payment_token[0] && roll(2);
    return order;
}

static void cancel_some(const ImportOrdersResponse *placed)
{
    for (size_t i = 0; i < placed->n_results; i += 5) {
        CancelOrderRequest req = OMS__ORDER__V1__CANCEL_ORDER_REQUEST__INIT;
        req.request_id = fresh(&s);
        req.order_id = placed->results[i]->order_id;
        if (req.order_id && req.order_id[0])
            ask(&s, &staff, "CancelOrder", &req);
    }
}

static void fill(int n)
{
    ImportOrdersRequest *req = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
    req->request_id = fresh(&s);
    req->orders = arena_alloc(&s.arena, (size_t)n * sizeof(*req->orders));
    for (int i = 0; i < n; i++)
        req->orders[req->n_orders++] = some_order(req, i);
    const ImportOrdersResponse *placed = get(&s, &erp, "ImportOrders", req);
    shop_settle(&s);
    cancel_some(placed);
    shop_settle(&s);
}

/* --- what a filter means, said twice --- */

static bool has_sku(const Order *o, const char *sku)
{
    for (size_t i = 0; i < o->n_lines; i++)
        if (strcmp(o->lines[i]->sku, sku) == 0)
            return true;
    return false;
}

static bool has_number(const Order *o, size_t offset, int64_t number)
{
    for (size_t i = 0; i < o->n_lines; i++)
        if (*(int64_t *)((char *)o->lines[i] + offset) == number)
            return true;
    return false;
}

static int64_t cents(const Money *m)
{
    return m->units * 100 + m->nanos / 10000000;
}

static const char *country(const Order *o)
{
    return o->ship_to ? o->ship_to->country : "";
}

#define MEANING(name, expression) \
    static bool name(const Order *o) \
    { \
        return expression; \
    }
MEANING(of_anna, strcmp(o->customer_id, "cus_anna") == 0)
MEANING(of_bert, strcmp(o->customer_id, "cus_bert") == 0)
MEANING(of_a_guest, o->customer_id[0] == '\0')
MEANING(on_the_web, strcmp(o->channel, "web") == 0)
MEANING(not_by_app, strcmp(o->channel, "app") != 0)
MEANING(number_7, strcmp(o->external_id, "7") == 0 || strcmp(o->external_id, "A-7") == 0)
MEANING(numbered_a, strncmp(o->external_id, "A-", 2) == 0)
MEANING(confirmed, o->state == STATE(CONFIRMED))
MEANING(over, o->state == STATE(COMPLETED) || o->state == STATE(CANCELLED) || o->state == STATE(REJECTED))
MEANING(on_account, o->payment_state == PAYMENT(ON_ACCOUNT))
MEANING(needs_no_parcel, o->fulfillment_state == OMS__ORDER__V1__ORDER__FULFILLMENT_STATE__NOT_NEEDED)
MEANING(above_ten, cents(o->total) > 1000)
MEANING(at_most_4_50, cents(o->total) <= 450)
MEANING(costs_nothing, cents(o->total) == 0)
MEANING(captured_some, cents(o->captured) > 0)
MEANING(credited_nothing, cents(o->credited) == 0)
MEANING(since_noon, o->place_time_us >= DAY_0 + DAY_US / 2)
MEANING(before_the_11th, o->place_time_us < DAY_0 + 2 * DAY_US)
MEANING(at_midnight, o->place_time_us == DAY_0 + DAY_US)
MEANING(to_france, strcmp(country(o), "France") == 0)
MEANING(to_elsewhere, o->ship_to &&strcmp(country(o), "France") != 0)
MEANING(in_pounds, strcmp(o->total->currency_code, "GBP") == 0)
MEANING(by_the_erp, strcmp(o->placed_by, "erp") == 0)
MEANING(carried_out, o->fulfilled_elsewhere)
MEANING(has_cups, has_sku(o, "CUP"))
MEANING(has_cups_and_mugs, has_sku(o, "CUP") && has_sku(o, "MUG"))
MEANING(has_three, has_number(o, offsetof(OrderLine, quantity), 3))
MEANING(has_cancelled_one, has_number(o, offsetof(OrderLine, cancelled), 1))
MEANING(is_paid, o->payment_id[0] != '\0')
MEANING(of_1999, false)
MEANING(changed_since, o->update_time_us > DAY_0)

static const struct {
    const char *filter;
    bool (*means)(const Order *order);
} meanings[] = {
    { "customer_id = cus_anna", of_anna },
    { "customer_id:cus_bert", of_bert },
    { "cus_bert", of_bert },
    { "customer_id = ''", of_a_guest },
    { "-customer_id:*", of_a_guest },
    { "channel = web", on_the_web },
    { "channel != app", not_by_app },
    { "external_id = (7 OR A-7)", number_7 },
    { "7 OR A-7", number_7 },
    { "external_id = A-*", numbered_a },
    { "state = CONFIRMED", confirmed },
    { "state = (COMPLETED OR CANCELLED OR REJECTED)", over },
    { "payment_state:ON_ACCOUNT", on_account },
    { "fulfillment_state = NOT_NEEDED", needs_no_parcel },
    { "total > 10", above_ten },
    { "total <= 4.50", at_most_4_50 },
    { "-total:*", costs_nothing },
    { "captured > 0", captured_some },
    { "credited = 0", credited_nothing },
    { "place_time >= 2011-12-09T13:00:00+01:00", since_noon },
    { "place_time < 2011-12-11", before_the_11th },
    { "place_time = 2011-12-10", at_midnight },
    { "place_time < 2000-01-01", of_1999 },
    { "update_time > 2011-12-09", changed_since },
    { "ship_to.country = France", to_france },
    { "ship_to.country != France", to_elsewhere },
    { "total.currency_code = GBP", in_pounds },
    { "placed_by = erp", by_the_erp },
    { "fulfilled_elsewhere = true", carried_out },
    { "lines.sku:CUP", has_cups },
    { "lines.sku:(CUP MUG)", has_cups_and_mugs },
    { "lines.quantity:3", has_three },
    { "lines.cancelled:1", has_cancelled_one },
    { "payment_id:*", is_paid },
};
#define MEANINGS ((int)(sizeof(meanings) / sizeof(meanings[0])))

/* All there are, in one go. */
static const ListOrdersResponse *all_orders(const struct caller *who)
{
    ListOrdersRequest req = by("");
    req.page_size = 500;
    const ListOrdersResponse *all = get(&s, who, "ListOrders", &req);
    ck_assert_str_eq(all->next_page_token, "");
    return all;
}

/* Page by page: those orders that are picked, whole and in their order, and no other. */
static void ck_lists(const struct caller *who, ListOrdersRequest req, const ListOrdersResponse *all, const bool *picked)
{
    size_t at = 0;
    do {
        const ListOrdersResponse *page = get(&s, who, "ListOrders", &req);
        for (size_t i = 0; i < page->n_orders; i++, at++) {
            while (at < all->n_orders && !picked[at])
                at++;
            ck_assert_msg(at < all->n_orders, "%s: too many", req.filter);
            ck_assert_msg(strcmp(page->orders[i]->order_id, all->orders[at]->order_id) == 0, "%s", req.filter);
            ck_assert_uint_eq(page->orders[i]->n_lines, all->orders[at]->n_lines);
        }
        req.page_token = page->next_page_token;
    } while (req.page_token[0]);
    for (; at < all->n_orders; at++)
        ck_assert_msg(!picked[at], "%s: %s is missing", req.filter, all->orders[at]->order_id);
}

START_TEST(a_filter_lists_what_it_means)
{
    open_shop(1);
    fill(100);
    const ListOrdersResponse *all = all_orders(&staff);
    ck_assert_uint_ge(all->n_orders, 90);
    for (int k = 0; k < MEANINGS; k++) {
        bool picked[500];
        size_t n = 0;
        for (size_t i = 0; i < all->n_orders; i++)
            n += picked[i] = meanings[k].means(all->orders[i]);
        ck_assert_msg(n > 0 || meanings[k].means == of_1999, "%s: nothing is like that", meanings[k].filter);
        ListOrdersRequest req = by(meanings[k].filter);
        req.page_size = 7;
        ck_lists(&staff, req, all, picked);
    }
    shop_close(&s);
}
END_TEST

/* A and B, A or B, not A, in the words of AIP-160, whatever else the request says. */
START_TEST(filters_put_together_list_what_they_mean_together)
{
    open_shop(2);
    fill(100);
    for (int round = 0; round < 400; round++) {
        const struct caller *who = round % 4 ? &staff : &anna;
        const ListOrdersResponse *all = all_orders(who);
        int a = roll(MEANINGS), b = roll(MEANINGS), c = roll(MEANINGS), how = roll(4);
        static const char *const forms[] = { "%s %s AND %s", "%s AND (%s) OR (%s)", "(%s) OR NOT (%s AND %s)",
                                             "-(%s) (%s) AND -(%s)" };
        ListOrdersRequest req =
            by(arena_printf(&s.arena, forms[how], meanings[a].filter, meanings[b].filter, meanings[c].filter));
        req.page_size = 1 + roll(30);
        req.channel = roll(4) ? "" : "erp";
        req.customer_id = who == &staff && roll(4) == 0 ? "cus_bert" : "";
        bool picked[500];
        for (size_t i = 0; i < all->n_orders; i++) {
            const Order *o = all->orders[i];
            bool A = meanings[a].means(o), B = meanings[b].means(o), C = meanings[c].means(o);
            picked[i] = (how == 0   ? A && B && C
                         : how == 1 ? A && (B || C)
                         : how == 2 ? A || !(B && C)
                                    : !A && B && !C) &&
                        (!req.channel[0] || strcmp(o->channel, req.channel) == 0) &&
                        (!req.customer_id[0] || strcmp(o->customer_id, req.customer_id) == 0);
        }
        if (how == 0 && (strstr(meanings[b].filter, " OR ") || strstr(meanings[a].filter, " OR ")))
            continue; /* would bind to its neighbour */
        ck_lists(who, req, all, picked);
    }
    shop_close(&s);
}
END_TEST

START_TEST(a_filter_finds_nothing_of_somebody_elses)
{
    open_shop(3);
    fill(60);
    static const char *const wanted[] = { "customer_id = cus_bert", "customer_id = cus_bert OR customer_id:*",
                                          "-customer_id = cus_anna", "channel = web OR -channel = web" };
    const ListOrdersResponse *berts = all_orders(&bert);
    ck_assert_uint_gt(berts->n_orders, 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        ListOrdersRequest req = by(wanted[i]);
        const ListOrdersResponse *page = get(&s, &anna, "ListOrders", &req);
        for (size_t k = 0; k < page->n_orders; k++)
            ck_assert_str_eq(page->orders[k]->customer_id, "cus_anna");
    }
    for (size_t i = 0; i < berts->n_orders; i++) {
        const Order *o = berts->orders[i];
        ListOrdersRequest by_id = by(arena_printf(&s.arena, "order_id = %s", o->order_id));
        ListOrdersRequest by_number =
            by(arena_printf(&s.arena, "channel = %s external_id = '%s'", o->channel, o->external_id));
        ListOrdersRequest whatever_channel = by(arena_printf(&s.arena, "external_id = '%s'", o->external_id));
        ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &bert, "ListOrders", &whatever_channel))->n_orders, 1);
        ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &anna, "ListOrders", &by_id))->n_orders, 0);
        ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &anna, "ListOrders", &by_number))->n_orders, 0);
        ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &bert, "ListOrders", &by_id))->n_orders, 1);
        ck_assert_uint_eq(((ListOrdersResponse *)get(&s, &bert, "ListOrders", &by_number))->n_orders, 1);
    }
    shop_close(&s);
}
END_TEST

START_TEST(what_is_no_filter_of_orders_is_refused)
{
    open_shop(1);
    static const char *const wrong[] = { "email = x",         "ship_to.name = x", "ship_to.city = x",
                                         "lines.title:x",     "lines.sku = CUP",  "state = SHIPPED",
                                         "state > PENDING",   "total > much",     "place_time = 2011",
                                         "place_time_us > 0", "captured = 1 EUR", "(state = PENDING" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ListOrdersRequest req = by(wrong[i]);
        const struct asked *a = ask(&s, &staff, "ListOrders", &req);
        if (strcmp(wrong[i], "captured = 1 EUR") == 0)
            ck_assert_int_eq(a->code, RPC_OK); /* an order whose number is EUR */
        else
            ck_refused(a, RPC_INVALID_ARGUMENT, "FILTER_INVALID", "filter");
    }
    char long_one[3000];
    memset(long_one, 'x', sizeof(long_one));
    long_one[2049] = '\0';
    ListOrdersRequest req = by(long_one);
    ck_refused(ask(&s, &staff, "ListOrders", &req), RPC_INVALID_ARGUMENT, "FIELD_TOO_LONG", "filter");
    shop_close(&s);
}
END_TEST

START_TEST(a_token_is_of_its_filter)
{
    open_shop(1);
    fill(20);
    ListOrdersRequest req = by("total >= 0");
    req.page_size = 3;
    req.page_token = ((ListOrdersResponse *)get(&s, &staff, "ListOrders", &req))->next_page_token;
    ck_assert_str_ne(req.page_token, "");
    ck_assert_int_eq(ask(&s, &staff, "ListOrders", &req)->code, RPC_OK);
    req.filter = "total >= 1";
    ck_refused(ask(&s, &staff, "ListOrders", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    req.filter = "";
    ck_refused(ask(&s, &staff, "ListOrders", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

/* --- pages that look at so many --- */

START_TEST(a_page_looks_at_so_many_orders_and_leads_on)
{
    open_shop(1);
    fill(1);
    WRITE(&s, s.order,
          "WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 2500) "
          "INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, channel, external_id, "
          "placed_by, place_time_us, update_time_us, version, reject_reason) SELECT printf('ord_%05d', n), 'cus_x', 2, "
          "'GBP', 100, 1, iif(n = 3, 'rare', 'web'), '', 'x', 1000 + n, 1000 + n, 1, '' FROM k, "
          "(SELECT 1 FROM sales_order LIMIT 1)");
    static const struct {
        const char *filter, *channel;
        int pages, found;
    } cases[] = {
        { "channel = nowhere", "", 6, 0 },
        { "channel = rare", "", 6, 1 },
        { "", "rare", 6, 1 },
        { "", "nowhere", 6, 0 },
        { "order_id = ord_00007", "", 1, 1 },
        { "place_time < 1970-01-01", "", 1, 0 },
        { "customer_id = cus_y", "", 1, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ListOrdersRequest req = by(cases[i].filter);
        req.channel = (char *)cases[i].channel;
        req.page_size = 1; /* what is behind the last that fits is looked at, too */
        int pages = 0, found = 0;
        do {
            const ListOrdersResponse *page = get(&s, &staff, "ListOrders", &req);
            pages++;
            found += (int)page->n_orders;
            req.page_token = page->next_page_token;
        } while (req.page_token[0]);
        ck_assert_msg(pages == cases[i].pages && found == cases[i].found, "%s: %d pages, %d orders", cases[i].filter,
                      pages, found);
    }
    shop_close(&s);
}
END_TEST

START_TEST(drafts_are_passed_over_so_many_a_page)
{
    open_shop(1);
    fill(1);
    WRITE(&s, s.order,
          "WITH RECURSIVE k (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < 2500) "
          "INSERT INTO sales_order (order_id, customer_id, state, currency, total_minor, lines, channel, external_id, "
          "placed_by, place_time_us, update_time_us, version, reject_reason, draft) SELECT printf('ord_%05d', n), "
          "'cus_x', 2, 'GBP', 100, 1, 'web', '', 'x', 1000 + n, 1000 + n, 1, '', 1 FROM k");
    for (int filtered = 0; filtered < 2; filtered++) {
        ListOrdersRequest req = by(filtered ? "total >= 0" : "");
        int pages = 0;
        size_t found = 0;
        do {
            const ListOrdersResponse *page = get(&s, &staff, "ListOrders", &req);
            pages++;
            found += page->n_orders;
            req.page_token = page->next_page_token;
        } while (req.page_token[0]);
        ck_assert_int_ge(pages, 5);
        ck_assert_uint_eq(found, 1);
    }
    shop_close(&s);
}
END_TEST

START_TEST(a_page_looks_at_so_many_lines_and_leads_on)
{
    open_shop(1);
    for (int i = 0; i < 6; i++) {
        PlaceOrderRequest req = OMS__ORDER__V1__PLACE_ORDER_REQUEST__INIT;
        PlaceLine line = OMS__ORDER__V1__PLACE_ORDER_REQUEST__LINE__INIT, *lines[900];
        for (size_t k = 0; k < 900; k++)
            lines[k] = &line;
        line.sku = "POST";
        line.quantity = 1;
        req.lines = lines;
        req.n_lines = 900;
        req.currency_code = "GBP";
        req.payment_token = "tok_ok";
        req.channel = i % 2 ? "web" : "app";
        req.request_id = fresh(&s);
        get(&s, &anna, "PlaceOrder", &req);
    }
    ListOrdersRequest req = by("lines.sku:CUP");
    const ListOrdersResponse *page = get(&s, &staff, "ListOrders", &req);
    ck_assert_uint_eq(page->n_orders, 0);
    ck_assert_str_ne(page->next_page_token, ""); /* two were looked at */
    req.page_token = page->next_page_token;
    page = get(&s, &staff, "ListOrders", &req);
    ck_assert_str_ne(page->next_page_token, "");
    req.page_token = page->next_page_token;
    ck_assert_str_eq(((ListOrdersResponse *)get(&s, &staff, "ListOrders", &req))->next_page_token, "");
    req = by("lines.sku:CUP channel = nowhere"); /* no line need be looked at */
    ck_assert_str_eq(((ListOrdersResponse *)get(&s, &staff, "ListOrders", &req))->next_page_token, "");
    shop_close(&s);
}
END_TEST

/* --- pages while orders come in --- */

static size_t times_seen(char **seen, size_t n, const char *order_id)
{
    size_t times = 0;
    for (size_t i = 0; i < n; i++)
        times += strcmp(seen[i], order_id) == 0;
    return times;
}

START_TEST(pages_hold_still_while_orders_come_in)
{
    open_shop(4);
    fill(100);
    const ListOrdersResponse *all = all_orders(&staff);
    char *seen[1000];
    size_t n = 0;
    ListOrdersRequest req = by("total >= 0 AND (channel = web OR channel = app)");
    req.page_size = 7;
    do {
        const ListOrdersResponse *page = get(&s, &staff, "ListOrders", &req);
        for (size_t i = 0; i < page->n_orders; i++)
            seen[n++] = page->orders[i]->order_id;
        req.page_token = page->next_page_token;
        ImportOrdersRequest *more = arena_message(&s.arena, &oms__order__v1__import_orders_request__descriptor);
        more->request_id = fresh(&s);
        more->orders = arena_alloc(&s.arena, 5 * sizeof(*more->orders));
        for (int i = 0; i < 5; i++)
            more->orders[more->n_orders++] = some_order(more, 1000 + (int)n * 5 + i);
        get(&s, &erp, "ImportOrders", more);
    } while (req.page_token[0]);
    for (size_t i = 0; i < all->n_orders; i++) {
        const Order *o = all->orders[i];
        bool fits = strcmp(o->channel, "web") == 0 || strcmp(o->channel, "app") == 0;
        ck_assert_uint_eq(times_seen(seen, n, o->order_id), fits);
    }
    for (size_t i = 0; i < n; i++)
        ck_assert_uint_eq(times_seen(seen, n, seen[i]), 1);
    shop_close(&s);
}
END_TEST

SUITE("filters", 120, a_filter_lists_what_it_means, filters_put_together_list_what_they_mean_together,
      a_filter_finds_nothing_of_somebody_elses, what_is_no_filter_of_orders_is_refused, a_token_is_of_its_filter,
      a_page_looks_at_so_many_orders_and_leads_on, drafts_are_passed_over_so_many_a_page,
      a_page_looks_at_so_many_lines_and_leads_on, pages_hold_still_while_orders_come_in)
