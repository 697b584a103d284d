/* How the keys for tokens are fetched, kept while nobody answers or what comes is a lie, and changed when the issuer
 * changes his. The issuer and the clock are played by the test. */
#include "gateway/keyring.h"
#include "mesh/port.h"
#include "tests/gateway/keys.h"
#include "tests/suite.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define URL     "https://issuer.example/.well-known/jwks.json"
#define SECONDS INT64_C(1000000)

static struct port port;
static struct fetch *asked; /* NULL: nothing is being fetched */
static struct timer *timer; /* that is started */
static int64_t now_us = 1, due_us;
static int n_asked;

static int64_t mono_us(struct port *p)
{
    return now_us;
}

static void timer_start(struct port *p, struct timer *t, int64_t delay_us)
{
    timer = t;
    due_us = now_us + delay_us;
}

static void timer_stop(struct port *p, struct timer *t)
{
    timer = NULL;
}

static void fetch(struct port *p, struct fetch *f)
{
    ck_assert_ptr_null(asked);
    asked = f;
    n_asked++;
}

static struct keyring *open_ring(const char *source)
{
    port = (struct port){ .mono_us = mono_us, .timer_start = timer_start, .timer_stop = timer_stop, .fetch = fetch };
    return keyring_create(&port, &(struct keyring_options){ .source = source });
}

static void answer(int result, int status, const char *text)
{
    struct fetch *f = asked;
    ck_assert_ptr_nonnull(f);
    asked = NULL;
    f->done(f, result, status, (struct bytes){ (const uint8_t *)text, strlen(text) });
}

/* Time passes; a timer that is due by then fires. */
static void pass(int64_t us)
{
    int64_t until_us = now_us + us;
    while (timer && due_us <= until_us) {
        struct timer *t = timer;
        now_us = due_us;
        timer = NULL;
        t->fire(t);
    }
    now_us = until_us;
}

static char *set_of(const char *kid)
{
    char labels[64], *text = NULL;
    EVP_PKEY *key = keys_p256();
    snprintf(labels, sizeof(labels), "\"kid\":\"%s\"", kid);
    char *jwk = keys_jwk(key, labels);
    ck_assert_int_gt(asprintf(&text, "{\"keys\":[%s]}", jwk), 0);
    free(jwk);
    EVP_PKEY_free(key);
    return text;
}

static void answer_set(const char *kid)
{
    char *text = set_of(kid);
    answer(0, 200, text);
    free(text);
}

static void expect_kid(const struct keyring *ring, const char *kid)
{
    ck_assert_ptr_nonnull(keyring_keys(ring));
    ck_assert_str_eq(keyring_keys(ring)->keys[0].kid, kid);
}

START_TEST(keys_are_fetched_at_the_start_and_from_time_to_time)
{
    struct keyring *ring = open_ring(URL);
    ck_assert_ptr_null(keyring_keys(ring));
    ck_assert_str_eq(asked->peer, "token-keys");
    ck_assert_str_eq(asked->verb, "GET");
    ck_assert_str_eq(asked->path, "/.well-known/jwks.json");
    ck_assert_int_eq(asked->timeout_us, KEYRING_TIMEOUT_US);
    answer_set("a");
    expect_kid(ring, "a");
    uint32_t generation = keyring_generation(ring);
    pass(299 * SECONDS);
    ck_assert_ptr_null(asked);
    pass(1 * SECONDS);
    answer_set("b");
    expect_kid(ring, "b");
    ck_assert_uint_ne(keyring_generation(ring), generation);
    keyring_destroy(ring);
}
END_TEST

START_TEST(the_same_keys_again_change_nothing)
{
    struct keyring *ring = open_ring(URL);
    char *text = set_of("a");
    answer(0, 200, text);
    uint32_t generation = keyring_generation(ring);
    const struct key_set *set = keyring_keys(ring);
    pass(300 * SECONDS);
    answer(0, 200, text);
    ck_assert_uint_eq(keyring_generation(ring), generation);
    ck_assert_ptr_eq(keyring_keys(ring), set);
    free(text);
    keyring_destroy(ring);
}
END_TEST

