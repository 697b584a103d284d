/* sandbox-carrier: the carrier of a development mesh.
 *
 * Serves  POST /v1/shipments, DELETE /v1/shipments/<key>, POST /v1/shipments/<key>/handover, GET /v1/events   carrier.c
 *         GET /v1/book                                                                                        server.c
 * Keeps   its book, a file                                                                                    book.c
 */
#include "dev/sandbox/carrier.h"
#include "dev/sandbox/run.h"

#include "mesh/base/say.h"

#include <stdio.h>
#include <stdlib.h>

static struct option options[] = {
    { "listen", OPTION_TEXT, "127.0.0.1:7602", "where it is spoken to" },
    { "latency", OPTION_DURATION, "5ms", "how long every answer takes" },
    { "speed", OPTION_NUMBER, "100", "of parcels, in percent: at 100 they are delivered 1.2 s after the handover" },
    {},
};

static void answer(void *self, int64_t now_us, const char *verb, const char *path, const char *idempotency_key,
                   struct bytes body, struct answer *ret)
{
    carrier_answer(self, now_us, verb, path, idempotency_key, body, ret);
}

static void advance(void *self, int64_t now_us)
{
    carrier_advance(self, now_us);
}

static int64_t next_us(const void *self)
{
    return carrier_next_us(self);
}

int main(int argc, char **argv)
{
    struct option *const tables[] = { options, run_options, NULL };
    struct journal journal = run_journal();
    struct carrier *carrier;
    say_init("sandbox-carrier", SAY_INFO);
    int r = config_parse(tables, "sandbox-carrier", "a carrier of parcels for development and tests", argc, argv);
    if (r != 0)
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
    if (carrier_create(&journal, config_number(tables, "speed"), &carrier) < 0) {
        fprintf(stderr, "sandbox-carrier: --speed is 1 to 1000000 percent\n");
        return EXIT_FAILURE;
    }
    int code = run(tables, &(struct company){ carrier, answer, advance, next_us, 0 }, carrier_replay);
    carrier_destroy(carrier);
    return code;
}
