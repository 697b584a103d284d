/* What stays of a call: its trace, and when it has ended its count, its line in the access log and its span. */
#pragma once

#include "gateway/exchange.h"

/* The trace that the client said, or a new one, with a span of the gateway's own: x->trace_text. Whether it is sampled
 * (mesh/base/span.h) is chance, one in --trace-every, whatever the client says of it: it is not the client who pays. */
void record_trace(struct exchange *x);
/* x has ended with x->code. */
void record_end(struct exchange *x);
