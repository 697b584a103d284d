/* The tables of an order's life against ones written independently, machine.csv and steps.csv, and what must hold of
 * them whatever they say. */
#include "svc-order/machine.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {
    [PENDING] = "PENDING",     [CONFIRMED] = "CONFIRMED", [REJECTED] = "REJECTED", [CANCELLING] = "CANCELLING",
    [CANCELLED] = "CANCELLED", [COMPLETED] = "COMPLETED", [DRAFT] = "DRAFT",
};
static const char *const outcomes[] = {
    [NOTHING_TO_RESERVE] = "no line is stocked",
    [STOCK_RESERVED] = "stock reserved",
    [SOLD_OUT] = "sold out",
    [RESERVE_GAVE_UP] = "reserving given up",
    [STOCK_RELEASED] = "stock released",
    [STOCK_EXPIRED] = "reservation expired",
    [NOTHING_TO_PAY] = "nothing to pay",
    [PAYMENT_GRANTED] = "payment granted",
    [PAYMENT_REFUSED] = "payment refused",
    [PAYMENT_NEEDS_ACTION] = "payment needs the customer",
    [PAYMENT_UNANSWERED] = "payment unanswered",
    [PAYMENT_GAVE_UP] = "authorizing given up",
    [PAYMENT_TOOK_TOO_LONG] = "payment deadline passed",
    [PAYMENT_GIVEN_BACK] = "payment given back",
    [MONEY_CAPTURED] = "captured",
    [CAPTURE_REFUSED] = "capture refused",
    [MONEY_REFUNDED] = "refunded",
    [MONEY_PARTLY_REFUNDED] = "money partly refunded",
    [REFUND_REFUSED] = "refund refused",
    [FULFILLMENT_ACCEPTED] = "fulfilment accepted",
    [FULFILLMENT_REFUSED] = "fulfilment refused",
    [PARCEL_SHORT] = "parcel short",
    [PARCEL_SHIPPED] = "parcel shipped",
    [PARCEL_DELIVERED] = "parcel delivered",
    [PARCEL_TROUBLED] = "parcel in trouble",
    [CANCEL_GRANTED] = "cancelling granted",
    [CANCEL_TOO_LATE] = "too late to cancel",
    [EVERYTHING_UNDONE] = "everything undone",
    [EVERYTHING_DONE] = "everything done",
};
static const char *const step_names[] = {
    [NO_STEP] = "",           [STEP_RESERVE] = "reserve", [STEP_AUTHORIZE] = "authorize",
    [STEP_FULFIL] = "fulfil", [STEP_CAPTURE] = "capture",
};
static const char *const step_states[] = {
    [TODO] = "TODO", [SENT] = "SENT", [DONE] = "DONE", [FAILED] = "FAILED", [UNDOING] = "UNDOING", [UNDONE] = "UNDONE",
};

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return (int)i;
    }
    ck_abort_msg("\"%s\"?", name);
}
#define INDEX(names, name) index_of(names, sizeof(names) / sizeof(names[0]), name)

/* The rows of a CSV after its head, cut into cells. */
static bool next_row(FILE *file, char line[256], char **cells, int n)
{
    if (!fgets(line, 256, file))
        return false;
    line[strcspn(line, "\n")] = '\0';
    char *at = line;
    for (int i = 0; i < n; i++)
        ck_assert_ptr_nonnull(cells[i] = strsep(&at, ","));
    return true;
}

static FILE *open_csv(const char *name, char line[256], char **cells, int n)
{
    FILE *file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert(next_row(file, line, cells, n));
    return file;
}

START_TEST(every_pair_is_as_it_was_written_independently)
{
    char line[256], *cells[4];
    bool seen[PENDING + ORDER_STATES][ORDER_OUTCOMES] = { 0 };
    int rows = 0;
    FILE *file = open_csv(CSV_DIR "/machine.csv", line, cells, 4);
    while (next_row(file, line, cells, 4)) {
        int state = INDEX(states, cells[0]), outcome = INDEX(outcomes, cells[1]);
        const struct transition *t = machine_transition(state, outcome);
        ck_assert_msg(strcmp(states[t->becomes], cells[2]) == 0, "%s, %s: %s", cells[0], cells[1], states[t->becomes]);
        ck_assert_msg(strcmp(machine_action_name(t->action), cells[3]) == 0, "%s, %s: %s", cells[0], cells[1],
                      machine_action_name(t->action));
        ck_assert(!seen[state][outcome]);
        seen[state][outcome] = true;
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, ORDER_STATES * ORDER_OUTCOMES);
}
END_TEST

