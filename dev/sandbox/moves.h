/* What is to happen to parcels, the earliest first: a heap. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct shipment;

struct move {
    int64_t due_us;
    uint64_t order; /* of two at the same time: as they were pushed */
    struct shipment *shipment;
    size_t leg; /* stale if the shipment is further already */
};
struct moves {
    struct move *heap;
    size_t n, max;
    uint64_t pushed;
};

/* Makes room for one more, which moves_push then takes. 0 or -ENOMEM. */
int moves_reserve(struct moves *moves);
void moves_push(struct moves *moves, int64_t due_us, struct shipment *shipment, size_t leg);
const struct move *moves_first(const struct moves *moves); /* NULL: there is none */
void moves_pop(struct moves *moves);
void moves_finish(struct moves *moves);
