/* Machines: what may stand in the file of their accounts, and how they prove that they are who they say. */
#include "gateway/accounts.h"
#include "gateway/tls.h"
#include "tests/gateway/stage.h"
#include "tests/suite.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#define GET  "/oms.order.v1.OrderService/GetOrder"
#define TAIL "/mesh.v1.LogService/Tail"

/* printf %s KEY | sha256sum */
#define KEY       "omk_sap.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define OTHER_KEY "omk_sap.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHhA"

static struct stage stage;

static const char *digest_of(const char *key)
{
    static char hex[65];
    uint8_t digest[32];
    EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL);
    for (size_t i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", digest[i]);
    return hex;
}

/* --- the file --- */

static struct accounts *read_text(const char *text, char ret_why[128])
{
    return accounts_read((struct bytes){ (const uint8_t *)text, strlen(text) }, ret_why);
}

#define HEX  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX2 "ff23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define WHO  " subject=sap roles=erp,csr"

START_TEST(a_line_that_is_not_understood_refuses_the_file)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "key sap " HEX, "subject= and roles= are needed" },
        { "key sap " HEX " subject=sap", "subject= and roles= are needed" },
        { "key sap " HEX " roles=erp", "subject= and roles= are needed" },
        { "\n# all well\nkey sap", "line 3: a line begins with" },
        { "user sap " HEX WHO, "a line begins with" },
        { "key s.p " HEX WHO, "a key's ID" },
        { "key \"\" " HEX WHO, "a key's ID" },
        { "key sap 0123" WHO, "a key's SHA256" },
        { "key sap 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef" WHO, "a key's SHA256" },
        { "key sap " HEX "00" WHO, "a key's SHA256" },
        { "key sap " HEX " subject=sap roles=", "roles are of" },
        { "key sap " HEX " subject=sap roles=erp,", "roles are of" },
        { "key sap " HEX " subject=sap roles=service", "roles are of" },
        { "key sap " HEX " subject=sap roles=guest", "roles are of" },
        { "key sap " HEX " \"subject=s p\" roles=erp", "subject is" },
        { "key sap " HEX " subject= roles=erp", "subject is" },
        { "key sap " HEX WHO " expires=tomorrow", "expires is" },
        { "key sap " HEX WHO " expires=2027-13-01", "expires is" },
        { "key sap " HEX WHO " expires=2027-01-31T12:00:00", "expires is" },
        { "key sap " HEX WHO " expires=2027-01-31 expires=2028-01-31", "a word stands twice" },
        { "key sap " HEX WHO " from=", "from is" },
        { "key sap " HEX WHO " from=10.0.0.1/8", "from is" },
        { "key sap " HEX WHO " from=10.0.0.0/33", "from is" },
        { "key sap " HEX WHO " from=example.org", "from is" },
        { "key sap " HEX WHO " form=10.0.0.0/8", "a word that is unknown" },
        { "key sap " HEX WHO " a b c d e f", "too many words" },
        { "key sap " HEX WHO "\nkey sap " HEX2 WHO, "line 2: it stands twice" },
        { "key sap " HEX WHO "\nkey crm " HEX WHO, "line 2: it stands twice" },
        { "certificate \"\"" WHO, "a certificate's NAME" },
        { "certificate spiffe://a/b" WHO "\ncertificate spiffe://a/b" WHO, "line 2: it stands twice" },
    };
    char why[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_msg(read_text(rows[i].text, why) == NULL, "%s", rows[i].text);
        ck_assert_msg(strstr(why, rows[i].why) != NULL, "%s: %s", rows[i].text, why);
    }
    ck_assert_ptr_null(accounts_read((struct bytes){ (const uint8_t *)"#\0#", 3 }, why));
}
END_TEST

START_TEST(what_stands_in_the_file_is_what_counts)
{
    char text[512], why[128];
    snprintf(text, sizeof(text),
             "# machines\n\n  key sap %s subject=erp-1 roles=erp,csr expires=2027-01-31T12:00:00Z "
             "from=10.0.0.0/8,2001:db8::/32 # ours\r\ncertificate \"CN=crm,O=A B\" roles=csr subject=crm",
             digest_of(KEY));
    struct accounts *accounts = read_text(text, why);
    ck_assert_msg(accounts != NULL, "%s", why);
    ck_assert_uint_eq(accounts_count(accounts), 2);
    const struct account *account = accounts_of_key(accounts, KEY, strlen(KEY));
    ck_assert_ptr_nonnull(account);
    ck_assert_str_eq(account->caller.subject, "erp-1");
    ck_assert_uint_eq(account->caller.roles, ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__CSR));
    ck_assert_int_eq(account->expires_s, 1801396800);
    ck_assert_uint_eq(account->n_from, 2);
    static const char *const wrong[] = {
        OTHER_KEY, KEY "x", "omk_crm.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "omk_sap.",          "omk_sap",
        "omk_",    "",      "sap.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",     "omk_CN=crm,O=A B.x"
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ck_assert_msg(!accounts_of_key(accounts, wrong[i], strlen(wrong[i])), "%s", wrong[i]);
    accounts_free(accounts);
}
END_TEST