START_TEST(every_step_is_as_it_was_written_independently)
{
    char line[256], *cells[3], becomes[32];
    int rows = 0;
    FILE *file = open_csv(CSV_DIR "/steps.csv", line, cells, 3);
    while (next_row(file, line, cells, 3)) {
        const struct step_change *c = machine_step(INDEX(outcomes, cells[0]));
        ck_assert_str_eq(step_names[c->step], cells[1]);
        snprintf(becomes, sizeof(becomes), "%s%s", step_states[c->state], c->again ? " again" : "");
        if (c->step != NO_STEP)
            ck_assert_str_eq(becomes, cells[2]);
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, ORDER_OUTCOMES);
}
END_TEST

/* Undo before do: what is granted to an order that has ended, or is to end, is given back. */
START_TEST(what_is_granted_too_late_is_undone)
{
    static const enum order_state ended[] = { REJECTED, CANCELLING, CANCELLED };
    static const enum order_outcome granted[] = { STOCK_RESERVED, PAYMENT_GRANTED, MONEY_CAPTURED, RESERVE_GAVE_UP,
                                                  PAYMENT_GAVE_UP };
    for (size_t s = 0; s < 3; s++) {
        for (size_t o = 0; o < sizeof(granted) / sizeof(granted[0]); o++) {
            const struct transition *t = machine_transition(ended[s], granted[o]);
            ck_assert_int_eq(t->becomes, ended[s]);
            ck_assert_int_eq(t->action, UNDO);
        }
    }
}
END_TEST

START_TEST(what_has_ended_stays_ended)
{
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++) {
        for (enum order_outcome o = 0; machine_final(s) && o < ORDER_OUTCOMES; o++)
            ck_assert_int_eq(machine_transition(s, o)->becomes, s);
    }
}
END_TEST

/* Walks from the state by every outcome; a person's verb CancelOrder leads from PENDING and CONFIRMED to CANCELLING,
 * and ActivateImport from DRAFT to PENDING. */
static void reach(enum order_state state, bool *reached)
{
    if (reached[state])
        return;
    reached[state] = true;
    if (state == DRAFT)
        reach(PENDING, reached);
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++)
        reach(machine_transition(state, o)->becomes, reached);
}

START_TEST(from_every_state_an_end_can_be_reached)
{
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++) {
        bool reached[PENDING + ORDER_STATES] = { 0 };
        reach(s, reached);
        ck_assert(reached[REJECTED] || reached[CANCELLED] || reached[COMPLETED]);
    }
}
END_TEST

START_TEST(nothing_happens_to_a_draft)
{
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++) {
        ck_assert_int_eq(machine_transition(DRAFT, o)->becomes, DRAFT);
        ck_assert_int_eq(machine_transition(DRAFT, o)->action, NOTHING);
    }
    ck_assert(!machine_final(DRAFT));
}
END_TEST

START_TEST(an_order_that_fails_never_leaves_without_undoing)
{
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++) {
        const struct transition *pending = machine_transition(PENDING, o),
                                *confirmed = machine_transition(CONFIRMED, o);
        ck_assert(pending->becomes != REJECTED || pending->action == UNDO);
        ck_assert(confirmed->becomes != CANCELLING || confirmed->action == STOP_PARCELS || confirmed->action == UNDO);
    }
}
END_TEST

/* In both orders, with the doubled one at any place: a step ends where the undo leaves it. */
START_TEST(do_and_undo_of_a_step_end_alike_in_both_orders)
{
    static const struct {
        enum order_outcome done, undone;
    } pairs[] = {
        { STOCK_RESERVED, STOCK_RELEASED },
        { STOCK_RESERVED, STOCK_EXPIRED },
        { PAYMENT_GRANTED, PAYMENT_GIVEN_BACK },
        { FULFILLMENT_ACCEPTED, CANCEL_GRANTED },
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        const struct step_change *done = machine_step(pairs[i].done), *undone = machine_step(pairs[i].undone);
        ck_assert_int_eq(done->step, undone->step);
        ck_assert(!done->again && !undone->again);
        ck_assert_int_lt(done->state, UNDOING);
        ck_assert_int_eq(undone->state, UNDONE);
    }
}
END_TEST

START_TEST(names_are_there_for_all)
{
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++)
        ck_assert_ptr_nonnull(machine_outcome_name(o));
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++)
        ck_assert_str_eq(machine_state_name(s), states[s]);
}
END_TEST

SUITE("machine", 10, every_pair_is_as_it_was_written_independently, every_step_is_as_it_was_written_independently,
      what_is_granted_too_late_is_undone, what_has_ended_stays_ended, from_every_state_an_end_can_be_reached,
      nothing_happens_to_a_draft, an_order_that_fails_never_leaves_without_undoing,
      do_and_undo_of_a_step_end_alike_in_both_orders, names_are_there_for_all)
