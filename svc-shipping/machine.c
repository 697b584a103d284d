/* The tables, and the proof that no pair is missing. */
#include "svc-shipping/machine.h"

#include <assert.h>

#define EVENT(name)    OMS__EVENT__V1__EVENT_TYPE__FULFILLMENT_##name
#define TRACKING(name) OMS__SHIPPING__V1__TRACKING_EVENT__TYPE__##name
#define STATE(name)    OMS__SHIPPING__V1__FULFILLMENT__STATE__##name

/* What a cell of the table means. */
enum step_name { STAY, LABEL, REFUSE, CANCEL, UNDO, MOVE, DELAY, ARRIVE, LOSE, RETURN, STEPS };

static const struct fulfillment_step steps[STEPS] = {
    /*           becomes    is told             the customer sees     and then */
    [STAY] = { 0 },
    [LABEL] = { LABELLED, EVENT(PACKED), 0, NOTHING },
    [REFUSE] = { REFUSED, EVENT(REFUSED), 0, NOTHING },
    [CANCEL] = { CANCELLED, EVENT(CANCELLED), 0, NOTHING },
    [UNDO] = { CANCELLED, EVENT(CANCELLED), 0, WITHDRAW },
    [MOVE] = { MOVING, EVENT(IN_TRANSIT), TRACKING(IN_TRANSIT), NOTHING },
    [DELAY] = { LATE, EVENT(DELAYED), TRACKING(DELAYED), NOTHING },
    [ARRIVE] = { DELIVERED, EVENT(DELIVERED), TRACKING(DELIVERED), NOTHING },
    [LOSE] = { LOST, EVENT(LOST), TRACKING(LOST), NOTHING },
    [RETURN] = { RETURNED, EVENT(RETURNED), TRACKING(RETURNED), NOTHING },
};

