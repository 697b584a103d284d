/* The companies outside the mesh: the sandbox's own code behind the world's fetch. Nothing of theirs is kept on disk,
 * but then they never crash. */
#include "dev/sandbox/carrier.h"
#include "tests/shop/shop.h"

#include <check.h>

static void ask_carrier(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct shop *s = arg;
    struct answer answer;
    s->carrier_asked++;
    carrier_answer(s->carrier, s->epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key, fetch->body,
                   &answer);
    ret->status = answer.status;
    ret->body = (struct bytes){ (uint8_t *)arena_copy(&s->arena, answer.body, answer.len), answer.len };
    ret->delay_us = answer.delay_us;
    ret->dropped = answer.silent;
    answer_finish(&answer);
}

void outside_open(struct shop *s)
{
    struct port *port = node_port(s->client);
    s->epoch_us = port->wall_us(port) - world_now(s->world);
    ck_assert_int_eq(carrier_create(&(struct journal){ 0 }, 100, &s->carrier), 0);
    world_outside(s->world, "carrier", ask_carrier, s);
}

void outside_close(struct shop *s)
{
    carrier_destroy(s->carrier);
}
