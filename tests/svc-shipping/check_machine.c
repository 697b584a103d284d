/* The table of a fulfilment's life against one written independently, machine.csv. */
#include "svc-shipping/machine.h"
#include "tests/suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const standings[] = {
    [ALLOCATED] = "allocated", [PACKED] = "packed",     [LABELLED] = "labelled",   [SHIPPED] = "shipped",
    [MOVING] = "moving",       [LATE] = "late",         [DELIVERED] = "delivered", [REFUSED] = "refused",
    [LOST] = "lost",           [RETURNED] = "returned", [CANCELLED] = "cancelled", [SHORT] = "short",
};
enum { HAPPENINGS = FULFILLMENT_VERBS + FULFILLMENT_OUTCOMES };
static const char *const happenings[HAPPENINGS] = {
    [PACK] = "asked to be packed",
    [PACK_SHORT] = "packed without something",
    [PACK_NOTHING] = "packed without anything",
    [SHIP] = "asked to be shipped",
    [FULFILLMENT_VERBS + LABEL_GIVEN] = "label given",
    [FULFILLMENT_VERBS + LABEL_REFUSED] = "label refused",
    [FULFILLMENT_VERBS + CANCEL_WANTED] = "cancel wanted",
    [FULFILLMENT_VERBS + MOVED] = "moved",
    [FULFILLMENT_VERBS + HELD_UP] = "held up",
    [FULFILLMENT_VERBS + ARRIVED] = "arrived",
    [FULFILLMENT_VERBS + WENT_MISSING] = "went missing",
    [FULFILLMENT_VERBS + CAME_BACK] = "came back",
    [FULFILLMENT_VERBS + OVERDUE] = "overdue",
};
static const char *const actions[] = {
    [NOTHING] = "", [ASK_LABEL] = "ask for the label", [HAND_OVER] = "hand over", [WITHDRAW] = "withdraw"
};

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return (int)i;
    }
    ck_abort_msg("machine.csv: \"%s\"?", name);
}
#define INDEX(names, name) index_of(names, sizeof(names) / sizeof(names[0]), name)

static const struct fulfillment_step *step_of(enum standing standing, int happening)
{
    return happening < FULFILLMENT_VERBS ? fulfillment_asked(standing, (enum fulfillment_verb)happening)
                                         : fulfillment_happened(standing, happening - FULFILLMENT_VERBS);
}

static const char *name_of(const ProtobufCEnumDescriptor *type, int number, const char *prefix)
{
    if (number == 0)
        return "";
    const char *name = protobuf_c_enum_descriptor_get_value(type, number)->name;
    ck_assert_int_eq(strncmp(name, prefix, strlen(prefix)), 0);
    return name + strlen(prefix);
}

static void ck_row(char *const cells[6])
{
    enum standing standing = (enum standing)INDEX(standings, cells[0]);
    const struct fulfillment_step *step = step_of(standing, INDEX(happenings, cells[1]));
    if (!step) {
        ck_assert_str_eq(cells[2], "refused");
        return;
    }
    ck_assert_str_eq(standings[step->becomes ? step->becomes : standing], cells[2]);
    ck_assert_str_eq(name_of(&oms__event__v1__event_type__descriptor, step->event, "FULFILLMENT_"), cells[3]);
    ck_assert_str_eq(name_of(&oms__shipping__v1__tracking_event__type__descriptor, step->tracking, ""), cells[4]);
    ck_assert_str_eq(actions[step->action], cells[5]);
}

START_TEST(every_pair_is_as_it_was_written_independently)
{
    FILE *file = fopen(MACHINE_CSV, "r");
    ck_assert_ptr_nonnull(file);
    char line[256];
    bool seen[STANDINGS + 1][HAPPENINGS] = { 0 };
    int rows = 0;
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *at = line, *cells[6];
        for (int i = 0; i < 6; i++)
            ck_assert_ptr_nonnull(cells[i] = strsep(&at, ","));
        ck_row(cells);
        bool *cell = &seen[INDEX(standings, cells[0])][INDEX(happenings, cells[1])];
        ck_assert(!*cell);
        *cell = true;
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, STANDINGS * HAPPENINGS);
}
END_TEST

/* Whatever is asked or happens leads on, never in a circle: a repeated event has no second effect, but for a delay,
 * which may be told with another promise. */
