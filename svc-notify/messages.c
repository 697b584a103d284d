/* Messages: made once, sent when there is an address, read by whoever may. Their names follow from what they tell of,
 * so that the same event never makes a second one. */
#include "svc-notify/notify.h"

#include "svc-notify/templates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 50

/* --- ending --- */

enum { ENDING_COLUMNS = 3 };

static void put_ending(struct txn *txn, const char *message_id, enum message_state state, struct value *ret_row)
{
    ret_row[0] = T(message_id);
    ret_row[1] = I(state);
    ret_row[2] = I(txn->now_us);
}

static int end_messages(struct txn *txn, const struct value *rows, size_t n)
{
    return txn_post_each(txn, "UPDATE message SET state = $2, update_time_us = $3 WHERE message_id = $1 AND state = 1",
                         n, ENDING_COLUMNS, rows);
}

int message_ends(struct txn *txn, const char *message_id, enum message_state state)
{
    struct value row[ENDING_COLUMNS];
    put_ending(txn, message_id, state, row);
    return end_messages(txn, row, 1);
}

int messages_end(struct txn *txn, const char *order_id, enum message_state state)
{
    return txn_post(txn, "UPDATE message SET state = $2, update_time_us = $3 WHERE order_id = $1 AND state = 1",
                    T(order_id), I(state), I(txn->now_us));
}

/* --- making --- */

/* A message that a page of events wants, and whether it is new. */
struct draft {
    const char *message_id;
    const struct news *news;
    bool made;
};

/* Names are paths, too (mail.c): what would not be a file's name is refused, however it came here. */
static bool is_name(const char *text)
{
    return text[0] && text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

static int compare_drafts(const void *a, const void *b)
{
    return strcmp((*(struct draft *const *)a)->message_id, (*(struct draft *const *)b)->message_id);
}

static const char *message_id(struct arena *arena, const struct news *news)
{
    const struct mail_template *template = template_find(news->template);
    if (template->repeats)
        return arena_printf(arena, "%s-%llu-%s", news->about, (unsigned long long)news->version, template->word);
    return arena_printf(arena, "%s-%s", news->about, template->word);
}

static int read_drafts(struct txn *txn, const struct news *news, size_t n, struct draft *ret_drafts, size_t *ret_n)
{
    size_t wanted = 0;
    for (size_t i = 0; i < n; i++) {
        if (news[i].template == NO_MAIL)
            continue;
        const char *id = message_id(txn->arena, &news[i]);
        if (!id)
            return -ENOMEM;
        if (!is_name(id))
            return -EBADMSG;
        ret_drafts[wanted++] = (struct draft){ .message_id = id, .news = &news[i] };
    }
    *ret_n = wanted;
    return 0;
}

static int insert_drafts(struct txn *txn, const struct draft *drafts, size_t n, struct rows *ret_rows)
{
    enum { COLUMNS = 11 };
    struct value *values = arena_alloc(txn->arena, n * COLUMNS * sizeof(*values));
    if (!values)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct news *news = drafts[i].news;
        const struct value row[COLUMNS] = {
            T(drafts[i].message_id),
            T(news->order_id),
            T(news->customer_id),
            I(news->template),
            I(QUEUED),
            T(news->reason),
            T(news->tracking_number),
            T(news->amount),
            I(news->entry->time_us),
            I(txn->now_us),
            T(news->entry->trace),
        };
        memcpy(values + i * COLUMNS, row, sizeof(row));
    }
    return txn_query_many(txn, ret_rows,
                          "INSERT INTO message (message_id, order_id, customer_id, template, state, reason, "
                          "tracking_number, amount, event_time_us, update_time_us, trace) "
                          "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "
                          "ON CONFLICT (message_id) DO NOTHING RETURNING message_id",
                          n, COLUMNS, values);
}

/* What an event wants twice in one page is made once, too: the first draft of the name is the one. */
static int mark_made(struct txn *txn, struct draft *drafts, size_t n, const struct rows *made)
{
    struct draft **sorted = arena_alloc(txn->arena, n * sizeof(struct draft *));
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &drafts[i];
    qsort(sorted, n, sizeof(struct draft *), compare_drafts);
    for (size_t i = 0; i < made->n; i++) {
        struct draft wanted = { .message_id = row_text(made, i, 0) }, *key = &wanted;
        struct draft **found = bsearch(&key, sorted, n, sizeof(struct draft *), compare_drafts);
        if (found)
            (*found)->made = true;
    }
    return 0;
}

static int compare_addressees(const void *a, const void *b)
{
    return strcmp(((const struct addressee *)a)->order_id, ((const struct addressee *)b)->order_id);
}

