/* One operation a repair, with all that it needs in an arena of its own. */
#include "svc-inventory/availability.h"
#include "svc-inventory/feed.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define REPAIR_BUDGET (1 << 20)

struct repair {
    struct cache_op op;
    struct feed *feed;
    struct arena arena;
};

static void free_repair(struct repair *repair)
{
    arena_finish(&repair->arena);
    free(repair);
}

static void repaired(struct cache_op *op, int result)
{
    struct repair *repair = (struct repair *)((char *)op - offsetof(struct repair, op));
    struct feed *feed = repair->feed;
    free_repair(repair);
    feed_release(feed);
}

static int fill_repair(struct repair *repair, const struct availability_page *missed)
{
    struct availability_page page;
    int r = availability_page_init(&repair->arena, missed->n, &page);
    if (r < 0)
        return r;
    for (size_t i = 0; i < missed->n; i++) {
        if (missed->versions[i] == 0)
            continue;
        page.skus[page.n] = arena_copy(&repair->arena, missed->skus[i], strlen(missed->skus[i]));
        page.values[page.n] = missed->values[i];
        page.versions[page.n] = missed->versions[i];
        if (!page.skus[page.n++])
            return -ENOMEM;
    }
    repair->op = (struct cache_op){
        .op = CACHE_SET_IF_NEWER,
        .n = page.n,
        .keys = page.skus,
        .epoch = feed_epoch(repair->feed),
        .versions = page.versions,
        .values = page.values,
        .timeout_us = CACHE_TIMEOUT_US,
        .done = repaired,
    };
    return 0;
}

void cache_repair(struct port *port, struct feed *feed, const struct availability_page *page)
{
    struct repair *repair = malloc(sizeof(*repair));
    if (!repair)
        return;
    repair->feed = feed;
    arena_init(&repair->arena, REPAIR_BUDGET);
    if (fill_repair(repair, page) < 0 || repair->op.n == 0) {
        free_repair(repair);
        return;
    }
    feed_hold(feed);
    port->cache(port, &repair->op);
}