static bool within(const char *network, const char *text)
{
    struct network n, one;
    ck_assert_int_eq(network_parse(network, &n), 0);
    ck_assert_int_eq(network_parse(text, &one), 0);
    return network_has(&n, &one.address);
}

START_TEST(an_address_is_in_a_network_or_not)
{
    ck_assert(within("10.0.0.0/8", "10.255.0.1"));
    ck_assert(!within("10.0.0.0/8", "11.0.0.0"));
    ck_assert(within("192.0.2.128/25", "192.0.2.129"));
    ck_assert(!within("192.0.2.128/25", "192.0.2.127"));
    ck_assert(within("192.0.2.7", "192.0.2.7"));
    ck_assert(!within("192.0.2.7", "192.0.2.6"));
    ck_assert(within("0.0.0.0/0", "255.1.2.3"));
    ck_assert(!within("0.0.0.0/0", "2001:db8::1"));
    ck_assert(within("::/0", "2001:db8::1"));
    ck_assert(within("2001:db8::/33", "2001:db8:7fff::1"));
    ck_assert(!within("2001:db8::/33", "2001:db8:8000::1"));
    ck_assert(within("::ffff:10.0.0.0/104", "10.1.2.3"));
}
END_TEST

/* --- calls --- */

static struct call *ask(struct peer *client, const char *path, const char *extra)
{
    struct call *call = peer_call(client, path, extra);
    call_put_message(call, "", 0);
    call_end(call);
    return call;
}

/* Refused for this reason; NULL: a process behind is asked. */
static void expect(struct peer *client, const char *extra, const char *reason)
{
    int before = stage.order[0].n_requests;
    char lines[2048];
    snprintf(lines, sizeof(lines), "%smesh-service: svc-order\n", extra);
    struct call *call = ask(client, TAIL, lines);
    stage_until(&stage, call->closed || stage.order[0].n_requests > before);
    ck_assert_str_eq(call_reason(call), reason ? reason : "");
    ck_assert_int_eq(stage.order[0].n_requests, before + !reason);
    if (reason)
        ck_assert_int_eq(call_status(call), 16);
}

static void set_account(const char *more)
{
    char text[512];
    snprintf(text, sizeof(text), "key sap %s subject=erp-1 roles=erp %s\n", digest_of(KEY), more);
    stage_accounts(&stage, text);
}

START_TEST(a_machine_calls_by_its_api_key)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    expect(client, "x-api-key: " KEY "\n", "API_KEY_UNKNOWN");
    set_account("");
    expect(client, "x-api-key: " KEY "\n", NULL);
    expect(client, "authorization: ApiKey " KEY "\n", NULL);
    expect(client, "x-api-key: " OTHER_KEY "\n", "API_KEY_UNKNOWN");
    expect(client, "authorization: Bearer " KEY "\n", "TOKEN_MALFORMED");
    expect(client, "x-api-key: secret\n", "TOKEN_MALFORMED");
    expect(client, "x-api-key: \n", "TOKEN_MALFORMED");
    expect(client, "", "TOKEN_REQUIRED");
    struct call *newest = stage.order[0].peers->calls;
    ck_assert_ptr_nonnull(strstr(newest->head, "x-mesh-caller: "));
    ck_assert_ptr_nonnull(strstr(newest->head, ";erp-1\n"));
    ck_assert_ptr_null(strstr(newest->head, "omk_"));
    stage_close(&stage);
}
END_TEST

START_TEST(who_proves_himself_twice_is_refused)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    char extra[2048];
    set_account("");
    snprintf(extra, sizeof(extra), "%sx-api-key: " KEY "\n", stage_bearer(&stage, "sap", "\"erp\""));
    expect(client, extra, "SEVERAL_PROOFS");
    snprintf(extra, sizeof(extra), "x-api-key: " KEY "\nx-api-key: " KEY "\n");
    expect(client, extra, "SEVERAL_PROOFS");
    stage_close(&stage);
}
END_TEST

