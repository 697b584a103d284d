/* Sends spans (mesh/base/span.h) to an OpenTelemetry collector: the peer "traces" of --outside, by OTLP/HTTP with JSON
 * (https://opentelemetry.io/docs/specs/otlp/). At most one request is under way; a batch that the collector does not
 * take is dropped and counted (mesh_spans_unsent_total), for a collector must never hold up an order. Loop lane. */
#pragma once

#include "mesh/port.h"

#define EXPORT_BATCH     256
#define EXPORT_PERIOD_US 1000000 /* between two, as long as fewer than a batch wait */

struct exporter;

/* process: the name of the service that the spans are of; must outlive it. From here on spans are kept. 0 or -ENOMEM.
 */
int exporter_create(struct port *port, const char *process, struct exporter **ret_exporter);
/* What waits is sent at once, before the process hangs up. NULL is harmless. */
void exporter_flush(struct exporter *exporter);
/* When the port will not call back any more. NULL is harmless. */
void exporter_destroy(struct exporter *exporter);
