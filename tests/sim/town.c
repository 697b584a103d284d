/* The processor and the carrier are asked as their processes would be; the post office keeps what it is brought. */
#include "tests/sim/town.h"

#include "dev/sandbox/carrier.h"
#include "dev/sandbox/processor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CARRIER_SPEED 100

struct town {
    struct processor *processor;
    struct carrier *carrier;
    struct posted *mails;
    size_t n_mails, capacity;
    char *given;      /* the last answer's body, until the next */
    int64_t epoch_us; /* the world's beginning on their clocks, which are right */
};

/* The sandbox's answer as the world wants it. */
static void give(struct town *town, struct answer *answer, struct outside_answer *ret)
{
    free(town->given);
    town->given = answer->body;
    answer->body = NULL;
    ret->status = answer->status;
    ret->body = (struct bytes){ (const uint8_t *)town->given, answer->len };
    ret->delay_us = answer->delay_us;
    ret->dropped = answer->silent;
    answer_finish(answer);
}

static void ask_processor(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct town *town = arg;
    struct answer answer = { 0 };

    processor_answer(town->processor, town->epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key,
                     fetch->body, &answer);
    give(town, &answer, ret);
}

static void ask_carrier(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct town *town = arg;
    struct answer answer = { 0 };

    carrier_answer(town->carrier, town->epoch_us + now_us, fetch->verb, fetch->path, fetch->idempotency_key,
                   fetch->body, &answer);
    give(town, &answer, ret);
}

static struct posted *find_mail(struct town *town, const char *path)
{
    for (size_t i = 0; i < town->n_mails; i++)
        if (strcmp(town->mails[i].path, path) == 0)
            return &town->mails[i];
    if (town->n_mails == town->capacity) {
        town->capacity = town->capacity ? 2 * town->capacity : 256;
        town->mails = realloc(town->mails, town->capacity * sizeof(*town->mails));
        assert(town->mails);
    }
    struct posted *mail = &town->mails[town->n_mails++];
    *mail = (struct posted){ .path = strdup(path), .mail_to = strdup("") };
    return mail;
}

static void post(void *arg, int64_t now_us, const struct fetch *fetch, struct outside_answer *ret)
{
    struct posted *mail = find_mail(arg, fetch->path);
    uint8_t *content = malloc(fetch->body.len + 1);

    assert(content);
    if (fetch->body.len)
        memcpy(content, fetch->body.data, fetch->body.len);
    free((void *)mail->content.data);
    free((char *)mail->mail_to);
    mail->content = (struct bytes){ content, fetch->body.len };
    mail->mail_to = strdup(fetch->mail_to ? fetch->mail_to : "");
    mail->times++;
}

struct town *town_create(struct world *w, struct node *node)
{
    struct port *port = node_port(node);
    static const struct journal none = { 0 };
    struct town *town = calloc(1, sizeof(*town));

    assert(town);
    town->epoch_us = port->wall_us(port) - world_now(w);
    int r = processor_create(&none, &town->processor);
    if (r == 0)
        r = carrier_create(&none, CARRIER_SPEED, &town->carrier);
    assert(r == 0);
    (void)r;
    world_outside(w, "processor", ask_processor, town);
    world_outside(w, "carrier", ask_carrier, town);
    world_outside(w, "mail", post, town);
    return town;
}

void town_destroy(struct town *town)
{
    if (!town)
        return;
    processor_destroy(town->processor);
    carrier_destroy(town->carrier);
    for (size_t i = 0; i < town->n_mails; i++) {
        free((char *)town->mails[i].path);
        free((char *)town->mails[i].mail_to);
        free((void *)town->mails[i].content.data);
    }
    free(town->mails);
    free(town->given);
    free(town);
}

void town_each_operation(const struct town *town, void (*each)(void *arg, const struct processed *operation), void *arg)
{
    processor_each(town->processor, each, arg);
}

void town_each_parcel(const struct town *town, void (*each)(void *arg, const struct parcel *parcel), void *arg)
{
    carrier_each(town->carrier, each, arg);
}

void town_each_mail(const struct town *town, void (*each)(void *arg, const struct posted *mail), void *arg)
{
    for (size_t i = 0; i < town->n_mails; i++)
        each(arg, &town->mails[i]);
}
