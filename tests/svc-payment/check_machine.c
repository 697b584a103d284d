/* The table of an operation's life against one written independently, machine.csv. */
#include "svc-payment/machine.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

static const char *const states[] = {
    [INIT] = "INIT",       [SUCCEEDED] = "SUCCEEDED", [DECLINED] = "DECLINED", [ACTION_REQUIRED] = "ACTION_REQUIRED",
    [UNKNOWN] = "UNKNOWN", [EXPIRED] = "EXPIRED",
};
static const char *const outcomes[] = {
    [ANSWERED_SUCCEEDED] = "succeeded",        [ANSWERED_DECLINED] = "declined",
    [ANSWERED_ACTION] = "customer has to act", [OVERDUE] = "no answer in time",
    [ACTION_EXPIRED] = "customer did not act", [DECIDED_SUCCEEDED] = "decided: succeeded",
    [DECIDED_DECLINED] = "decided: declined",
};
static const struct {
    unsigned bit;
    const char *word;
} words[] = {
    { THEN_TELL, "tell" }, { THEN_CONTRADICT, "contradict" }, { THEN_AWAIT, "await" }, { THEN_LOOK, "look" },
    { THEN_VOID, "void" },
};
#define N(list) (sizeof(list) / sizeof((list)[0]))

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], name) == 0)
            return (int)i;
    }
    ck_abort_msg("machine.csv: \"%s\"?", name);
}

static unsigned bits_of(char *text)
{
    unsigned bits = 0;
    for (char *word; (word = strsep(&text, " "));) {
        size_t i = 0;
        if (word[0] == '\0')
            continue;
        while (i < N(words) && strcmp(words[i].word, word) != 0)
            i++;
        ck_assert_msg(i < N(words), "machine.csv: \"%s\"?", word);
        bits |= words[i].bit;
    }
    return bits;
}

START_TEST(every_pair_is_as_it_was_written_independently)
{
    FILE *file = fopen(MACHINE_CSV, "r");
    ck_assert_ptr_nonnull(file);
    char line[256];
    bool seen[OPERATION_STATES + 1][OPERATION_OUTCOMES] = { 0 };
    int rows = 0;
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        char *at = line, *cells[4];
        for (int i = 0; i < 4; i++)
            ck_assert_ptr_nonnull(cells[i] = strsep(&at, ","));
        int state = index_of(states, N(states), cells[0]), outcome = index_of(outcomes, N(outcomes), cells[1]);
        const struct transition *t = operation_transition(state, outcome);
        ck_assert_str_eq(states[t->becomes], cells[2]);
        ck_assert_uint_eq(t->then, bits_of(cells[3]));
        ck_assert(!seen[state][outcome]);
        seen[state][outcome] = true;
        rows++;
    }
    fclose(file);
    ck_assert_int_eq(rows, OPERATION_STATES * OPERATION_OUTCOMES);
}
END_TEST

#define EACH_PAIR(s, o) \
    for (enum operation_state s = INIT; s <= OPERATION_STATES; s++) \
        for (enum operation_outcome o = 0; o < OPERATION_OUTCOMES; o++)

START_TEST(unknown_is_left_by_an_answer_or_a_person_and_by_no_timer)
{
    ck_assert_int_eq(operation_transition(UNKNOWN, OVERDUE)->becomes, UNKNOWN);
    ck_assert_int_eq(operation_transition(UNKNOWN, ACTION_EXPIRED)->becomes, UNKNOWN);
    for (enum operation_outcome o = 0; o < OPERATION_OUTCOMES; o++)
        if (o != OVERDUE && o != ACTION_EXPIRED)
            ck_assert_int_ne(operation_transition(UNKNOWN, o)->becomes, UNKNOWN);
}
END_TEST

static bool made_another_way(enum operation_state s, enum operation_outcome o)
{
    return s == DECLINED && o == DECIDED_SUCCEEDED;
}

