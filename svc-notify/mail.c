/* The mail itself: rendered from message and contact when it is sent, the same bytes at every attempt.
 *
 * As a file it is written over by a repeat; a mail server may see it twice, and knows it by its Message-ID. */
#include "svc-notify/notify.h"

#include "svc-notify/mime.h"
#include "svc-notify/templates.h"

#include <errno.h>
#include <string.h>

#define ANSWER_US 30000000

int mail_queue(struct txn *txn, const struct mail_letter *letters, size_t n)
{
    struct command *commands = arena_alloc(txn->arena, n * sizeof(*commands));
    SendMailRequest *requests = arena_alloc(txn->arena, n * sizeof(*requests));
    if (!commands || !requests)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        oms__notify__v1__send_mail_request__init(&requests[i]);
        requests[i].message_id = (char *)letters[i].message_id;
        commands[i] =
            (struct command){ MAIL_PEER, MAIL_SEND, letters[i].order_id, &requests[i].base, 0, &letters[i].trace };
    }
    return outbox_add_many(txn, commands, n);
}

/* --- as it is sent --- */

struct mail {
    const struct mail_template *template;
    struct mail_fields fields;
    const char *message_id, *email;
    int64_t time_us;
};

/* Nothing is to be said when the message has ended or the address was erased meanwhile. */
static int read_mail(struct txn *txn, const char *message_id, struct mail *ret_mail)
{
    struct rows rows;
    int r = txn_query(txn, &rows,
                      "SELECT m.template, m.order_id, m.reason, m.tracking_number, m.amount, m.event_time_us, c.name, "
                      "c.email, c.total FROM message m JOIN contact c ON c.order_id = m.order_id "
                      "WHERE m.message_id = $1 AND m.state = 1 AND c.email <> ''",
                      T(message_id));
    if (r < 0)
        return r;
    const struct mail_template *template = rows.n ? template_find(row_int(&rows, 0, 0)) : NULL;
    if (!template)
        return -ECANCELED;
    *ret_mail = (struct mail){
        .template = template,
        .fields = {
            .order_id = row_text(&rows, 0, 1),
            .reason = row_text(&rows, 0, 2),
            .tracking_number = row_text(&rows, 0, 3),
            .amount = row_text(&rows, 0, 4),
            .name = row_text(&rows, 0, 6),
            .total = row_text(&rows, 0, 8),
            .shop = notify_shop_name(),
        },
        .message_id = message_id,
        .email = row_text(&rows, 0, 7),
        .time_us = row_int(&rows, 0, 5),
    };
    return 0;
}

static char *write_mail(struct arena *arena, const struct mail *mail)
{
    const char *subject = template_fill(arena, mail->template->subject, &mail->fields);
    const char *body = template_body(arena, mail->template, &mail->fields);
    if (!subject || !body)
        return NULL;
    const char *date = mime_date(arena, mail->time_us), *words = mime_words(arena, subject);
    const char *from = mime_mailbox(arena, mail->fields.shop, notify_mail_from());
    const char *to = mime_mailbox(arena, mail->fields.name, mail->email);
    const char *text = mime_quoted_printable(arena, body);
    if (!date || !words || !from || !to || !text)
        return NULL;
    return arena_printf(arena,
                        "Date: %s\r\n"
                        "From: %s\r\n"
                        "To: %s\r\n"
                        "Subject: %s\r\n"
                        "Message-ID: <%s@ordermesh>\r\n"
                        "Auto-Submitted: auto-generated\r\n"
                        "MIME-Version: 1.0\r\n"
                        "Content-Type: text/plain; charset=UTF-8\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\n"
                        "\r\n"
                        "%s",
                        date, from, to, words, mail->message_id, text);
}

static int ask(struct txn *txn, const void *request, struct fetch *ret_fetch)
{
    const SendMailRequest *req = request;
    struct mail mail;
    int r = read_mail(txn, req->message_id, &mail);
    if (r < 0)
        return r;
    const char *text = write_mail(txn->arena, &mail);
    ret_fetch->verb = "PUT";
    ret_fetch->path = arena_printf(txn->arena, "/%s.eml", mail.message_id);
    ret_fetch->idempotency_key = mail.message_id;
    ret_fetch->mail_from = notify_mail_from();
    ret_fetch->mail_to = mail.email;
    ret_fetch->body = (struct bytes){ (const uint8_t *)text, text ? strlen(text) : 0 };
    return text && ret_fetch->path ? 0 : -ENOMEM;
}

static enum rpc_code understand(struct arena *arena, int status, struct bytes body, const void *request, void *reply)
{
    ((SendMailResponse *)reply)->sent = true;
    return status < 300 ? RPC_OK : RPC_FAILED_PRECONDITION;
}

const struct outside mail_outside = { ask, understand, ANSWER_US };

int mail_ended(struct txn *txn, const struct outcome *outcome)
{
    const SendMailRequest *req = outcome->request;
    const SendMailResponse *reply = outcome->reply;
    if (outcome->code != RPC_OK)
        return message_ends(txn, req->message_id, FAILED);
    return message_ends(txn, req->message_id, reply->sent ? SENT : NO_ADDRESS);
}
