/* A shop with cups and mugs, what is done to their stock, and what must be true of it at any time. */
#pragma once

#include "tests/shop/shop.h"

extern struct shop s;

#define ON_HAND  NUMBER(&s, s.inventory, "SELECT COALESCE(SUM(on_hand), 0) FROM stock")
#define RESERVED NUMBER(&s, s.inventory, "SELECT COALESCE(SUM(reserved), 0) FROM stock")
#define EXPIRING NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM reservation WHERE expire_us > 0")

/* CUP and MUG are stocked, POST is not; locations L1 and L2. */
void open_shop(uint64_t seed);
/* The journal adds up to the stock, the availability is what is free, and what is promised is what reservations hold.
 */
void ck_books(void);

struct want {
    const char *sku;
    int64_t quantity;
};
#define WANTS(...) \
    sizeof((const struct want[]){ __VA_ARGS__ }) / sizeof(struct want), (const struct want[]) \
    { \
        __VA_ARGS__ \
    }
/* As svc-order, under the request id "ORDER-reserve"; expire_us 0: never. */
struct asked *begin_reserve_until(const char *order, int64_t expire_us, size_t n, const struct want *wants);
struct asked *begin_reserve(const char *order, size_t n, const struct want *wants);
const ReserveStockResponse *reserve(const char *order, size_t n, const struct want *wants);

struct part {
    const char *sku, *location_id;
    int64_t quantity;
};
#define PARTS(...) \
    sizeof((const struct part[]){ __VA_ARGS__ }) / sizeof(struct part), (const struct part[]) \
    { \
        __VA_ARGS__ \
    }
/* Of "ORDER-reserve", under that request id. */
ReleaseStockRequest *release_request(const char *order, const char *request_id, size_t n, const struct part *parts);
struct asked *begin_release(const char *order, const char *request_id, size_t n, const struct part *parts);
struct asked *begin_commit(const char *order, const char *request_id, size_t n, const struct part *parts);
/* All that is left; whether anything was. */
bool release(const char *order, const char *request_id);