START_TEST(keys_stay_while_the_issuer_is_away_or_lies)
{
    static const struct {
        int result, status;
        const char *body;
    } rows[] = { { -ECONNREFUSED, 0, "" },    { -ETIMEDOUT, 0, "" }, { 0, 500, "" }, { 0, 404, "{\"keys\":[]}" },
                 { -EMSGSIZE, 0, "" },        { 0, 200, "" },        { 0, 301, "" }, { 0, 200, "{\"keys\":[]}" },
                 { 0, 200, "<html></html>" }, { 0, 200, "{" },       { 0, 204, "" } };
    struct keyring *ring = open_ring(URL);
    answer_set("a");
    uint32_t generation = keyring_generation(ring);
    pass(300 * SECONDS);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        answer(rows[i].result, rows[i].status, rows[i].body);
        expect_kid(ring, "a");
        ck_assert_uint_eq(keyring_generation(ring), generation);
        pass(60 * SECONDS);
    }
    answer_set("b");
    expect_kid(ring, "b");
    keyring_destroy(ring);
}
END_TEST

START_TEST(an_answer_of_hundreds_of_kilobytes_is_not_read)
{
    struct keyring *ring = open_ring(URL);
    char *text = set_of("a"), *large = malloc(KEYRING_BYTES_MAX + 2);
    memset(large, ' ', KEYRING_BYTES_MAX + 1);
    large[KEYRING_BYTES_MAX + 1] = '\0';
    memcpy(large, text, strlen(text));
    answer(0, 200, large);
    ck_assert_ptr_null(keyring_keys(ring));
    pass(1 * SECONDS);
    large[KEYRING_BYTES_MAX] = '\0';
    answer(0, 200, large);
    expect_kid(ring, "a");
    free(large);
    free(text);
    keyring_destroy(ring);
}
END_TEST

START_TEST(who_does_not_answer_is_asked_again_ever_more_rarely)
{
    static const int64_t waits_s[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
    struct keyring *ring = open_ring(URL);
    for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
        answer(-ECONNREFUSED, 0, "");
        pass(waits_s[i] * SECONDS - 1);
        ck_assert_ptr_null(asked);
        pass(1);
        ck_assert_ptr_nonnull(asked);
    }
    answer_set("a");
    pass(300 * SECONDS);
    answer(-ECONNREFUSED, 0, "");
    pass(1 * SECONDS);
    answer_set("b");
    expect_kid(ring, "b");
    keyring_destroy(ring);
}
END_TEST

START_TEST(a_key_that_is_wanted_is_fetched_but_not_for_every_stranger)
{
    struct keyring *ring = open_ring(URL);
    keyring_want(ring); /* it is being fetched already */
    ck_assert_int_eq(n_asked, 1);
    answer_set("a");
    for (int i = 0; i < 1000; i++)
        keyring_want(ring);
    ck_assert_int_eq(n_asked, 1);
    pass(KEYRING_GAP_US);
    for (int i = 0; i < 1000; i++)
        keyring_want(ring);
    ck_assert_int_eq(n_asked, 2);
    answer_set("b");
    expect_kid(ring, "b");
    pass(299 * SECONDS); /* the interval began anew */
    ck_assert_int_eq(n_asked, 2);
    pass(1 * SECONDS);
    ck_assert_int_eq(n_asked, 3);
    answer_set("c");
    keyring_destroy(ring);
}
END_TEST

START_TEST(who_hangs_is_not_asked_twice_at_once)
{
    struct keyring *ring = open_ring(URL);
    pass(1000 * SECONDS);
    keyring_want(ring);
    ck_assert_int_eq(keyring_reload(ring), 0);
    ck_assert_int_eq(n_asked, 1);
    answer(-ETIMEDOUT, 0, "");
    ck_assert_int_eq(keyring_reload(ring), 0);
    ck_assert_int_eq(n_asked, 2);
    answer_set("a");
    expect_kid(ring, "a");
    keyring_destroy(ring);
}
END_TEST

