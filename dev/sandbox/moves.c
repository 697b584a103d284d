/* A binary heap. */
#include "dev/sandbox/moves.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#define MOVES_MIN 64

int moves_reserve(struct moves *moves)
{
    if (moves->n < moves->max)
        return 0;
    size_t max = moves->max ? 2 * moves->max : MOVES_MIN;
    struct move *heap = realloc(moves->heap, max * sizeof(*heap));
    if (!heap)
        return -ENOMEM;
    moves->heap = heap;
    moves->max = max;
    return 0;
}

static bool is_before(const struct move *a, const struct move *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

void moves_push(struct moves *moves, int64_t due_us, struct shipment *shipment, size_t leg)
{
    struct move move = { due_us, moves->pushed++, shipment, leg };
    size_t at = moves->n++;
    for (; at > 0 && is_before(&move, &moves->heap[(at - 1) / 2]); at = (at - 1) / 2)
        moves->heap[at] = moves->heap[(at - 1) / 2];
    moves->heap[at] = move;
}

const struct move *moves_first(const struct moves *moves)
{
    return moves->n > 0 ? moves->heap : NULL;
}

void moves_pop(struct moves *moves)
{
    struct move move = moves->heap[--moves->n];
    size_t at = 0, child;
    for (; (child = 2 * at + 1) < moves->n; at = child) {
        if (child + 1 < moves->n && is_before(&moves->heap[child + 1], &moves->heap[child]))
            child++;
        if (!is_before(&moves->heap[child], &move))
            break;
        moves->heap[at] = moves->heap[child];
    }
    if (moves->n > 0)
        moves->heap[at] = move;
}

void moves_finish(struct moves *moves)
{
    free(moves->heap);
    *moves = (struct moves){ 0 };
}