// clang-format off
#define MACHINE(ROW) \
    /*  standing    LABEL_GIVEN  LABEL_REFUSED  CANCEL_WANTED  MOVED  HELD_UP  ARRIVED  WENT_MISSING  CAME_BACK  OVERDUE */ \
    ROW(ALLOCATED,  STAY,        STAY,          CANCEL,        STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(PACKED,     LABEL,       REFUSE,        UNDO,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(LABELLED,   STAY,        STAY,          UNDO,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(SHIPPED,    STAY,        STAY,          STAY,          MOVE,  DELAY,   ARRIVE,  LOSE,         RETURN,    DELAY) \
    ROW(MOVING,     STAY,        STAY,          STAY,          STAY,  DELAY,   ARRIVE,  LOSE,         RETURN,    DELAY) \
    ROW(LATE,       STAY,        STAY,          STAY,          STAY,  DELAY,   ARRIVE,  LOSE,         RETURN,    STAY) \
    ROW(DELIVERED,  STAY,        STAY,          STAY,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(REFUSED,    STAY,        STAY,          UNDO,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(LOST,       STAY,        STAY,          STAY,          STAY,  STAY,    ARRIVE,  STAY,         RETURN,    STAY) \
    ROW(RETURNED,   STAY,        STAY,          STAY,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(CANCELLED,  STAY,        STAY,          STAY,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY) \
    ROW(SHORT,      STAY,        STAY,          STAY,          STAY,  STAY,    STAY,    STAY,         STAY,      STAY)
// clang-format on

/* A cell that is missing is an argument that is missing; a row that is missing is a bit that is. */
#define BIT(standing, a, b, c, d, e, f, g, h, i) | 1u << (standing)
#define ONE(standing, a, b, c, d, e, f, g, h, i) +1
#define STORED(standing, a, b, c, d, e, f, g, h, i) \
    [standing] = { [LABEL_GIVEN] = a, [LABEL_REFUSED] = b, [CANCEL_WANTED] = c, [MOVED] = d,  [HELD_UP] = e, \
                   [ARRIVED] = f,     [WENT_MISSING] = g,  [CAME_BACK] = h,     [OVERDUE] = i },

_Static_assert((0u MACHINE(BIT)) == (1u << (STANDINGS + 1)) - 2, "a standing is missing");
_Static_assert((0 MACHINE(ONE)) == STANDINGS, "a standing stands there twice");
_Static_assert(FULFILLMENT_OUTCOMES == 9, "the table has a column for each outcome");

static const uint8_t machine[STANDINGS + 1][FULFILLMENT_OUTCOMES] = { MACHINE(STORED) };

static const struct {
    enum standing standing;
    enum fulfillment_verb verb;
    struct fulfillment_step step;
} verbs[] = {
    { ALLOCATED, PACK, { PACKED, 0, 0, ASK_LABEL } },
    { ALLOCATED, PACK_SHORT, { PACKED, EVENT(SHORT), 0, ASK_LABEL } },
    { ALLOCATED, PACK_NOTHING, { SHORT, EVENT(SHORT), 0, NOTHING } },
    { LABELLED, SHIP, { SHIPPED, EVENT(SHIPPED), TRACKING(HANDED_OVER), HAND_OVER } },
};

const struct fulfillment_step *fulfillment_asked(enum standing standing, enum fulfillment_verb verb)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (verbs[i].standing == standing && verbs[i].verb == verb)
            return &verbs[i].step;
    return NULL;
}

const struct fulfillment_step *fulfillment_happened(enum standing standing, enum fulfillment_outcome outcome)
{
    assert(standing >= ALLOCATED && standing <= STANDINGS && outcome < FULFILLMENT_OUTCOMES);
    return &steps[machine[standing][outcome]];
}

const char *fulfillment_legal(enum standing standing)
{
    /* pack · ship · cancel, as bits */
    static const char *const texts[] = { "nothing", "pack", "ship", "", "cancel", "pack, cancel", "ship, cancel", "" };
    unsigned legal = fulfillment_happened(standing, CANCEL_WANTED)->becomes ? 4 : 0;
    legal |= fulfillment_asked(standing, PACK) ? 1 : 0;
    legal |= fulfillment_asked(standing, SHIP) ? 2 : 0;
    return texts[legal];
}

/* --- how the API shows it --- */

static const struct {
    Oms__Shipping__V1__Fulfillment__State state;
    int32_t event;
} shown[STANDINGS + 1] = {
    [ALLOCATED] = { STATE(ALLOCATED), EVENT(CREATED) },   [PACKED] = { STATE(PACKED), 0 },
    [LABELLED] = { STATE(PACKED), EVENT(PACKED) },        [SHIPPED] = { STATE(SHIPPED), EVENT(SHIPPED) },
    [MOVING] = { STATE(SHIPPED), EVENT(IN_TRANSIT) },     [LATE] = { STATE(SHIPPED), EVENT(DELAYED) },
    [DELIVERED] = { STATE(DELIVERED), EVENT(DELIVERED) }, [REFUSED] = { STATE(EXCEPTION), EVENT(REFUSED) },
    [LOST] = { STATE(EXCEPTION), EVENT(LOST) },           [RETURNED] = { STATE(EXCEPTION), EVENT(RETURNED) },
    [CANCELLED] = { STATE(CANCELLED), EVENT(CANCELLED) }, [SHORT] = { STATE(SHORT), EVENT(SHORT) },
};

struct standings standings_of(Oms__Shipping__V1__Fulfillment__State state)
{
    struct standings range = { STANDINGS, 0 };
    for (enum standing s = ALLOCATED; s <= STANDINGS; s++) {
        if (state != STATE(STATE_UNSPECIFIED) && shown[s].state != state)
            continue;
        range.first = s < range.first ? s : range.first;
        range.last = s;
    }
    return range;
}

Oms__Shipping__V1__Fulfillment__State standing_state(enum standing standing)
{
    return shown[standing].state;
}

int32_t standing_event(enum standing standing)
{
    return shown[standing].event;
}
