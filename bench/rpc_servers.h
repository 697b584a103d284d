/* The two servers that bench/rpc compares, each a process of its own: same method, same bytes, same certificates. */
#pragma once

#include "oms/catalog/v1/catalog.pb-c.h"

#define GET    "/oms.catalog.v1.CatalogService/GetProduct"     /* decode, check, encode */
#define SEARCH "/oms.catalog.v1.CatalogService/SearchProducts" /* the same through a read unit that reads nothing */

/* A product of some 200 bytes, static. */
const Oms__Catalog__V1__Product *bench_product(void);

int service_process(int argc, char **argv); /* the runtime as it is in production */
/* C core's completion queue, one thread, posted calls, protobuf-c, and nothing else. argv: ca, cert, key; says its port
 * on stderr as a service does. Ends with SIGTERM. */
int bare_process(int argc, char **argv);

/* rpc_idle.c: svc-inventory as dev/up starts it, with store, Redis, its peer and mutual TLS. */
struct idle_cost {
    double rss_kb;   /* once it has nothing to do */
    double start_ms; /* from exec to SERVING on a store that is there: the median of five */
};
/* dir has the CA. Before C core is begun with. */
void idle_measure(const char *dir, struct idle_cost *ret_cost);
