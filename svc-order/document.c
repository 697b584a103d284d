/* What was done elsewhere, for those whom it concerns: the stock that has left or come back, and the books. Two
 * commands in the transaction of the document, each in a queue of its own, so that one that is refused holds up no
 * other. */
#include "svc-order/commands.h"

#include "mesh/base/money.h"

#include <errno.h>

static int movements(struct txn *txn, const struct document *d, RecordMovementsRequest *ret_request)
{
    MovementLine *lines = arena_alloc(txn->arena, d->n * sizeof(*lines));
    RecordMovementsRequest request = OMS__INVENTORY__V1__RECORD_MOVEMENTS_REQUEST__INIT;
    request.lines = arena_alloc(txn->arena, d->n * sizeof(*request.lines));
    request.request_id = arena_printf(txn->arena, "%s-%s", d->id, d->credit ? "returned" : "sold");
    if (!lines || !request.lines || !request.request_id)
        return -ENOMEM;
    request.document_id = (char *)d->id;
    request.order_id = (char *)d->order_id;
    request.time_us = d->time_us;
    request.reason = d->credit ? "RETURNED" : "SOLD";
    for (size_t i = 0; i < d->n; i++) {
        const struct item *item = &d->items[i];
        MovementLine *line = &lines[request.n_lines];
        if (!item->stocked)
            continue;
        *line = (MovementLine)OMS__INVENTORY__V1__RECORD_MOVEMENTS_REQUEST__LINE__INIT;
        line->sku = (char *)item->sku;
        line->delta = d->credit ? item->quantity : -item->quantity;
        request.lines[request.n_lines++] = line;
    }
    *ret_request = request;
    return 0;
}

static int invoice(struct txn *txn, const struct document *d, BookInvoiceRequest *ret_request)
{
    InvoiceLine *lines = arena_alloc(txn->arena, d->n * sizeof(*lines));
    BookInvoiceRequest request = OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__INIT;
    request.lines = arena_alloc(txn->arena, d->n * sizeof(*request.lines));
    request.request_id = arena_printf(txn->arena, "%s-book", d->id);
    if (!lines || !request.lines || !request.request_id)
        return -ENOMEM;
    request.document_id = (char *)d->id;
    request.order_id = (char *)d->order_id;
    request.kind = d->credit ? OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__KIND__CREDIT
                             : OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__KIND__SALE;
    request.time_us = d->time_us;
    request.customer_id = (char *)d->customer_id;
    request.country = (char *)d->country;
    request.channel = (char *)d->channel;
    request.currency_code = (char *)d->currency;
    for (size_t i = 0; i < d->n; i++) {
        const struct item *item = &d->items[i];
        InvoiceLine *line = &lines[i];
        *line = (InvoiceLine)OMS__PAYMENT__V1__BOOK_INVOICE_REQUEST__LINE__INIT;
        line->sku = (char *)item->sku;
        line->quantity = item->quantity;
        line->amount = money_to_wire(txn->arena, item->unit_minor * item->quantity, d->currency);
        if (!line->amount)
            return -ENOMEM;
        request.lines[request.n_lines++] = line;
    }
    *ret_request = request;
    return 0;
}

int document_send(struct txn *txn, const struct document *document)
{
    RecordMovementsRequest moved;
    BookInvoiceRequest booked;
    int r = movements(txn, document, &moved);
    if (r == 0)
        r = invoice(txn, document, &booked);
    if (r < 0)
        return r;
    const struct command commands[] = {
        { PAYMENTS, BOOK_INVOICE, document->id, &booked.base, 0 },
        { INVENTORY, RECORD_MOVEMENTS, document->id, &moved.base, 0 },
    };
    return outbox_add_many(txn, commands, moved.n_lines ? 2 : 1);
}
