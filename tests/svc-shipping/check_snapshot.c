/* What a consumer that starts from a snapshot is told: the same as if it had been there from the beginning, but for
 * what does not count any more. */
#include "svc-shipping/shipping.h"
#include "tests/suite.h"
#include "tests/svc-shipping/yard.h"

#include <string.h>

enum { EVENTS_MAX = 100 };

static struct shop s;

struct told {
    struct unit unit;
    struct arena arena;
    struct event events[EVENTS_MAX];
    int n;
    bool done;
};

static int tell(struct txn *txn, void *arg)
{
    static const struct snapshot_kind kinds[] = { { created_snapshot }, { shipped_snapshot }, { became_snapshot } };
    struct told *told = arg;
    const char *keys[2];
    told->n = 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const char *after = NULL;
        for (int n; (n = kinds[i].page(txn, after, 2, told->events + told->n, keys)) != 0; after = keys[n - 1]) {
            ck_assert_int_gt(n, 0);
            ck_assert(!after || strcmp(after, keys[0]) < 0);
            told->n += n;
        }
    }
    return 0;
}

static void told_all(struct unit *unit, int result)
{
    ck_assert_int_eq(result, 0);
    ((struct told *)unit->arg)->done = true;
}

static bool is_told(void *arg)
{
    return ((struct told *)arg)->done;
}

/* "CREATED 1 ALLOCATED, SHIPPED 4 SHIPPED" of one fulfilment. */
static const char *story_of(const struct told *told, const char *id)
{
    char *story = "";
    for (int i = 0; i < told->n; i++) {
        const FulfillmentChanged *payload = (const FulfillmentChanged *)told->events[i].payload;
        if (strcmp(payload->fulfillment_id, id) != 0)
            continue;
        ck_assert_str_eq(told->events[i].key, payload->order_id);
        ck_assert_str_eq(told->events[i].owner, "cus_anna");
        ck_assert_int_eq(payload->n_lines, 2);
        story = arena_printf(
            &s.arena, "%s%s%s %d %s", story, *story ? ", " : "",
            protobuf_c_enum_descriptor_get_value(&oms__event__v1__event_type__descriptor, told->events[i].type)->name +
                strlen("FULFILLMENT_"),
            (int)payload->version,
            protobuf_c_enum_descriptor_get_value(&oms__shipping__v1__fulfillment__state__descriptor, payload->state)
                ->name);
    }
    return story;
}

START_TEST(each_fulfilment_was_created_perhaps_shipped_and_is_what_it_is)
{
    yard_open(&s, 1);
    const char *waiting = create(&s, order_to(&s, "York")), *labelled = create(&s, order_to(&s, "York"));
    const char *refused = create(&s, order_to(&s, "Refusal")), *lost = send_to(&s, "Lostwick");
    const char *delivered = send_to(&s, "Delayton");
    CreateFulfillmentRequest *req = shares_of(&s, order_to(&s, "York"), 1);
    const CreateFulfillmentResponse *made = get(&s, &order_process, "CreateFulfillment", req);
    cancel(&s, req->request_id);
    packed(&s, labelled);
    packed(&s, refused);
    await_label(&s, labelled);
    await_state(&s, refused, FULFILLMENT_STATE(EXCEPTION));
    await_state(&s, lost, FULFILLMENT_STATE(EXCEPTION));
    await_state(&s, delivered, FULFILLMENT_STATE(DELIVERED));
    world_outside_down(s.world, "carrier", true);
    const char *asked = create(&s, order_to(&s, "York"));
    packed(&s, asked);

    struct told told = { 0 };
    arena_init(&told.arena, 1 << 20);
    told.unit = (struct unit){ .run = tell, .arg = &told, .arena = &told.arena, .done = told_all };
    store_read(service_store(node_service(s.shipping)), &told.unit);
    ck_assert(world_until(s.world, is_told, &told, 10000000));
    ck_assert_str_eq(story_of(&told, waiting), "CREATED 1 ALLOCATED");
    ck_assert_str_eq(story_of(&told, asked), "CREATED 1 ALLOCATED");
    ck_assert_str_eq(story_of(&told, labelled), "CREATED 1 ALLOCATED, PACKED 3 PACKED");
    ck_assert_str_eq(story_of(&told, refused), "CREATED 1 ALLOCATED, REFUSED 3 EXCEPTION");
    ck_assert_str_eq(story_of(&told, lost), "CREATED 1 ALLOCATED, SHIPPED 4 SHIPPED, LOST 6 EXCEPTION");
    ck_assert_str_eq(story_of(&told, delivered), "CREATED 1 ALLOCATED, SHIPPED 4 SHIPPED, DELIVERED 7 DELIVERED");
    ck_assert_str_eq(story_of(&told, made->fulfillment_ids[0]), "CREATED 1 ALLOCATED, CANCELLED 2 CANCELLED");
    arena_finish(&told.arena);
    shop_close(&s);
}
END_TEST

SUITE("snapshot", 60, each_fulfilment_was_created_perhaps_shipped_and_is_what_it_is)
