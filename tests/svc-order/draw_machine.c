/* The life of an order, drawn from the tables that it follows: `draw_machine diagram` is README.md's picture (Mermaid),
 * `draw_machine table` the table of docs/order.md. tests/check_docs compares both with what is written there. */
#include "svc-order/machine.h"
#include "svc-order/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_MAX 4 /* outcomes named at a state's own loop; of more only how many they are is told */

static const char *name_of(const ProtobufCEnumDescriptor *type, int value)
{
    return protobuf_c_enum_descriptor_get_value(type, value)->name;
}

/* --- the diagram --- */

static bool leads(enum order_state from, enum order_outcome outcome, enum order_state to, enum order_action action)
{
    const struct transition *t = machine_transition(from, outcome);
    return t->becomes == to && t->action == action;
}

static void draw_arrow(enum order_state from, enum order_state to, enum order_action action)
{
    int n = 0, told = 0;
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++)
        n += leads(from, o, to, action);
    if (n == 0 || (from == to && action == NOTHING))
        return;
    printf("    %s --> %s : ", machine_state_name(from), machine_state_name(to));
    if (from == to && n > LABEL_MAX)
        printf("%d outcomes", n);
    else
        for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++)
            if (leads(from, o, to, action))
                printf("%s%s", told++ ? "<br/>" : "", machine_outcome_name(o));
    printf("%s%s\n", action == NOTHING ? "" : " / ", machine_action_name(action));
}

static void draw_verbs(enum order_state from)
{
    if (verb_legal(VERB_CANCEL, from))
        printf("    %s --> %s : %s / %s\n", machine_state_name(from), machine_state_name(CANCELLING),
               verb_name(VERB_CANCEL), machine_action_name(STOP_PARCELS));
}

static void draw_diagram(void)
{
    printf("stateDiagram-v2\n    [*] --> %s : PlaceOrder / reserve\n", machine_state_name(PENDING));
    printf("    [*] --> %s : ImportOrders, carried out elsewhere\n", machine_state_name(COMPLETED));
    printf("    [*] --> %s : ImportOrders, staged\n", machine_state_name(DRAFT));
    printf("    %s --> %s : ActivateImport / reserve\n", machine_state_name(DRAFT), machine_state_name(PENDING));
    printf("    %s --> %s : ActivateImport\n", machine_state_name(DRAFT), machine_state_name(COMPLETED));
    printf("    %s --> [*] : DiscardImport\n", machine_state_name(DRAFT));
    for (enum order_state from = PENDING; from < PENDING + ORDER_STATES; from++) {
        for (enum order_state to = PENDING; to < PENDING + ORDER_STATES; to++)
            for (enum order_action action = NOTHING; action <= FREE_REST; action++)
                draw_arrow(from, to, action);
        draw_verbs(from);
        if (machine_final(from))
            printf("    %s --> [*]\n", machine_state_name(from));
    }
}

/* --- the table --- */

static void write_step(enum order_outcome outcome)
{
    const struct step_change *change = machine_step(outcome);
    if (change->step == NO_STEP)
        printf(" |");
    else
        printf(" %s %s |", name_of(&oms__order__v1__order_step__step__descriptor, change->step),
               name_of(&oms__order__v1__order_step__state__descriptor, (int)change->state));
}

/* "→ CONFIRMED, fulfil"; nothing where nothing changes. */
static void write_cell(enum order_state state, enum order_outcome outcome)
{
    const struct transition *t = machine_transition(state, outcome);
    bool moves = t->becomes != state, acts = t->action != NOTHING;
    printf("%s%s%s%s%s |", moves ? " → " : "", moves ? machine_state_name(t->becomes) : "", moves && acts ? "," : "",
           acts ? " " : "", machine_action_name(t->action));
}

static void write_table(void)
{
    printf("| outcome | its step |");
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++)
        printf(" %s |", machine_state_name(s));
    printf("\n|---|---|");
    for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++)
        printf("---|");
    for (enum order_outcome o = 0; o < ORDER_OUTCOMES; o++) {
        printf("\n| %s |", machine_outcome_name(o));
        write_step(o);
        for (enum order_state s = PENDING; s < PENDING + ORDER_STATES; s++)
            write_cell(s, o);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "diagram") == 0) {
        draw_diagram();
        return EXIT_SUCCESS;
    }
    if (argc == 2 && strcmp(argv[1], "table") == 0) {
        write_table();
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "it is: draw_machine diagram | table\n");
    return EXIT_FAILURE;
}
