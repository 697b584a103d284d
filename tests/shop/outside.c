/* The companies outside the mesh: the sandbox's own code behind the world's fetch. Nothing of theirs is kept on disk,
 * but then they never crash. */
#include "dev/sandbox/carrier.h"
#include "dev/sandbox/processor.h"
#include "tests/shop/shop.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static void give(struct shop *s, struct answer *answer, struct outside_answer *ret)
{
    ret->status = answer->status;
    ret->body = (struct bytes){ (uint8_t *)arena_copy(&s->arena, answer->body, answer->len), answer->len };
    ret->delay_us = answer->delay_us;
    ret->dropped = answer->silent;
    answer_finish(answer);
}

static void ask_carrier(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct shop *s = arg;
    struct answer answer;
    s->carrier_asked++;
    carrier_answer(s->carrier, s->epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key, fetch->body,
                   &answer);
    give(s, &answer, ret);
}

void outside_processor(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct shop *s = arg;
    struct answer answer;
    processor_answer(s->processor, s->epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key, fetch->body,
                     &answer);
    give(s, &answer, ret);
}

static void take_mail(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct shop *s = arg;
    struct shop_mail *mail = s->mails;
    while (mail < s->mails + s->n_mails && strcmp(mail->path, fetch->path) != 0)
        mail++;
    if (mail == s->mails + s->n_mails) {
        ck_assert_uint_lt(++s->n_mails, sizeof(s->mails) / sizeof(s->mails[0]));
        snprintf(mail->path, sizeof(mail->path), "%s", fetch->path);
    }
    mail->text = arena_copy(&s->arena, fetch->body.data, fetch->body.len);
    mail->times++;
}

const struct shop_mail *outside_mail(const struct shop *s, const char *end)
{
    for (int i = 0; i < s->n_mails; i++) {
        size_t n = strlen(s->mails[i].path) - strlen(".eml"), of_end = strlen(end);
        if (n >= of_end && strncmp(s->mails[i].path + n - of_end, end, of_end) == 0)
            return &s->mails[i];
    }
    return NULL;
}

void outside_open(struct shop *s)
{
    struct port *port = node_port(s->client);
    s->epoch_us = port->wall_us(port) - world_now(s->world);
    ck_assert_int_eq(carrier_create(&(struct journal){ 0 }, 100, &s->carrier), 0);
    ck_assert_int_eq(processor_create(&(struct journal){ 0 }, &s->processor), 0);
    world_outside(s->world, "carrier", ask_carrier, s);
    world_outside(s->world, "processor", outside_processor, s);
    world_outside(s->world, "mail", take_mail, s);
}

void outside_close(struct shop *s)
{
    carrier_destroy(s->carrier);
    processor_destroy(s->processor);
}
