/* Handlers that fail half-way, as one does whose memory ends: each has written what would break a law, and nothing of
 * that may stay, nor may a unit beside it in the same commit suffer from it. */
#include "mesh/service.h"
#include "mesh/store/store.h"
#include "tests/sim/shop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define THINK_US     2000000
#define IDLE_US      10000000
#define ARENA_BUDGET (64 << 10)

static const struct {
    const char *service, *sql;
} blunders[] = {
    { "svc-inventory", "UPDATE stock SET on_hand = on_hand + 1 WHERE sku = 'SKU-0'" },
    { "svc-order", "UPDATE sales_order SET due_minor = due_minor + 1 "
                   "WHERE order_id = (SELECT MAX(order_id) FROM sales_order)" },
    { "svc-payment", "UPDATE ledger_balance SET minor = minor + 1 WHERE account = 'SALES'" },
    { "svc-shipping", "UPDATE fulfillment SET order_id = 'ord_nobodys' "
                      "WHERE fulfillment_id = (SELECT MAX(fulfillment_id) FROM fulfillment)" },
    { "svc-notify", "DELETE FROM message WHERE message_id = (SELECT MAX(message_id) FROM message)" },
};
#define BLUNDERS (sizeof(blunders) / sizeof(blunders[0]))

struct blunder {
    struct unit unit;
    struct arena arena;
    const char *sql;
};

static int write_and_fail(struct txn *txn, void *arg)
{
    const struct blunder *blunder = arg;
    int r = txn_post_values(txn, blunder->sql, NULL, 0);

    return r < 0 ? r : -ECANCELED;
}

static void failed(struct unit *unit, int result)
{
    struct blunder *blunder = unit->arg;

    assert(result < 0);
    arena_finish(&blunder->arena);
    free(blunder);
}

static void blunder(struct service *service, const char *sql)
{
    struct blunder *b = calloc(1, sizeof(*b));

    assert(b);
    arena_init(&b->arena, ARENA_BUDGET);
    b->sql = sql;
    b->unit = (struct unit){ .run = write_and_fail, .arg = b, .arena = &b->arena, .done = failed };
    store_write(service_store(service), &b->unit);
}

void blunder_act(struct actor *actor)
{
    struct world *w = actor->shop->w;
    size_t i = world_roll(w, BLUNDERS);
    struct service *service = node_service(world_node(w, blunders[i].service));

    if (actor->shop->closing)
        return;
    bool due = actor->shop->n_blunders < actor->shop->n_intentions / 4;
    if (service && due) {
        blunder(service, blunders[i].sql);
        actor->shop->n_blunders++;
    }
    actor_rest(actor, due ? THINK_US / actor->shop->hurry : IDLE_US);
}
