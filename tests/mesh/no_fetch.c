/* One task a fetch. */
#include "tests/mesh/no_fetch.h"

#include <errno.h>
#include <stdlib.h>

struct refusal {
    struct task task;
    struct fetch *fetch;
};

static void refuse(struct task *task)
{
    struct refusal *refusal = (struct refusal *)task;
    struct fetch *fetch = refusal->fetch;
    free(refusal);
    fetch->done(fetch, -ENOSYS, 0, (struct bytes){ NULL, 0 });
}

void no_fetch(struct port *port, struct fetch *fetch)
{
    struct refusal *refusal = malloc(sizeof(*refusal));
    if (!refusal)
        abort();
    *refusal = (struct refusal){ { .run = refuse }, fetch };
    port->post(port, LANE_LOOP, &refusal->task);
}