START_TEST(what_comes_after_the_end_is_forgotten)
{
    struct keyring *ring = open_ring(URL);
    keyring_destroy(ring);
    answer_set("a");
    ck_assert_ptr_null(timer);
    ring = open_ring(URL);
    answer_set("a");
    keyring_destroy(ring);
    ck_assert_ptr_null(timer);
}
END_TEST

START_TEST(a_file_is_read_when_it_is_told_to_and_kept_if_it_is_broken)
{
    struct keys keys;
    char *text = set_of("a");
    keys_make(&keys);
    FILE *file = fopen(keys.jwt_path, "w");
    fputs(text, file);
    fclose(file);
    struct keyring *ring = keyring_create(NULL, &(struct keyring_options){ .source = keys.jwt_path });
    expect_kid(ring, "a");
    keyring_want(ring);
    file = fopen(keys.jwt_path, "w");
    fclose(file);
    ck_assert_int_eq(keyring_reload(ring), -EINVAL);
    expect_kid(ring, "a");
    remove(keys.jwt_path);
    ck_assert_int_eq(keyring_reload(ring), -EINVAL);
    expect_kid(ring, "a");
    keyring_destroy(ring);
    ck_assert_ptr_null(keyring_create(NULL, &(struct keyring_options){ .source = keys.jwt_path }));
    ck_assert_ptr_null(keyring_create(NULL, &(struct keyring_options){ .source = keys.dir }));
    free(text);
    keys_drop(&keys);
}
END_TEST

START_TEST(keys_come_over_tls_or_from_this_machine)
{
    static const struct {
        const char *source, *entry; /* NULL: refused */
    } rows[] = {
        { "keys.pem", "" },
        { "/etc/keys/jwks.json", "" },
        { "https://issuer.example/keys?v=1,2", "token-keys=https://issuer.example" },
        { "https://issuer.example:8443/a/b", "token-keys=https://issuer.example:8443" },
        { "http://127.0.0.1:8080/jwks", "token-keys=http://127.0.0.1:8080" },
        { "http://localhost/jwks", "token-keys=http://localhost" },
        { "http://[::1]:81/jwks", "token-keys=http://[::1]:81" },
        { "http://issuer.example/jwks", NULL },
        { "http://127.evil.example/jwks", NULL },
        { "http://127.0.0.1.evil.example/jwks", NULL },
        { "http://localhost.evil.example/jwks", NULL },
        { "http://127.0.0.1@evil.example/jwks", NULL },
        { "http://[::1].evil.example/jwks", NULL },
        { "https://me:secret@issuer.example/jwks", NULL },
        { "https://issuer.example", NULL },
        { "https:///jwks", NULL },
        { "http://[::1/jwks", NULL },
    };
    char entry[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int r = keyring_outside(rows[i].source, entry, sizeof(entry));
        ck_assert_msg(r == (rows[i].entry ? 0 : -EINVAL), "%s", rows[i].source);
        if (rows[i].entry)
            ck_assert_str_eq(entry, rows[i].entry);
    }
    ck_assert_int_eq(keyring_outside("https://issuer.example/keys", entry, 20), -EINVAL);
}
END_TEST

SUITE("keyring", 60, keys_are_fetched_at_the_start_and_from_time_to_time, the_same_keys_again_change_nothing,
      keys_stay_while_the_issuer_is_away_or_lies, an_answer_of_hundreds_of_kilobytes_is_not_read,
      who_does_not_answer_is_asked_again_ever_more_rarely, a_key_that_is_wanted_is_fetched_but_not_for_every_stranger,
      who_hangs_is_not_asked_twice_at_once, what_comes_after_the_end_is_forgotten,
      a_file_is_read_when_it_is_told_to_and_kept_if_it_is_broken, keys_come_over_tls_or_from_this_machine)
