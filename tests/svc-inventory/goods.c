#include "tests/svc-inventory/goods.h"

#include <check.h>

struct shop s;

void open_shop(uint64_t seed)
{
    shop_open(&s, seed);
    open_locations(&s);
    upsert(&s, product(&s, "CUP", 1, 0));
    upsert(&s, product(&s, "MUG", 1, 0));
    Product *postage = product(&s, "POST", 1, 0);
    postage->variants[0]->stocked = false;
    upsert(&s, postage);
}

void ck_books(void)
{
    ck_assert_int_eq(NUMBER(&s, s.inventory,
                            "SELECT COUNT(*) FROM stock s WHERE (on_hand, reserved, version) <> "
                            "(SELECT SUM(m.on_hand), SUM(m.reserved), MAX(m.version) FROM movement m "
                            "WHERE m.sku = s.sku AND m.location_id = s.location_id)"),
                     0);
    ck_assert_int_eq(
        NUMBER(&s, s.inventory,
               "SELECT COUNT(*) FROM (SELECT sku, SUM(on_hand - reserved) AS free FROM stock GROUP BY sku) f "
               "WHERE free <> (SELECT available FROM availability a WHERE a.sku = f.sku)"),
        0);
    ck_assert_int_eq(NUMBER(&s, s.inventory,
                            "SELECT COUNT(*) FROM stock s WHERE reserved <> (SELECT COALESCE(SUM(CASE WHEN "
                            "r.released = 0 THEN l.quantity ELSE l.rest END), 0) FROM reservation_line l "
                            "JOIN reservation r ON r.reservation_id = l.reservation_id "
                            "WHERE l.sku = s.sku AND l.location_id = s.location_id)"),
                     0);
}

struct asked *begin_reserve_until(const char *order, int64_t expire_us, size_t n, const struct want *wants)
{
    ReserveStockRequest *req = arena_message(&s.arena, &oms__inventory__v1__reserve_stock_request__descriptor);
    req->request_id = arena_printf(&s.arena, "%s-reserve", order);
    req->order_id = (char *)order;
    req->expire_time_us = expire_us;
    req->lines = arena_alloc(&s.arena, n * sizeof(ReserveLine *));
    for (size_t i = 0; i < n; i++) {
        ReserveLine *line = arena_message(&s.arena, &oms__inventory__v1__reserve_stock_request__line__descriptor);
        line->sku = (char *)wants[i].sku;
        line->quantity = wants[i].quantity;
        req->lines[req->n_lines++] = line;
    }
    return ask_begin(&s, &order_process, "ReserveStock", req);
}

struct asked *begin_reserve(const char *order, size_t n, const struct want *wants)
{
    return begin_reserve_until(order, 0, n, wants);
}

const ReserveStockResponse *reserve(const char *order, size_t n, const struct want *wants)
{
    const struct asked *a = ask_end(begin_reserve(order, n, wants));
    ck_assert_msg(a->code == RPC_OK, "%s %s", a->reason, a->message);
    return a->reply;
}

static ReservedLine **lines(size_t n, const struct part *parts)
{
    ReservedLine **lines = arena_alloc(&s.arena, n * sizeof(*lines));
    for (size_t i = 0; i < n; i++) {
        lines[i] = arena_message(&s.arena, &oms__inventory__v1__reserved_line__descriptor);
        lines[i]->sku = (char *)parts[i].sku;
        lines[i]->location_id = (char *)parts[i].location_id;
        lines[i]->quantity = parts[i].quantity;
    }
    return lines;
}

ReleaseStockRequest *release_request(const char *order, const char *request_id, size_t n, const struct part *parts)
{
    ReleaseStockRequest *req = arena_message(&s.arena, &oms__inventory__v1__release_stock_request__descriptor);
    req->request_id = (char *)request_id;
    req->operation_id = arena_printf(&s.arena, "%s-reserve", order);
    req->n_lines = n;
    req->lines = lines(n, parts);
    return req;
}

struct asked *begin_release(const char *order, const char *request_id, size_t n, const struct part *parts)
{
    return ask_begin(&s, &order_process, "ReleaseStock", release_request(order, request_id, n, parts));
}

struct asked *begin_commit(const char *order, const char *request_id, size_t n, const struct part *parts)
{
    CommitStockRequest req = OMS__INVENTORY__V1__COMMIT_STOCK_REQUEST__INIT;
    req.request_id = (char *)request_id;
    req.operation_id = arena_printf(&s.arena, "%s-reserve", order);
    req.n_lines = n;
    req.lines = lines(n, parts);
    return ask_begin(&s, &order_process, "CommitStock", &req);
}

bool release(const char *order, const char *request_id)
{
    const struct asked *a = ask_end(begin_release(order, request_id, 0, NULL));
    ck_assert_msg(a->code == RPC_OK, "%s %s", a->reason, a->message);
    return ((ReleaseStockResponse *)a->reply)->released;
}
