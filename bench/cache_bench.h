/* bench/cache: what its parts give each other. */
#pragma once

#include "bench/calls.h"

#include <stdbool.h>

#define SKUS          2000
#define PAGE_SKUS_MAX 200 /* of one call */

/* --- cache_shop.c: what svc-inventory has; of SKU i there are i + 1 --- */

/* Stocks a service that has nothing yet; exits when it cannot. */
void shop_fill(const char *dir, const struct server *server);

/* Some SKUs by chance, and the call that asks for them. */
struct page {
    int n, skus[PAGE_SKUS_MAX];
};
void page_ask(struct calls *calls, struct slot *slot, struct page *page);
/* The next answer; *ret_right: it has what there is of each SKU of its page, which pages has at the slot's place. */
struct slot *page_answer(struct calls *calls, const struct slot *slots, const struct page *pages, bool *ret_right);
