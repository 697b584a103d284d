/* A gateway with backends and clients around it, all on one loop in the test's own process.
 *
 * Its clock goes on only with the turns of the loop, 5 ms a turn at most: whoever is answered within some turns is
 * answered in time, however long the machine leaves the test standing. */
#pragma once

#include "gateway/gateway.h"
#include "mesh/port.h"
#include "tests/gateway/keys.h"
#include "tests/gateway/peer.h"

#include <check.h>

#define STAGE_BACKENDS 2 /* of svc-order; one more serves svc-inventory */

struct stage {
    uv_loop_t loop;
    struct reactor reactor; /* of clients and backends */
    struct port port;
    int64_t epoch_us; /* the wall clock when the monotonic one was 0 */
    int64_t skew_us;  /* of the wall clock */
    struct keys keys;
    struct backend order[STAGE_BACKENDS], inventory;
    struct gateway *gateway;
    SSL_CTX *client_context; /* what clients trust */
    char accounts[128];      /* the file of them, which begins empty */
    char mesh_cert[128], mesh_key[128], cert[128], key[128];
    char bearer[1024]; /* "authorization: Bearer …\n" of customer ann */
    bool destroyed, drained;
};

enum { STAGE_TLS = 1, STAGE_TWO = 2, STAGE_FEW = 4, STAGE_SOON = 8, STAGE_NAMED = 16 };

/* Everything up, backends well. STAGE_TLS: mTLS behind and TLS in front; STAGE_TWO: both backends of svc-order;
 * limits that tests reach: STAGE_FEW of what there is at once, STAGE_SOON of times. STAGE_NAMED: svc-order is known by
 * the name orders.test, which the test looks up itself; with STAGE_TWO its first backend by its address, too. */
void stage_open(struct stage *stage, int how);
/* The same with a port whose calls the test answers itself; its clocks are set. */
void stage_open_on(struct stage *stage, int how, const struct port *port);
/* gateway NULL: the test has destroyed it itself. */
void stage_close(struct stage *stage);
struct peer *stage_client(struct stage *stage);
/* authorization line of a caller with these roles; static buffer. */
const char *stage_bearer(struct stage *stage, const char *subject, const char *roles);
/* The accounts of machines are these from now on. */
void stage_accounts(struct stage *stage, const char *text);
/* Runs the loop once; fails the test when its clock is past until_us. */
void stage_turn(struct stage *stage, int64_t until_us);

#define stage_until(stage, condition) \
    do { \
        int64_t until_us_ = wheel_now_us() + 10000000; /* of the stage's clock */ \
        while (!(condition)) \
            stage_turn(stage, until_us_); \
    } while (0)
/* Turns of the loop for so long: for what must not happen. */
void stage_for(struct stage *stage, int64_t us);
