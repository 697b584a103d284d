/* Says who was turned away. */
#include "gateway/audit.h"

#include "gateway/edge.h"
#include "gateway/network.h"
#include "gateway/rate.h"
#include "mesh/base/say.h"

void audit_refused(struct audit *audit, const struct exchange *x, const struct answer *answer)
{
    static const struct rate lines = { .interval_us = 100 * 1000, .burst_us = 99 * 100 * 1000 };
    if (rate_take(&lines, &audit->full_us, x->begun_us) > 0) {
        audit->left_out++;
        return;
    }
    char from[ADDRESS_TEXT];
    struct address address = address_of(x->edge->link.fd);
    address_format(&address, from);
    say(SAY_WARN, NULL, "a call was refused", SAY_T("reason", answer->reason),
        SAY_T("method", x->route ? x->route->method->full_name : ""),
        SAY_T("subject", x->principal ? x->principal->caller.subject : ""), SAY_T("from", from),
        SAY_N("left_out", audit->left_out));
    audit->left_out = 0;
}