/* Of each order with a new message one, sorted. */
static int read_addressees(struct txn *txn, const struct draft *drafts, size_t n, struct addressee **ret_addressees,
                           size_t *ret_n)
{
    struct addressee *all = arena_alloc(txn->arena, n * sizeof(*all));
    size_t made = 0, kept = 0;
    if (!all)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (drafts[i].made)
            all[made++] = (struct addressee){ .order_id = drafts[i].news->order_id };
    qsort(all, made, sizeof(*all), compare_addressees);
    for (size_t i = 0; i < made; i++)
        if (kept == 0 || compare_addressees(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    *ret_addressees = all;
    *ret_n = kept;
    return 0;
}

static int send_drafts(struct txn *txn, const struct draft *drafts, size_t n, const struct addressee *addressees,
                       size_t n_addressees)
{
    struct mail_letter *letters = arena_alloc(txn->arena, n * sizeof(*letters));
    struct value *nowhere = arena_alloc(txn->arena, n * ENDING_COLUMNS * sizeof(*nowhere));
    size_t n_letters = 0, n_nowhere = 0;
    if (!letters || !nowhere)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct addressee wanted = { .order_id = drafts[i].news->order_id };
        const struct addressee *to =
            drafts[i].made ? bsearch(&wanted, addressees, n_addressees, sizeof(wanted), compare_addressees) : NULL;
        if (to && to->state == ADDRESS_KNOWN)
            letters[n_letters++] = (struct mail_letter){ drafts[i].message_id, to->order_id, drafts[i].news->trace };
        if (to && to->state == ADDRESS_NONE)
            put_ending(txn, drafts[i].message_id, NO_ADDRESS, nowhere + n_nowhere++ * ENDING_COLUMNS);
    }
    int r = mail_queue(txn, letters, n_letters);
    return r < 0 || n_nowhere == 0 ? r : end_messages(txn, nowhere, n_nowhere);
}

int messages_add(struct txn *txn, const struct news *news, size_t n)
{
    struct draft *drafts = arena_alloc(txn->arena, n * sizeof(*drafts));
    if (!drafts)
        return -ENOMEM;
    int r = read_drafts(txn, news, n, drafts, &n);
    if (r < 0 || n == 0)
        return r;

    struct rows made;
    r = insert_drafts(txn, drafts, n, &made);
    if (r < 0 || made.n == 0)
        return r;
    r = mark_made(txn, drafts, n, &made);
    if (r < 0)
        return r;
    struct addressee *addressees;
    size_t n_addressees;
    r = read_addressees(txn, drafts, n, &addressees, &n_addressees);
    if (r < 0)
        return r;
    r = addressees_find(txn, addressees, n_addressees);
    return r < 0 ? r : send_drafts(txn, drafts, n, addressees, n_addressees);
}

int messages_send(struct txn *txn, const struct value *order_ids, size_t n)
{
    struct rows rows;
    int r = txn_query_many(txn, &rows,
                           "WITH wanted (order_id) AS (VALUES (CAST($1 AS TEXT))) "
                           "SELECT m.message_id, m.order_id, m.trace FROM wanted "
                           "CROSS JOIN message m WHERE m.order_id = wanted.order_id AND m.state = 1 "
                           "ORDER BY m.order_id, m.event_time_us, m.template, m.message_id",
                           n, 1, order_ids);
    if (r < 0 || n == 0)
        return r;
    struct mail_letter *letters = arena_alloc(txn->arena, rows.n * sizeof(*letters));
    if (!letters)
        return -ENOMEM;
    for (size_t i = 0; i < rows.n; i++) {
        letters[i] = (struct mail_letter){ .message_id = row_text(&rows, i, 0), .order_id = row_text(&rows, i, 1) };
        trace_parse(row_text(&rows, i, 2), &letters[i].trace);
    }
    return mail_queue(txn, letters, rows.n);
}

/* --- reading --- */

#define MESSAGE_COLUMNS \
    "message_id, order_id, customer_id, template, state, tracking_number, amount, event_time_us, update_time_us " \
    "FROM message "

static int read_message(struct txn *txn, const struct rows *rows, size_t row, Message *ret_message)
{
    const struct mail_template *template = template_find(row_int(rows, row, 3));
    const struct mail_fields fields = {
        .order_id = row_text(rows, row, 1),
        .tracking_number = row_text(rows, row, 5),
        .amount = row_text(rows, row, 6),
    };
    *ret_message = (Message){
        .base = ret_message->base,
        .message_id = (char *)row_text(rows, row, 0),
        .order_id = (char *)row_text(rows, row, 1),
        .customer_id = (char *)row_text(rows, row, 2),
        .template_ = (Oms__Notify__V1__Message__Template)row_int(rows, row, 3),
        .state = (Oms__Notify__V1__Message__State)row_int(rows, row, 4),
        .subject = template ? template_fill(txn->arena, template->subject, &fields) : (char *)"",
        .event_time_us = row_int(rows, row, 7),
        .update_time_us = row_int(rows, row, 8),
    };
    return ret_message->subject ? 0 : -ENOMEM;
}

int get_message(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    const GetMessageRequest *req = in;
    struct rows rows;
    int r = txn_query(txn, &rows, "SELECT " MESSAGE_COLUMNS "WHERE message_id = $1 AND ($2 = '' OR customer_id = $2)",
                      T(req->message_id), T(rpc_owner(call)));
    if (r < 0)
        return r;
    return rows.n ? read_message(txn, &rows, 0, out) : rpc_fail_missing(call, "message", req->message_id);
}

struct list {
    const char *order_id, *customer_id; /* "": any */
    int64_t before_us;
    const char *before_id;
    size_t max;
};

/* Three statements, as each has an index of its own to walk. */
static int query_list(struct txn *txn, const struct list *list, struct rows *ret_rows)
{
    if (list->order_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " MESSAGE_COLUMNS "WHERE order_id = $4 AND (event_time_us, message_id) < ($1, $2) "
                         "AND ($5 = '' OR customer_id = $5) ORDER BY event_time_us DESC, message_id DESC LIMIT $3",
                         I(list->before_us), T(list->before_id), I(list->max), T(list->order_id), T(list->customer_id));
    if (list->customer_id[0])
        return txn_query(txn, ret_rows,
                         "SELECT " MESSAGE_COLUMNS "WHERE customer_id = $4 AND (event_time_us, message_id) < ($1, $2) "
                         "ORDER BY event_time_us DESC, message_id DESC LIMIT $3",
                         I(list->before_us), T(list->before_id), I(list->max), T(list->customer_id));
    return txn_query(txn, ret_rows,
                     "SELECT " MESSAGE_COLUMNS "WHERE (event_time_us, message_id) < ($1, $2) "
                     "ORDER BY event_time_us DESC, message_id DESC LIMIT $3",
                     I(list->before_us), T(list->before_id), I(list->max));
}

/* The query is what the page token holds for: a customer's own list is another one than staff's of all. */
static int open_list(struct rpc_call *call, const ListMessagesRequest *req, struct list *list, const char **ret_query)
{
    list->order_id = req->order_id;
    list->customer_id = req->customer_id[0] ? req->customer_id : rpc_owner(call);
    list->before_us = INT64_MAX;
    list->before_id = "";
    list->max = req->page_size ? req->page_size : PAGE_DEFAULT;

    const char *query = arena_printf(rpc_arena(call), "messages %s\n%s", list->order_id, list->customer_id), *after[2];
    if (!query)
        return -ENOMEM;
    int r = rpc_page_open(call, req->page_token, query, after, 2);
    if (r < 0)
        return r;
    if (after[0] && after[1]) {
        list->before_us = strtoll(after[0], NULL, 10);
        list->before_id = after[1];
    }
    *ret_query = query;
    return 0;
}

static int fill_list(struct txn *txn, const struct rows *rows, size_t n, ListMessagesResponse *ret)
{
    ret->messages = arena_alloc(txn->arena, n * sizeof(Message *));
    if (!ret->messages)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        Message *message = arena_message(txn->arena, &oms__notify__v1__message__descriptor);
        int r = message ? read_message(txn, rows, i, message) : -ENOMEM;
        if (r < 0)
            return r;
        ret->messages[ret->n_messages++] = message;
    }
    return 0;
}

int list_messages(struct rpc_call *call, struct txn *txn, const void *in, void *out)
{
    ListMessagesResponse *ret = out;
    struct list list;
    const char *query = NULL;
    int r = open_list(call, in, &list, &query);
    if (r < 0)
        return r;

    struct rows rows;
    size_t max = list.max++;
    r = query_list(txn, &list, &rows);
    if (r < 0)
        return r;
    size_t n = rows.n < max ? rows.n : max;
    r = fill_list(txn, &rows, n, ret);
    if (r < 0 || n == rows.n)
        return r;
    const Message *last = ret->messages[n - 1];
    const char *after[] = { arena_printf(txn->arena, "%lld", (long long)last->event_time_us), last->message_id };
    ret->next_page_token = after[0] ? (char *)rpc_page_token(call, query, after, 2) : NULL;
    return ret->next_page_token ? 0 : -ENOMEM;
}
