/* Tests of AdminService (mesh/run/operate.c): what an operator sees of a process, and decides about dead letters. */
#include "mesh/base/say.h"
#include "mesh/store/copy.h"
#include "tests/mesh/pair.h"
#include "tests/sim/inner.h"
#include "tests/suite.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define ADMIN(method) "/mesh.v1.AdminService/" method
#define SECOND_US     1000000ll
#define PARKED        "SELECT COUNT(*) FROM dead_letter WHERE parked = 1 AND discarded_us = 0"

static struct pair p;
static struct asked asked;

static void begin(uint64_t seed)
{
    say_init("check", SAY_ERROR);
    pair_init(&p, seed);
    p.busy = true;
    p.deliverers[0].give_up = GIVE_UP_PARK;
    p.deliverers[0].give_up_after_us = SECOND_US;
    pair_start(&p);
}

#define ASK(method, request) pair_ask(&p, &asked, p.receiver, "sender", ADMIN(method), &(request).base, true, 0)
/* The reply as a message in the call's arena. */
#define REPLY(type) \
    ({ \
        ProtobufCAllocator allocator_ = arena_protobuf(&asked.arena); \
        ck_assert_int_eq(asked.code, RPC_OK); \
        type##__unpack(&allocator_, asked.replies[0].len, asked.replies[0].data); \
    })

/* The id of the oldest dead letter. */
static const char *first_id(void)
{
    static char id[64];
    Mesh__V1__ListDeadLettersRequest list = MESH__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
    ASK("ListDeadLetters", list);
    Mesh__V1__ListDeadLettersResponse *response = REPLY(mesh__v1__list_dead_letters_response);
    ck_assert_uint_ge(response->n_dead_letters, 1);
    strcpy(id, response->dead_letters[0]->id);
    asked_finish(&asked);
    return id;
}

START_TEST(a_parked_command_is_listed_and_explained)
{
    begin(1);
    pair_send(&p, "busy", 1, 3);
    PAIR_AWAIT(&p, p.sender, PARKED, 1);
    Mesh__V1__ExplainDeadLetterRequest explain = MESH__V1__EXPLAIN_DEAD_LETTER_REQUEST__INIT;
    explain.id = (char *)first_id();
    ASK("ExplainDeadLetter", explain);
    Mesh__V1__DeadLetter *dead = REPLY(mesh__v1__dead_letter);
    ck_assert_str_eq(dead->destination, "receiver");
    ck_assert_str_eq(dead->method, RESERVE);
    ck_assert_str_eq(dead->key, "busy");
    ck_assert_str_eq(dead->last_reason, "BUSY");
    ck_assert_int_eq(dead->last_code, RPC_UNAVAILABLE);
    ck_assert_uint_ge(dead->attempts, 2);
    ck_assert_uint_eq(dead->waiting_behind, 2);
    ck_assert_int_gt(dead->give_up_time_us, dead->create_time_us);
    ck_assert_ptr_nonnull(strstr(dead->explanation, "holds up 2 commands"));
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(dead_letters_come_in_pages)
{
    char key[16], token[600] = "", last[64] = "";
    size_t n = 0;
    begin(2);
    for (int i = 0; i < 7; i++) {
        snprintf(key, sizeof(key), "busy%d", i);
        pair_send(&p, key, 1, 1);
    }
    PAIR_AWAIT(&p, p.sender, PARKED, 7);
    do {
        Mesh__V1__ListDeadLettersRequest list = MESH__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
        list.page_size = 3;
        list.page_token = token;
        ASK("ListDeadLetters", list);
        Mesh__V1__ListDeadLettersResponse *response = REPLY(mesh__v1__list_dead_letters_response);
        ck_assert_uint_le(response->n_dead_letters, 3);
        for (size_t i = 0; i < response->n_dead_letters; i++, n++) {
            ck_assert_int_gt(strcmp(response->dead_letters[i]->id, last), 0);
            strcpy(last, response->dead_letters[i]->id);
        }
        strcpy(token, response->next_page_token);
        asked_finish(&asked);
    } while (token[0]);
    ck_assert_uint_eq(n, 7);
    pair_end(&p);
}
END_TEST

START_TEST(a_retry_sends_it_again_once_however_often_it_is_asked)
{
    begin(3);
    pair_send(&p, "busy", 1, 2);
    PAIR_AWAIT(&p, p.sender, PARKED, 1);
    p.busy = false;
    Mesh__V1__RetryDeadLetterRequest retry = MESH__V1__RETRY_DEAD_LETTER_REQUEST__INIT;
    retry.id = (char *)first_id();
    retry.request_id = "retry-1";
    for (int i = 0; i < 3; i++) {
        ASK("RetryDeadLetter", retry);
        ck_assert_str_eq(REPLY(mesh__v1__dead_letter)->id, retry.id);
        asked_finish(&asked);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE times = 1 AND code = 0", 2);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), 2);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM dead_letter"), 0);
    pair_end(&p);
}
END_TEST

