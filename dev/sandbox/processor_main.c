/* sandbox-processor: the card processor of a development mesh.
 *
 * Serves  POST /v1/authorizations, /v1/captures, /v1/refunds, /v1/voids, GET /v1/operations/<key>   processor.c
 *         GET /v1/book                                                                              server.c
 * Keeps   its book, a file                                                                          book.c
 */
#include "dev/sandbox/processor.h"
#include "dev/sandbox/run.h"

#include "mesh/base/say.h"

#include <stdlib.h>

static struct option options[] = {
    { "listen", OPTION_TEXT, "127.0.0.1:7601", "where it is spoken to" },
    { "latency", OPTION_DURATION, "20ms", "how long every answer takes" },
    {},
};

static void answer(void *self, int64_t now_us, const char *verb, const char *path, const char *idempotency_key,
                   struct bytes body, struct answer *ret)
{
    processor_answer(self, now_us, verb, path, idempotency_key, body, ret);
}

static void advance(void *self, int64_t now_us)
{
    processor_advance(self, now_us);
}

static int64_t next_us(const void *self)
{
    return processor_next_us(self);
}

int main(int argc, char **argv)
{
    struct option *const tables[] = { options, run_options, NULL };
    struct journal journal = run_journal();
    struct processor *processor;
    say_init("sandbox-processor", SAY_INFO);
    int r = config_parse(tables, "sandbox-processor", "a card processor for development and tests", argc, argv);
    if (r != 0)
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (processor_create(&journal, &processor) < 0)
        return EXIT_FAILURE;
    int code = run(tables, &(struct company){ processor, answer, advance, next_us, 0 }, processor_replay);
    processor_destroy(processor);
    return code;
}