START_TEST(an_account_has_its_time)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    set_account("expires=2020-01-01");
    expect(client, "x-api-key: " KEY "\n", "ACCOUNT_EXPIRED");
    time_t end = (time_t)(stage.port.wall_us(&stage.port) / 1000000) + 100;
    char more[64];
    strftime(more, sizeof(more), "expires=%Y-%m-%dT%H:%M:%SZ", gmtime(&end));
    set_account(more);
    expect(client, "x-api-key: " KEY "\n", NULL);
    stage.skew_us = 101 * INT64_C(1000000);
    expect(client, "x-api-key: " KEY "\n", "ACCOUNT_EXPIRED");
    stage_close(&stage);
}
END_TEST

START_TEST(an_account_is_used_from_its_networks)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    set_account("from=192.0.2.0/24,2001:db8::/32");
    expect(client, "x-api-key: " KEY "\n", "ACCOUNT_ELSEWHERE");
    expect(client, "x-api-key: " KEY "\n", "ACCOUNT_ELSEWHERE");
    set_account("from=192.0.2.0/24,127.0.0.0/8");
    expect(client, "x-api-key: " KEY "\n", NULL);
    stage_close(&stage);
}
END_TEST

START_TEST(a_stream_ends_when_its_account_is_gone)
{
    stage_open(&stage, 0);
    struct peer *client = stage_client(&stage);
    set_account("");
    struct call *call = ask(client, TAIL, "x-api-key: " KEY "\nmesh-service: svc-order\n");
    stage_until(&stage, stage.order[0].n_requests == 1);
    gateway_reload(stage.gateway);
    stage_accounts(&stage, "nonsense"); /* changes nothing, but that it is read again */
    stage_accounts(&stage, "");
    stage_until(&stage, call->closed);
    ck_assert_str_eq(call_reason(call), "ACCOUNTS_CHANGED");
    expect(client, "x-api-key: " KEY "\n", "API_KEY_UNKNOWN");
    stage_close(&stage);
}
END_TEST

/* --- certificates --- */

/* A client that shows a certificate with these names; signed by the CA, or by itself. */
static struct peer *client_with(const char *name, const char *san)
{
    char cert[128], key[128];
    keys_certificate_for(&stage.keys, name, san, cert, key);
    SSL_CTX *context = tls_client(&(struct tls_files){ stage.keys.ca_path, cert, key });
    struct peer *peer = peer_connect(&stage.reactor, gateway_tls_port(stage.gateway), context, "shop.example");
    SSL_CTX_free(context);
    return peer;
}

START_TEST(a_machine_calls_by_its_certificate)
{
    stage_open(&stage, STAGE_TLS);
    stage_accounts(&stage, "certificate spiffe://partner.example/erp subject=partner roles=erp\n"
                           "certificate CN=crm subject=crm roles=csr\n");
    struct peer *partner = client_with("partner", "DNS:partner.example,URI:spiffe://partner.example/erp");
    expect(partner, "", NULL);
    expect(partner, stage_bearer(&stage, "sap", "\"erp\""), "SEVERAL_PROOFS");
    struct peer *stranger = client_with("stranger", "URI:spiffe://partner.example/other");
    expect(stranger, "", "TOKEN_REQUIRED");
    expect(stranger, stage_bearer(&stage, "sap", "\"erp\""), NULL);
    struct peer *crm = client_with("crm", "DNS:crm.example");
    struct call *call = ask(crm, TAIL, "mesh-service: svc-order\n");
    stage_until(&stage, call->closed);
    ck_assert_str_eq(call_reason(call), "ROLE_NOT_ALLOWED"); /* known, but no erp */
    stage_accounts(&stage, "");
    expect(partner, "", "TOKEN_REQUIRED");
    stage_close(&stage);
}
END_TEST

START_TEST(a_certificate_of_another_authority_ends_the_handshake)
{
    struct keys others;
    char cert[128], key[128];
    stage_open(&stage, STAGE_TLS);
    stage_accounts(&stage, "certificate spiffe://partner.example/erp subject=partner roles=erp\n");
    keys_make(&others);
    keys_certificate_for(&others, "partner", "URI:spiffe://partner.example/erp", cert, key);
    SSL_CTX *context = tls_client(&(struct tls_files){ stage.keys.ca_path, cert, key });
    struct peer *peer = peer_connect(&stage.reactor, gateway_tls_port(stage.gateway), context, "shop.example");
    SSL_CTX_free(context);
    stage_until(&stage, peer->down);
    keys_drop(&others);
    stage_close(&stage);
}
END_TEST

SUITE("accounts", 60, a_line_that_is_not_understood_refuses_the_file, what_stands_in_the_file_is_what_counts,
      an_address_is_in_a_network_or_not, a_machine_calls_by_its_api_key, who_proves_himself_twice_is_refused,
      an_account_has_its_time, an_account_is_used_from_its_networks, a_stream_ends_when_its_account_is_gone,
      a_machine_calls_by_its_certificate, a_certificate_of_another_authority_ends_the_handshake)
