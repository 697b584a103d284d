/* What a consumer that starts from a snapshot is told: what has become of each payment, the sums as they are, and
 * versions that rise to the payment's own. */
#include "tests/suite.h"
#include "tests/svc-payment/till.h"

#include <string.h>

extern const struct service_spec payment_service;

enum { EVENTS_MAX = 100 };

static struct shop s;

struct telling {
    struct unit unit;
    struct arena arena;
    struct event events[EVENTS_MAX];
    int n;
    bool done;
};

static int tell(struct txn *txn, void *arg)
{
    struct telling *t = arg;
    const char *keys[2];
    t->n = 0;
    for (const struct snapshot_kind *kind = payment_service.snapshots; kind->page; kind++) {
        const char *after = NULL;
        for (int n; (n = kind->page(txn, after, 2, t->events + t->n, keys)) != 0; after = keys[n - 1]) {
            ck_assert_int_gt(n, 0);
            ck_assert(!after || strcmp(after, keys[0]) < 0);
            t->n += n;
        }
    }
    return 0;
}

static void told_all(struct unit *unit, int result)
{
    ck_assert_int_eq(result, 0);
    ((struct telling *)unit->arg)->done = true;
}

static bool is_told(void *arg)
{
    return ((struct telling *)arg)->done;
}

/* "AUTHORIZED VOIDED" of one payment. */
static const char *story_of(const struct telling *t, const char *payment_id)
{
    const Payment *now = payment_now(&s, payment_id);
    char *story = "";
    uint64_t version = 0;
    for (int i = 0; i < t->n; i++) {
        const PaymentChanged *payload = (const PaymentChanged *)t->events[i].payload;
        if (strcmp(payload->payment_id, payment_id) != 0)
            continue;
        ck_assert_str_eq(t->events[i].key, now->order_id);
        ck_assert_str_eq(t->events[i].owner, "cus_anna");
        ck_assert_uint_gt(payload->version, version);
        ck_assert_int_eq(payload->state, now->state);
        ck_assert_int_eq(minor_of(payload->captured), minor_of(now->captured));
        ck_assert_int_eq(minor_of(payload->refunded), minor_of(now->refunded));
        version = payload->version;
        const ProtobufCEnumValue *type =
            protobuf_c_enum_descriptor_get_value(&oms__event__v1__event_type__descriptor, t->events[i].type);
        story = arena_printf(&s.arena, "%s%s%s", story, *story ? " " : "", type->name + strlen("PAYMENT_"));
    }
    ck_assert(version == 0 || version == now->version);
    return story;
}

START_TEST(each_payment_is_told_as_far_as_it_has_come)
{
    shop_open(&s, 1);
    const char *held = authorized(&s, "o1", "tok_ok"), *voided = authorized(&s, "o2", "tok_ok");
    const char *part = authorized(&s, "o3", "tok_ok"), *sold = authorized(&s, "o4", "tok_ok");
    const char *declined = authorize(&s, "o5", 1000, "tok_declined"),
               *acting = authorize(&s, "o6", 1000, "tok_3ds_never");
    const char *unpaid = authorized(&s, "o8", "tok_capture_fails");
    capture(&s, unpaid, "f8", 300);
    capture(&s, unpaid, "f9", 700);
    await_operation(&s, "f9-capture", OPERATION_STATE(DECLINED));
    void_order(&s, "o2");
    capture(&s, part, "f3", 300);
    capture(&s, sold, "f4", 1000);
    await_operation(&s, "f3-capture", OPERATION_STATE(SUCCEEDED));
    refund(&s, part, "r3", 300);
    void_order(&s, "o3");
    await_payment(&s, part, PAYMENT_STATE(VOIDED));
    await_payment(&s, voided, PAYMENT_STATE(VOIDED));
    await_payment(&s, sold, PAYMENT_STATE(CAPTURED));
    await_payment(&s, acting, PAYMENT_STATE(ACTION_REQUIRED));
    world_outside_down(s.world, "processor", true);
    const char *asked = authorize(&s, "o7", 1000, "tok_ok");

    struct telling t = { 0 };
    arena_init(&t.arena, 1 << 20);
    t.unit = (struct unit){ .run = tell, .arg = &t, .arena = &t.arena, .done = told_all };
    store_read(service_store(node_service(s.payment)), &t.unit);
    ck_assert(world_until(s.world, is_told, &t, TILL_PATIENCE_US));
    ck_assert_str_eq(story_of(&t, held), "AUTHORIZED");
    ck_assert_str_eq(story_of(&t, voided), "AUTHORIZED VOIDED");
    ck_assert_str_eq(story_of(&t, part), "AUTHORIZED CAPTURED REFUNDED VOIDED");
    ck_assert_str_eq(story_of(&t, sold), "AUTHORIZED CAPTURED");
    ck_assert_str_eq(story_of(&t, declined), "DECLINED");
    ck_assert_str_eq(story_of(&t, acting), "ACTION_REQUIRED");
    ck_assert_str_eq(story_of(&t, asked), "");
    ck_assert_str_eq(story_of(&t, unpaid), "CAPTURE_FAILED CAPTURE_FAILED AUTHORIZED"); /* matters for staff */
    arena_finish(&t.arena);
    shop_close(&s);
}
END_TEST

SUITE("snapshot", 60, each_payment_is_told_as_far_as_it_has_come)