START_TEST(a_discard_needs_a_reason_and_lets_the_queue_go_on)
{
    begin(4);
    pair_send(&p, "busy", 1, 2);
    PAIR_AWAIT(&p, p.sender, PARKED, 1);
    Mesh__V1__DiscardDeadLetterRequest discard = MESH__V1__DISCARD_DEAD_LETTER_REQUEST__INIT;
    discard.id = (char *)first_id();
    discard.request_id = "discard-1";
    ASK("DiscardDeadLetter", discard);
    ck_assert_int_eq(asked.code, RPC_INVALID_ARGUMENT);
    asked_finish(&asked);
    ck_assert_int_eq(PAIR_COUNT(p.sender, PARKED), 1);

    p.busy = false;
    discard.reason = "settled by hand";
    for (int i = 0; i < 2; i++) {
        ASK("DiscardDeadLetter", discard);
        ck_assert_int_eq(asked.code, RPC_OK);
        asked_finish(&asked);
    }
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM outcome WHERE op = 'busy-2'", 1);
    ck_assert_int_eq(PAIR_COUNT(p.receiver, "SELECT COUNT(*) FROM done"), 1);
    ck_assert_int_eq(PAIR_COUNT(p.sender, "SELECT COUNT(*) FROM dead_letter WHERE discard_reason = 'settled by hand'"),
                     1);
    pair_end(&p);
}
END_TEST

