/* Which sale a line of a cancellation refers to: of the same customer, code and quantity the latest before it that no
 * other one refers to. The sales of one such key are a stack, linked by their lines' numbers. */
#include "omsctl/retail.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct stacks {
    struct arena arena; /* has the keys */
    struct names keys;
    uint32_t *top;    /* of each key: a line, or RETAIL_NONE */
    uint32_t *behind; /* of each line: the one under it in its stack */
    size_t room;
};

static uint32_t *stack_of(struct stacks *stacks, uint32_t customer, const struct retail_line *line)
{
    char key[64];
    snprintf(key, sizeof(key), "%" PRIu32 "/%" PRIu32 "/%" PRId32, customer, line->code, line->quantity);
    size_t known = stacks->keys.n;
    uint32_t number = names_add(&stacks->keys, key);
    if (stacks->room < stacks->keys.room) {
        stacks->room = stacks->keys.room;
        stacks->top = realloc(stacks->top, stacks->room * sizeof(*stacks->top));
        if (!stacks->top)
            abort();
    }
    if (stacks->keys.n > known)
        stacks->top[number] = RETAIL_NONE;
    return &stacks->top[number];
}

static void match_line(struct retail *retail, struct stacks *stacks, uint32_t customer, uint32_t at)
{
    struct retail_line *line = &retail->lines[at];
    uint32_t *top = stack_of(stacks, customer, line);
    if (line->outcome == RETAIL_SOLD) {
        stacks->behind[at] = *top;
        *top = at;
    } else if (*top == RETAIL_NONE) {
        line->outcome = RETAIL_NO_SUCH_SALE;
    } else if (retail->lines[*top].price_minor < line->price_minor) {
        line->outcome = RETAIL_ABOVE_SALE_PRICE;
    } else {
        line->outcome = RETAIL_REFUNDED;
        line->sale = *top;
        *top = stacks->behind[*top];
    }
}

void retail_match(struct retail *retail)
{
    struct stacks stacks = { .behind = calloc(retail->n_lines + 1, sizeof(*stacks.behind)) };
    if (!stacks.behind)
        abort();
    arena_init(&stacks.arena, SIZE_MAX);
    names_init(&stacks.keys, &stacks.arena);
    for (size_t i = 0; i < retail->n_sent; i++) {
        const struct retail_invoice *invoice = &retail->invoices[retail->sent[i]];
        for (uint32_t at = invoice->first; at != RETAIL_NONE; at = retail->lines[at].next)
            if (invoice->customer != 0)
                match_line(retail, &stacks, invoice->customer, at);
            else if (invoice->cancellation)
                retail->lines[at].outcome = RETAIL_CUSTOMER_UNKNOWN;
    }
    names_finish(&stacks.keys);
    arena_finish(&stacks.arena);
    free(stacks.top);
    free(stacks.behind);
}
