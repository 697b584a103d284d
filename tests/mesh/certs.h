/* Certificates for tests: a CA and processes of the mesh, made on the spot in a directory. */
#pragma once

/* DIR/NAME.pem and DIR/NAME.key of a new CA, its own issuer. Aborts on failure. */
void certs_authority(const char *dir, const char *name);
/* DIR/PROCESS.pem and .key with DNS:PROCESS and URI:spiffe://ordermesh/PROCESS, issued by that CA; replaces older ones
 * by rename, the key first. */
void certs_issue(const char *dir, const char *authority, const char *process);
/* The same with other names: "DNS:a,URI:b". */
void certs_issue_for(const char *dir, const char *authority, const char *process, const char *names);
