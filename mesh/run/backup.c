/* Backup: all of it on the reader lane, as it touches files. The first page begins the copy and says what it is;
 * further ones make it bit by bit, and say nothing until it is whole; then it is read out; a unit of its own ends it.
 */
#include "mesh/base/say.h"
#include "mesh/run/parts.h"
#include "mesh/store/copy.h"
#include "mesh/v1/admin.pb-c.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define PIECE         (256u << 10) /* bytes of a message */
#define SHA256_BYTES  32
#define ENDING_BUDGET (64u << 10)

struct backup {
    struct store *store;
    struct store_copy *copy;
    EVP_MD_CTX *digest;
    uint64_t digested; /* bytes: a page that is run again digests nothing twice */
    int64_t begun_us;
    struct log_position position;
    struct unit ending;
    struct arena arena; /* of that unit */
};

/* The call's scratch. */
struct reading {
    struct backup *backup;
    bool begun;  /* the first message has been made */
    uint64_t at; /* bytes sent */
};

/* --- its end: a large file takes a while to be given back, which nobody else's lane waits for --- */

static void ended(struct unit *unit, int result)
{
    struct backup *backup = unit->arg;
    if (backup->copy)
        say(SAY_INFO, NULL, "a backup has ended", SAY_N("seq", (int64_t)backup->position.seq),
            SAY_N("size", (int64_t)store_copy_size(backup->copy)), SAY_N("sent", (int64_t)backup->digested));
    store_copy_destroy(backup->copy);
    EVP_MD_CTX_free(backup->digest);
    arena_finish(&backup->arena);
    free(backup);
}

static int read_nothing(struct txn *txn, void *arg)
{
    return 0;
}

static void backup_end(void *arg)
{
    struct backup *backup = arg;
    backup->ending = (struct unit){ .run = read_nothing, .done = ended, .arg = backup, .arena = &backup->arena };
    store_read(backup->store, &backup->ending);
}

/* --- its begin --- */

int backup_prepare(struct rpc_call *call, const void *in, void *out)
{
    struct reading *reading = rpc_scratch(call, sizeof(*reading));
    struct backup *backup = calloc(1, sizeof(*backup));
    if (!backup)
        return -ENOMEM;
    arena_init(&backup->arena, ENDING_BUDGET);
    backup->store = service_store(rpc_service_of(call));
    backup->digest = EVP_MD_CTX_new();
    rpc_at_end(call, backup_end, backup);
    reading->backup = backup;
    return backup->digest && EVP_DigestInit_ex(backup->digest, EVP_sha256(), NULL) ? RPC_NOW : -ENOMEM;
}

static int read_position(struct txn *txn, void *arg)
{
    return log_position(txn, arg);
}

/* Once, however often its page is run. */
static int begin_copy(struct rpc_call *call, struct backup *backup)
{
    struct port *port = service_port(rpc_service_of(call));
    if (backup->copy)
        return 0;
    int r = store_copy_begin(backup->store, &backup->copy);
    if (r == -EBUSY)
        return rpc_fail(call, RPC_RESOURCE_EXHAUSTED, "BACKUP_RUNNING", "another backup of this service is under way");
    backup->begun_us = port->wall_us(port);
    return r < 0 ? r : store_copy_ask(backup->copy, read_position, &backup->position, rpc_arena(call));
}

static int tell_head(struct rpc_call *call, const struct backup *backup, Mesh__V1__BackupResponse *ret)
{
    ret->service = (char *)service_spec_of(rpc_service_of(call))->name;
    ret->version = (char *)ORDERMESH_VERSION;
    ret->time_us = backup->begun_us;
    ret->size = store_copy_size(backup->copy);
    ret->position = arena_message(rpc_arena(call), &mesh__v1__position__descriptor);
    if (!ret->position)
        return -ENOMEM;
    ret->position->incarnation = (char *)backup->position.incarnation;
    ret->position->seq = backup->position.seq;
    return RPC_MORE;
}

/* Of what has been digested so far, which can go on. */
static int tell_digest(struct rpc_call *call, const struct backup *backup, Mesh__V1__BackupResponse *ret)
{
    EVP_MD_CTX *so_far = EVP_MD_CTX_new();
    uint8_t *sha256 = arena_alloc(rpc_arena(call), SHA256_BYTES);
    bool good =
        so_far && sha256 && EVP_MD_CTX_copy_ex(so_far, backup->digest) && EVP_DigestFinal_ex(so_far, sha256, NULL);
    EVP_MD_CTX_free(so_far);
    if (!good)
        return -ENOMEM;
    ret->sha256 = (ProtobufCBinaryData){ SHA256_BYTES, sha256 };
    return RPC_END;
}

static int tell_piece(struct rpc_call *call, struct reading *reading, Mesh__V1__BackupResponse *ret)
{
    struct backup *backup = reading->backup;
    uint64_t left = store_copy_size(backup->copy) - reading->at;
    size_t n = left < PIECE ? (size_t)left : PIECE;
    uint8_t *data = arena_alloc(rpc_arena(call), n);
    int r = data ? store_copy_read(backup->copy, reading->at, data, n) : -ENOMEM;
    if (r < 0)
        return r;
    if (backup->digested == reading->at) {
        EVP_DigestUpdate(backup->digest, data, n);
        backup->digested += n;
    }
    ret->data = (ProtobufCBinaryData){ n, data };
    reading->at += n;
    return n < left ? RPC_MORE : tell_digest(call, backup, ret);
}

int backup_page(struct rpc_call *call, struct txn *txn, const void *in, void *out, bool *ret_empty)
{
    struct reading *reading = rpc_scratch(call, sizeof(*reading));
    if (!reading->begun) {
        int begun = begin_copy(call, reading->backup);
        reading->begun = begun == 0;
        return begun < 0 ? begun : tell_head(call, reading->backup, out);
    }
    int r = store_copy_step(reading->backup->copy);
    if (r < 0)
        return r;
    *ret_empty = r > 0;
    return r > 0 ? RPC_MORE : tell_piece(call, reading, out);
}
