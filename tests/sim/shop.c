/* The shop as a whole: who is there, and what must never be. */
#include "tests/sim/shop.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FEW 20 /* violations that are told in words */

void shop_violation(struct shop *shop, const char *format, ...)
{
    va_list args;

    if (++shop->violations > FEW)
        return;
    va_start(args, format);
    fputs("violation: ", stderr);
    vfprintf(stderr, format, args);
    fprintf(stderr, " (at %.6f s)\n", (double)world_now(shop->w) / 1e6);
    va_end(args);
}

struct shop *shop_create(struct world *w, size_t orders)
{
    struct shop *shop = calloc(1, sizeof(*shop));

    assert(shop);
    shop->w = w;
    shop->wanted = orders;
    shop->gateway = node_create(w, "gateway");
    shop->intentions = calloc(orders + 1, sizeof(*shop->intentions));
    shop->adjustments = calloc(orders + 2 * SHOP_SKUS * SHOP_LOCATIONS, sizeof(*shop->adjustments));
    shop->n_actors = SHOP_CUSTOMERS + SHOP_STAFF + SHOP_DEPOTS + 3;
    shop->actors = calloc(shop->n_actors, sizeof(*shop->actors));
    assert(shop->intentions && shop->adjustments && shop->actors);
    return shop;
}

bool shop_load(struct shop *shop)
{
    return staff_load(shop);
}

void shop_open(struct shop *shop)
{
    char name[16];

    for (int i = 0; i < SHOP_CUSTOMERS; i++) {
        /* Some customers shop on two devices at once. */
        snprintf(name, sizeof(name), "customer-%d", i * 3 / 4);
        actor_init(&shop->actors[i], shop, i, ROLE_BIT(MESH__V1__ROLE__CUSTOMER), name, customer_act);
    }
    for (int i = 0; i < SHOP_STAFF; i++)
        actor_init(&shop->actors[SHOP_CUSTOMERS + i], shop, i, ROLE_BIT(MESH__V1__ROLE__ERP), "staff", staff_act);
    for (int i = 0; i < SHOP_DEPOTS; i++)
        actor_init(&shop->actors[SHOP_CUSTOMERS + SHOP_STAFF + i], shop, i,
                   ROLE_BIT(MESH__V1__ROLE__WAREHOUSE) | ROLE_BIT(MESH__V1__ROLE__CSR), "depot", warehouse_act);
    actor_init(&shop->actors[shop->n_actors - 3], shop, 0, ROLE_BIT(MESH__V1__ROLE__CSR), "service", service_act);
    actor_init(&shop->actors[shop->n_actors - 2], shop, 0, ROLE_BIT(MESH__V1__ROLE__OPERATOR), "operator",
               operator_act);
    actor_init(&shop->actors[shop->n_actors - 1], shop, 0, 0, "blunders", blunder_act);
    for (size_t i = 0; i < shop->n_actors - !shop->faults; i++)
        actor_rest(&shop->actors[i], 1000000);
    shop->follower = follower_create(shop);
}

bool shop_served(void *arg)
{
    const struct shop *shop = arg;

    if ((shop->n_intentions < shop->wanted && !shop->closing) || shop->n_open > 0)
        return false;
    /* Warehouses never rest. */
    for (size_t i = 0; i < SHOP_CUSTOMERS + SHOP_STAFF; i++)
        if (shop->closing && shop->actors[i].answered)
            return false;
    return true;
}

static bool nobody_asks(void *arg)
{
    const struct shop *shop = arg;

    for (size_t i = 0; i < shop->n_actors; i++)
        if (shop->actors[i].asking)
            return false;
    return true;
}

/* Calls have deadlines, so that the last answer comes soon. */
void shop_destroy(struct shop *shop)
{
    follower_destroy(shop->follower);
    shop->closed = true;
    for (size_t i = 0; i < shop->n_actors; i++)
        if (shop->actors[i].shop)
            actor_stop(&shop->actors[i]);
    world_until(shop->w, nobody_asks, shop, 60000000);
    for (size_t i = 0; i < shop->n_actors; i++)
        if (shop->actors[i].shop)
            actor_finish(&shop->actors[i]);
    for (size_t i = 0; i < shop->n_intentions; i++)
        free((void *)shop->intentions[i].request.data);
    free(shop->intentions);
    free(shop->adjustments);
    free(shop->actors);
    free(shop);
}
