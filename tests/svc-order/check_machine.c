/* The table of an order's life against one written independently, machine.csv. */
#include "svc-order/machine.h"
#include "tests/suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const states[] = { [PENDING] = "PENDING", [CONFIRMED] = "CONFIRMED", [REJECTED] = "REJECTED" };
static const char *const outcomes[] = {
    [NOTHING_TO_RESERVE] = "no line is stocked",
    [STOCK_RESERVED] = "reserved",
    [SOLD_OUT] = "sold out",
    [RESERVE_GAVE_UP] = "gave up",
    [STOCK_RELEASED] = "released",
};
static const char *const steps[] = {
    [TODO] = "TODO", [SENT] = "SENT", [DONE] = "DONE", [FAILED] = "FAILED", [UNDOING] = "UNDOING", [UNDONE] = "UNDONE",
};
static const char *const actions[] = { [NOTHING] = "", [RELEASE_STOCK] = "release" };

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return (int)i;
    }
    ck_abort_msg("machine.csv: \"%s\"?", name);
}
#define INDEX(names, name) index_of(names, sizeof(names) / sizeof(names[0]), name)

START_TEST(every_pair_is_as_it_was_written_independently)
{
    FILE *file = fopen(MACHINE_CSV, "r");
    ck_assert_ptr_nonnull(file);
    char line[256];
    bool seen[PENDING + ORDER_STATES][ORDER_OUTCOMES] = { 0 };
    int rows = 0;
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *at = line, *cells[5];
        for (int i = 0; i < 5; i++)
            ck_assert_ptr_nonnull(cells[i] = strsep(&at, ","));
        int state = INDEX(states, cells[0]), outcome = INDEX(outcomes, cells[1]);
        const struct transition *t = machine_transition(state, outcome);
        ck_assert_str_eq(states[t->becomes], cells[2]);
        ck_assert_str_eq(steps[t->reserve], cells[3]);
        ck_assert_str_eq(actions[t->action], cells[4]);
        ck_assert(!seen[state][outcome]);
        seen[state][outcome] = true;
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, ORDER_STATES * ORDER_OUTCOMES);
}
END_TEST

START_TEST(from_pending_every_outcome_ends_the_wait)
{
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++)
        ck_assert_int_ne(machine_transition(PENDING, o)->becomes, PENDING);
}
END_TEST

START_TEST(a_second_outcome_never_changes_the_first_word)
{
    for (enum order_outcome first = 0; first < ORDER_OUTCOMES; first++) {
        enum order_state state = machine_transition(PENDING, first)->becomes;
        for (enum order_outcome second = 0; second < ORDER_OUTCOMES; second++)
            ck_assert_int_eq(machine_transition(state, second)->becomes, state);
    }
}
END_TEST

/* Do and undo in both orders: whatever is reserved for an order that was rejected is released. */
START_TEST(a_rejected_order_holds_nothing)
{
    for (enum order_outcome first = 0; first < ORDER_OUTCOMES; first++) {
        const struct transition *t = machine_transition(PENDING, first);
        if (t->becomes != REJECTED)
            continue;
        ck_assert_int_ne(t->reserve, DONE);
        ck_assert_int_eq(machine_transition(REJECTED, STOCK_RESERVED)->action, RELEASE_STOCK);
        ck_assert_int_eq(machine_transition(REJECTED, STOCK_RELEASED)->reserve, UNDONE);
    }
}
END_TEST

START_TEST(a_step_is_being_undone_exactly_when_its_undo_is_sent)
{
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++) {
        for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++) {
            const struct transition *t = machine_transition(s, o);
            ck_assert_int_eq(t->reserve == UNDOING, t->action == RELEASE_STOCK);
        }
    }
}
END_TEST

SUITE("machine", 10, every_pair_is_as_it_was_written_independently, from_pending_every_outcome_ends_the_wait,
      a_second_outcome_never_changes_the_first_word, a_rejected_order_holds_nothing,
      a_step_is_being_undone_exactly_when_its_undo_is_sent)