START_TEST(nothing_that_happened_twice_has_a_second_effect)
{
    for (enum standing s = ALLOCATED; s <= STANDINGS; s++) {
        for (enum fulfillment_outcome o = 0; o < FULFILLMENT_OUTCOMES; o++) {
            enum standing then = fulfillment_happened(s, o)->becomes;
            if (then && o != HELD_UP)
                ck_assert_int_eq(fulfillment_happened(then, o)->becomes, 0);
        }
    }
}
END_TEST

static bool reaches_an_end(enum standing standing, int depth)
{
    if (standing == DELIVERED || standing == CANCELLED || standing == SHORT ||
        standing_state(standing) == standing_state(LOST))
        return true;
    for (int h = 0; depth > 0 && h < HAPPENINGS; h++) {
        const struct fulfillment_step *step = step_of(standing, h);
        if (step && step->becomes && reaches_an_end(step->becomes, depth - 1))
            return true;
    }
    return false;
}

START_TEST(from_everywhere_there_is_a_way_to_the_end_or_to_a_person)
{
    for (enum standing s = ALLOCATED; s <= STANDINGS; s++)
        ck_assert(reaches_an_end(s, STANDINGS));
}
END_TEST

/* Do and undo in both orders: a label that may be there is withdrawn, and what has left stays. */
START_TEST(what_was_handed_over_cannot_be_cancelled_and_what_was_cancelled_cannot_be_handed_over)
{
    for (enum standing s = ALLOCATED; s <= STANDINGS; s++) {
        const struct fulfillment_step *undo = fulfillment_happened(s, CANCEL_WANTED);
        bool labelled = s == PACKED || s == LABELLED || s == REFUSED;
        ck_assert_int_eq(undo->becomes == CANCELLED, labelled || s == ALLOCATED);
        ck_assert_int_eq(undo->action == WITHDRAW, labelled);
    }
    for (int h = 0; h < HAPPENINGS; h++) {
        const struct fulfillment_step *step = step_of(CANCELLED, h);
        ck_assert(!step || !step->becomes);
    }
}
END_TEST

START_TEST(every_step_that_a_customer_sees_is_told)
{
    for (enum standing s = ALLOCATED; s <= STANDINGS; s++) {
        for (int h = 0; h < HAPPENINGS; h++) {
            const struct fulfillment_step *step = step_of(s, h);
            if (step && step->becomes && h != PACK_SHORT)
                ck_assert_int_eq(step->event, standing_event(step->becomes));
            ck_assert(!step || step->event || !step->tracking);
        }
    }
}
END_TEST

START_TEST(the_states_of_the_api_are_ranges_of_standings)
{
    int seen = 0;
    for (int state = 1; state <= OMS__SHIPPING__V1__FULFILLMENT__STATE__SHORT; state++) {
        struct standings range = standings_of((Oms__Shipping__V1__Fulfillment__State)state);
        for (enum standing s = range.first; s <= range.last; s++, seen++)
            ck_assert_int_eq(standing_state(s), state);
    }
    ck_assert_int_eq(seen, STANDINGS);
    struct standings all = standings_of(OMS__SHIPPING__V1__FULFILLMENT__STATE__STATE_UNSPECIFIED);
    ck_assert_int_eq(all.first, ALLOCATED);
    ck_assert_int_eq(all.last, SHORT);
    struct standings none = standings_of((Oms__Shipping__V1__Fulfillment__State)99);
    ck_assert_int_gt(none.first, none.last);
}
END_TEST

START_TEST(what_is_legal_is_said_in_words)
{
    ck_assert_str_eq(fulfillment_legal(ALLOCATED), "pack, cancel");
    ck_assert_str_eq(fulfillment_legal(PACKED), "cancel");
    ck_assert_str_eq(fulfillment_legal(LABELLED), "ship, cancel");
    ck_assert_str_eq(fulfillment_legal(SHIPPED), "nothing");
    ck_assert_str_eq(fulfillment_legal(CANCELLED), "nothing");
    ck_assert_str_eq(fulfillment_legal(SHORT), "nothing");
}
END_TEST

SUITE("machine", 10, every_pair_is_as_it_was_written_independently, nothing_that_happened_twice_has_a_second_effect,
      from_everywhere_there_is_a_way_to_the_end_or_to_a_person,
      what_was_handed_over_cannot_be_cancelled_and_what_was_cancelled_cannot_be_handed_over,
      every_step_that_a_customer_sees_is_told, the_states_of_the_api_are_ranges_of_standings,
      what_is_legal_is_said_in_words)
