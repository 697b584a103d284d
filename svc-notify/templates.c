/* One row a template. Texts are plain, a paragraph on one line: whoever shows them breaks them. */
#include "svc-notify/templates.h"

#include "mesh/base/arena.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const struct mail_template templates[] = {
    { PAYMENT_ACTION_REQUIRED, "action", "Please confirm the payment of your order {order_id}",
      "your bank asks you to confirm the payment of your order {order_id} over {total}. Please open the order in our "
      "shop and follow the link there. Without the confirmation we cannot accept the order.\n" },
    { ORDER_CONFIRMED, "confirmed", "Your order {order_id} is confirmed",
      "thank you for your order {order_id} over {total}. Everything in it is reserved for you, and we are getting it "
      "ready.\n" },
    { ORDER_REJECTED, "rejected", "Your order {order_id} could not be accepted",
      "we are sorry: we could not accept your order {order_id} over {total}.\n\n{reason}\n\n"
      "You owe us nothing for it.\n" },
    { ORDER_CANCELLED, "cancelled", "Your order {order_id} is cancelled",
      "your order {order_id} over {total} is cancelled, and you owe us nothing for it. What was already paid goes back "
      "the way it came.\n" },
    { CANCEL_TOO_LATE, "too-late", "Your order {order_id} could not be cancelled as a whole",
      "you wanted your order {order_id} to be cancelled. Some of it had left our warehouse already and is on its way "
      "to "
      "you. The rest, if there was any, is cancelled, and you owe us nothing for it.\n",
      .repeats = true },
    { SHORT, "short", "Some of your order {order_id} cannot be sent",
      "we are sorry: some of what you ordered with {order_id} was not on our shelves after all. That part is "
      "cancelled, "
      "and you owe us nothing for it.\n" },
    { SHIPPED, "shipped", "A parcel of your order {order_id} is on its way",
      "a parcel of your order {order_id} has left our warehouse. Its tracking number is {tracking_number}.\n" },
    { DELAYED, "delayed", "A parcel of your order {order_id} is delayed",
      "the parcel {tracking_number} of your order {order_id} will arrive later than planned. We are sorry, and keep an "
      "eye on it; there is nothing that you have to do.\n" },
    { LOST, "lost", "A parcel of your order {order_id} is missing",
      "the carrier cannot find the parcel {tracking_number} of your order {order_id}. We are sorry. One of us looks "
      "into "
      "it and will write to you; there is nothing that you have to do.\n" },
    { RETURNED, "returned", "A parcel of your order {order_id} came back to us",
      "the carrier could not deliver the parcel {tracking_number} of your order {order_id} and brought it back to us. "
      "One of us looks into it and will write to you.\n" },
    { DELIVERED, "delivered", "A parcel of your order {order_id} is delivered",
      "the parcel {tracking_number} of your order {order_id} is delivered. Enjoy it!\n" },
    { ORDER_COMPLETED, "completed", "Your order {order_id} is complete",
      "everything in your order {order_id} is delivered. Thank you for shopping with us.\n" },
    { REFUNDED, "refunded", "{amount} for your order {order_id} are on their way back",
      "we have sent back {amount} for your order {order_id}, the way they came. It can take your bank a few days to "
      "show "
      "them.\n",
      .repeats = true },
};

const struct mail_template *template_find(enum message_template template)
{
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++)
        if (templates[i].template == template)
            return &templates[i];
    return NULL;
}

#define FIELD(name) \
    { \
        "{" #name "}", offsetof(struct mail_fields, name) \
    }

/* Moves *text behind the placeholder that it begins with. */
static const char *field_at(const char **text, const struct mail_fields *fields)
{
    static const struct {
        const char *name;
        size_t offset;
    } names[] = { FIELD(order_id), FIELD(name),   FIELD(total), FIELD(tracking_number),
                  FIELD(reason),   FIELD(amount), FIELD(shop) };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i].name);
        if (strncmp(*text, names[i].name, len) != 0)
            continue;
        *text += len;
        return *(const char *const *)((const char *)fields + names[i].offset);
    }
    assert(!"a placeholder that is no field");
    return *text += strlen(*text);
}

static size_t put_field(char *to, const char *field)
{
    size_t n = 0;
    for (; field[n]; n++)
        if (to)
            to[n] = (unsigned char)field[n] < ' ' || field[n] == 0x7f ? ' ' : field[n];
    return n;
}

/* Into `to`, unless it is NULL; how many bytes that are. */
static size_t fill(char *to, const char *text, const struct mail_fields *fields)
{
    size_t n = 0;
    while (*text) {
        if (*text == '{') {
            n += put_field(to ? to + n : NULL, field_at(&text, fields));
            continue;
        }
        if (to)
            to[n] = *text;
        n++, text++;
    }
    return n;
}

char *template_fill(struct arena *arena, const char *text, const struct mail_fields *fields)
{
    size_t n = fill(NULL, text, fields);
    char *filled = arena_alloc(arena, n + 1);
    if (!filled)
        return NULL;
    fill(filled, text, fields);
    filled[n] = '\0';
    return filled;
}

char *template_body(struct arena *arena, const struct mail_template *template, const struct mail_fields *fields)
{
    char *whole =
        arena_printf(arena, "Hello%s,\n\n%s\n-- \n{shop}\n", fields->name[0] ? " {name}" : "", template->body);
    return whole ? template_fill(arena, whole, fields) : NULL;
}