START_TEST(a_dead_letter_that_is_none_is_not_found)
{
    begin(5);
    Mesh__V1__RetryDeadLetterRequest retry = MESH__V1__RETRY_DEAD_LETTER_REQUEST__INIT;
    retry.id = "cmd_none";
    retry.request_id = "retry-1";
    ASK("RetryDeadLetter", retry);
    ck_assert_int_eq(asked.code, RPC_NOT_FOUND);
    ck_assert_str_eq(asked.reason, "DEAD_LETTER_NOT_FOUND");
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(other_services_may_not_operate)
{
    begin(6);
    Mesh__V1__GetStatusRequest status = MESH__V1__GET_STATUS_REQUEST__INIT;
    pair_ask(&p, &asked, p.receiver, "sender", ADMIN("GetStatus"), &status.base, false, 0);
    ck_assert_int_eq(asked.code, RPC_PERMISSION_DENIED);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

START_TEST(the_status_tells_queues_circuits_cursors_leases_and_the_log)
{
    begin(7);
    pair_send(&p, "busy", 1, 3);
    pair_happen(&p, "h", 0, 4);
    PAIR_AWAIT(&p, p.sender, PARKED, 1);
    PAIR_AWAIT(&p, p.sender, "SELECT COUNT(*) FROM heard", 4);
    p.deliverers[0].give_up_after_us = 3600 * SECOND_US;
    node_crash(p.receiver, 3600 * SECOND_US);
    pair_send(&p, "other", 1, 1);
    world_run(p.world, 20 * SECOND_US);

    Mesh__V1__GetStatusRequest request = MESH__V1__GET_STATUS_REQUEST__INIT;
    pair_ask(&p, &asked, p.sender, "sender", ADMIN("GetStatus"), &request.base, true, 0);
    Mesh__V1__GetStatusResponse *status = REPLY(mesh__v1__get_status_response);
    ck_assert_str_eq(status->service, "sender");
    ck_assert_str_eq(status->version, ORDERMESH_VERSION);
    ck_assert_uint_eq(strlen(status->head->incarnation), 16);
    ck_assert_uint_eq(status->n_queues, 1);
    ck_assert_str_eq(status->queues[0]->destination, "receiver");
    ck_assert_uint_eq(status->queues[0]->waiting, 3);
    ck_assert_uint_eq(status->queues[0]->parked, 1);
    ck_assert_int_ge(status->queues[0]->oldest_age_us, 20 * SECOND_US);
    ck_assert_str_ne(status->queues[0]->circuit, "CLOSED");
    ck_assert_uint_eq(status->n_cursors, 1);
    ck_assert_str_eq(status->cursors[0]->consumer, "hearer");
    ck_assert_str_eq(status->cursors[0]->source, "receiver");
    ck_assert_uint_eq(status->cursors[0]->position->seq, 4);
    ck_assert_int_eq(strncmp(status->cursors[0]->state, "R", 1), 0);
    ck_assert_uint_eq(status->n_leases, 2);
    ck_assert_str_eq(status->leases[0]->name, "consumer/hearer");
    ck_assert_str_eq(status->leases[1]->name, "relay");
    ck_assert(status->leases[1]->mine);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

/* Reads the messages of a backup as they came; how many bytes of the database. */
static size_t read_backup(Mesh__V1__BackupResponse **ret_head, uint8_t ret_sha256[32])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    ProtobufCAllocator allocator = arena_protobuf(&asked.arena);
    size_t n = 0;
    uint8_t sha256[32];
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    for (size_t i = 0; i < asked.n; i++) {
        Mesh__V1__BackupResponse *message =
            mesh__v1__backup_response__unpack(&allocator, asked.replies[i].len, asked.replies[i].data);
        if (i == 0)
            *ret_head = message;
        ck_assert_uint_eq(message->data.len > 0, i > 0);
        ck_assert_uint_eq(message->sha256.len, i == asked.n - 1 ? 32 : 0);
        EVP_DigestUpdate(digest, message->data.data, message->data.len);
        n += message->data.len;
        if (message->sha256.len)
            memcpy(ret_sha256, message->sha256.data, 32);
    }
    EVP_DigestFinal_ex(digest, sha256, NULL);
    EVP_MD_CTX_free(digest);
    ck_assert_mem_eq(sha256, ret_sha256, 32);
    return n;
}

/* More than two messages of a backup. */
static void fill(void)
{
    for (int i = 0; i < 30; i++)
        pair_send(&p, "busy", 1 + 100 * i, 100);
}

START_TEST(a_backup_says_what_it_is_and_brings_all_of_it)
{
    Mesh__V1__BackupRequest request = MESH__V1__BACKUP_REQUEST__INIT;
    Mesh__V1__BackupResponse *head = NULL;
    uint8_t sha256[32];
    for (int rerun = 0; rerun < 2; rerun++) {
        say_init("check", SAY_ERROR);
        pair_init(&p, 9);
        p.sender_options.rerun_always = rerun;
        pair_start(&p);
        fill();
        ASK("Backup", request);
        ck_assert_int_eq(asked.code, RPC_OK);
        ck_assert_uint_ge(asked.n, 3);
        ck_assert_uint_eq(read_backup(&head, sha256), head->size);
        ck_assert_str_eq(head->service, "sender");
        ck_assert_str_eq(head->version, ORDERMESH_VERSION);
        ck_assert_uint_eq(strlen(head->position->incarnation), 16);
        asked_finish(&asked);
        pair_end(&p);
    }
}
END_TEST

/* A call whose client takes one message and no more. */
struct stalled {
    struct outcall call;
    int messages;
    bool done;
};

static bool stall(struct outcall *call, struct bytes message)
{
    ((struct stalled *)call)->messages++;
    return false;
}

static void stalled_over(struct outcall *call, const struct rpc_status *status)
{
    ((struct stalled *)call)->done = true;
}

static bool has_stalled(void *arg)
{
    return ((struct stalled *)arg)->messages == 1;
}

START_TEST(one_backup_at_a_time_and_one_that_is_given_up_is_no_hindrance)
{
    Mesh__V1__BackupRequest request = MESH__V1__BACKUP_REQUEST__INIT;
    const struct caller operator= { ROLE_BIT(MESH__V1__ROLE__OPERATOR), "operator" };
    struct stalled first = { .call = { .peer = "sender",
                                       .method = ADMIN("Backup"),
                                       .caller = &operator,
                                       .message = stall,
                                       .done = stalled_over } };
    begin(10);
    fill();
    struct port *port = node_port(p.receiver);
    port->call(port, &first.call);
    ck_assert(world_until(p.world, has_stalled, &first, SECOND_US));
    world_run(p.world, SECOND_US);
    ASK("Backup", request);
    ck_assert_int_eq(asked.code, RPC_RESOURCE_EXHAUSTED);
    ck_assert_str_eq(asked.reason, "BACKUP_RUNNING");
    asked_finish(&asked);
    port->cancel(port, &first.call);
    world_run(p.world, SECOND_US);
    ck_assert(first.done);
    ASK("Backup", request);
    ck_assert_int_eq(asked.code, RPC_OK);
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

static bool is_over(void *arg)
{
    return ((struct stalled *)arg)->done;
}

START_TEST(a_backup_touches_files_on_the_reader_lane_alone)
{
    const struct caller operator= { ROLE_BIT(MESH__V1__ROLE__OPERATOR), "operator" };
    struct stalled backup = { .call = { .peer = "sender",
                                        .method = ADMIN("Backup"),
                                        .caller = &operator,
                                        .message = stall,
                                        .done = stalled_over } };
    struct store_copy *copy;
    begin(11);
    fill();
    struct store *store = service_store(node_service(p.sender));
    struct port *port = node_port(p.receiver);
    p.sender->lanes[LANE_READER].busy_until_us = INT64_MAX;
    port->call(port, &backup.call);
    world_run(p.world, SECOND_US);
    ck_assert_int_eq(store_copy_begin(store, &copy), 0); /* it has not begun one */
    store_copy_destroy(copy);
    p.sender->lanes[LANE_READER].busy_until_us = 0;
    ck_assert(world_until(p.world, has_stalled, &backup, SECOND_US));

    p.sender->lanes[LANE_READER].busy_until_us = INT64_MAX;
    port->cancel(port, &backup.call);
    ck_assert(world_until(p.world, is_over, &backup, SECOND_US));
    world_run(p.world, SECOND_US);
    ck_assert_int_eq(store_copy_begin(store, &copy), -EBUSY); /* nor ended it */
    p.sender->lanes[LANE_READER].busy_until_us = 0;
    world_run(p.world, SECOND_US);
    ck_assert_int_eq(store_copy_begin(store, &copy), 0);
    store_copy_destroy(copy);
    pair_end(&p);
}
END_TEST

START_TEST(the_log_level_is_set_at_once_or_refused)
{
    begin(8);
    Mesh__V1__SetLogLevelRequest request = MESH__V1__SET_LOG_LEVEL_REQUEST__INIT;
    request.level = "loud";
    ASK("SetLogLevel", request);
    ck_assert_int_eq(asked.code, RPC_INVALID_ARGUMENT);
    asked_finish(&asked);
    request.level = "error";
    ASK("SetLogLevel", request);
    ck_assert_str_eq(REPLY(mesh__v1__set_log_level_response)->level, "error");
    ck_assert_str_eq(say_level_name(), "error");
    asked_finish(&asked);
    pair_end(&p);
}
END_TEST

SUITE("admin", 60, a_parked_command_is_listed_and_explained, dead_letters_come_in_pages,
      a_retry_sends_it_again_once_however_often_it_is_asked, a_discard_needs_a_reason_and_lets_the_queue_go_on,
      a_dead_letter_that_is_none_is_not_found, other_services_may_not_operate,
      the_status_tells_queues_circuits_cursors_leases_and_the_log, a_backup_says_what_it_is_and_brings_all_of_it,
      one_backup_at_a_time_and_one_that_is_given_up_is_no_hindrance, a_backup_touches_files_on_the_reader_lane_alone,
      the_log_level_is_set_at_once_or_refused)