START_TEST(a_person_decides_nothing_but_what_is_unknown_or_was_made_another_way)
{
    EACH_PAIR(s, o)
    {
        if (o >= DECIDED_SUCCEEDED && s != UNKNOWN && !made_another_way(s, o)) {
            ck_assert_int_eq(operation_transition(s, o)->becomes, s);
            ck_assert_uint_eq(operation_transition(s, o)->then, THEN_NOTHING);
        }
    }
}
END_TEST

START_TEST(an_answer_is_always_what_counts_in_the_end)
{
    for (enum operation_state s = INIT; s <= OPERATION_STATES; s++) {
        ck_assert_int_eq(operation_transition(s, ANSWERED_SUCCEEDED)->becomes, SUCCEEDED);
        enum operation_state refused = operation_transition(s, ANSWERED_DECLINED)->becomes;
        ck_assert(refused == DECLINED || (s == EXPIRED && refused == EXPIRED));
    }
}
END_TEST

/* What is final changes only with a contradiction, and every change is told in one way or the other. */
START_TEST(every_change_is_told_once)
{
    EACH_PAIR(s, o)
    {
        const struct transition *t = operation_transition(s, o);
        bool final = (s == SUCCEEDED || s == DECLINED || s == EXPIRED) && !made_another_way(s, o);
        bool changes = t->becomes != s;
        ck_assert_int_eq((t->then & THEN_CONTRADICT) != 0, changes && final);
        ck_assert_int_eq((t->then & THEN_TELL) != 0, changes && !final);
    }
}
END_TEST

START_TEST(whatever_is_told_of_an_authorize_has_an_event)
{
    EACH_PAIR(s, o)
    {
        if (operation_transition(s, o)->then & THEN_TELL)
            ck_assert_int_ne(operation_event(AUTHORIZE, operation_transition(s, o)->becomes), 0);
    }
    for (enum operation_kind kind = CAPTURE; kind <= OPERATION_KINDS; kind++) {
        ck_assert_int_ne(operation_event(kind, SUCCEEDED), 0);
        ck_assert_int_ne(operation_event(kind, UNKNOWN), 0);
    }
}
END_TEST

/* A customer who need not act any more, or has been given up, leaves no money held. */
START_TEST(what_may_be_held_after_it_was_given_up_is_voided)
{
    for (enum operation_state s = INIT; s <= OPERATION_STATES; s++) {
        if (s != DECLINED && s != EXPIRED)
            continue;
        ck_assert(operation_transition(s, ANSWERED_SUCCEEDED)->then & THEN_VOID);
    }
    ck_assert(operation_transition(ACTION_REQUIRED, ACTION_EXPIRED)->then & THEN_VOID);
    ck_assert(operation_transition(DECLINED, ANSWERED_ACTION)->then & THEN_VOID);
}
END_TEST

/* A final state, or one that a person is asked to decide, within two steps from wherever. */
START_TEST(from_each_state_an_end_is_reached)
{
    bool reached[OPERATION_STATES + 1] = { [SUCCEEDED] = true, [DECLINED] = true, [EXPIRED] = true };
    for (int round = 0; round < OPERATION_STATES; round++)
        EACH_PAIR(s, o)
    reached[s] |= reached[operation_transition(s, o)->becomes];
    for (enum operation_state s = INIT; s <= OPERATION_STATES; s++)
        ck_assert(reached[s]);
}
END_TEST

SUITE("operations", 10, every_pair_is_as_it_was_written_independently,
      unknown_is_left_by_an_answer_or_a_person_and_by_no_timer,
      a_person_decides_nothing_but_what_is_unknown_or_was_made_another_way, an_answer_is_always_what_counts_in_the_end,
      every_change_is_told_once, whatever_is_told_of_an_authorize_has_an_event,
      what_may_be_held_after_it_was_given_up_is_voided, from_each_state_an_end_is_reached)
