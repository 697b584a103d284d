/* Looks at the URIs of a certificate. */
#include "mesh/rpc/spiffe.h"

#include <openssl/x509v3.h>
#include <string.h>

static bool names(const ASN1_IA5STRING *uri, const char *process)
{
    const size_t prefix = sizeof(SPIFFE_PREFIX) - 1, len = (size_t)ASN1_STRING_length(uri), own = strlen(process);
    const unsigned char *text = ASN1_STRING_get0_data(uri);
    return len == prefix + own && memcmp(text, SPIFFE_PREFIX, prefix) == 0 && memcmp(text + prefix, process, own) == 0;
}

bool spiffe_is(X509 *certificate, const char *process)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int uris = 0, ours = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type != GEN_URI)
            continue;
        uris++;
        ours += names(name->d.uniformResourceIdentifier, process);
    }
    GENERAL_NAMES_free(list);
    return uris == 1 && ours == 1;
}
