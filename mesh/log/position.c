/* A position of the log as a message of the API. */
#include "mesh/log/log.h"

#include <errno.h>
#include <string.h>

int log_position_message(struct txn *txn, Mesh__V1__Position **ret_position)
{
    struct log_position at;
    int r = log_position(txn, &at);
    if (r < 0)
        return r;

    Mesh__V1__Position *position = arena_message(txn->arena, &mesh__v1__position__descriptor);
    char *incarnation = arena_copy(txn->arena, at.incarnation, strlen(at.incarnation));
    if (!position || !incarnation)
        return -ENOMEM;
    position->incarnation = incarnation;
    position->seq = at.seq;
    *ret_position = position;
    return 0;
}
