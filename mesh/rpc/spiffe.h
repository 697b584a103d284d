/* Who a process is by its certificate: spiffe://ordermesh/PROCESS, as its only URI (the SPIFFE standard's X.509-SVID,
 * section 2). A name in DNS is not enough: whoever may have a certificate for a host is not yet the process. Any lane.
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>

#define SPIFFE_PREFIX "spiffe://ordermesh/"

bool spiffe_is(X509 *certificate, const char *process);
