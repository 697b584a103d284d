/* Chunks of ImportOrders: a few on their way at a time. */
#include "omsctl/order_send.h"

#include "omsctl/patience.h"
#include "omsctl/show.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD         8 /* chunks sent and not acknowledged; the service reads some of them ahead */
#define CHUNK_ENTRIES 50
#define CHUNK_BYTES   (32u << 10) /* a chunk ends with the entry that makes it larger */
#define ARENA_BUDGET  (4u << 20)
#define ID_BYTES      16 /* of the digest */

struct chunk {
    size_t first, n; /* entries */
    size_t needs;    /* entries that must be acknowledged before it may be sent */
    uint8_t *packed; /* sent again as it is, under its request id */
    size_t len;
};

struct sending {
    const struct order_sending *what;
    struct ctl *ctl;
    struct chunk chunks[AHEAD]; /* a ring: made and not acknowledged */
    size_t oldest, n, made;     /* made: entries in chunks so far */
    struct patience patience;
    struct progress progress;
};

/* --- chunks --- */

static void make_id(struct bytes packed, const Mesh__V1__Position *catalogue, char id[2 * ID_BYTES + sizeof("import-")])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL) || !EVP_DigestUpdate(md, packed.data, packed.len))
        abort();
    if (catalogue) {
        EVP_DigestUpdate(md, catalogue->incarnation, strlen(catalogue->incarnation));
        EVP_DigestUpdate(md, &catalogue->seq, sizeof(catalogue->seq));
    }
    EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    size_t n = (size_t)sprintf(id, "import-");
    for (size_t i = 0; i < ID_BYTES; i++)
        n += (size_t)sprintf(id + n, "%02x", digest[i]);
}

/* The id is that of the request without it. */
static void pack(const struct sending *s, struct arena *arena, ImportOrdersRequest *request, struct chunk *chunk)
{
    char id[2 * ID_BYTES + sizeof("import-")];
    make_id(arena_pack(arena, &request->base), s->what->import_id[0] ? NULL : s->what->catalogue, id);
    request->request_id = id;
    chunk->len = protobuf_c_message_get_packed_size(&request->base);
    chunk->packed = malloc(chunk->len);
    if (!chunk->packed)
        abort();
    protobuf_c_message_pack(&request->base, chunk->packed);
}

static void make_chunk(struct sending *s)
{
    struct chunk *chunk = &s->chunks[(s->oldest + s->n++) % AHEAD];
    NewOrder entries[CHUNK_ENTRIES], *list[CHUNK_ENTRIES];
    ImportOrdersRequest request = OMS__ORDER__V1__IMPORT_ORDERS_REQUEST__INIT;
    struct arena arena;
    size_t bytes = 0, n = 0;
    *chunk = (struct chunk){ .first = s->made };
    arena_init(&arena, ARENA_BUDGET);
    for (; n < CHUNK_ENTRIES && s->made + n < s->what->n && bytes < CHUNK_BYTES; n++) {
        list[n] = &entries[n];
        oms__order__v1__import_orders_request__entry__init(&entries[n]);
        size_t before = s->what->entry(s->what->arg, s->made + n, &arena, &entries[n]);
        if (before != ORDER_SEND_NONE && before < chunk->first && before >= chunk->needs)
            chunk->needs = before + 1;
        bytes += protobuf_c_message_get_packed_size(&entries[n].base);
    }
    request.orders = list;
    request.n_orders = n;
    request.import_id = (char *)s->what->import_id;
    pack(s, &arena, &request, chunk);
    chunk->n = n;
    s->made += n;
    arena_finish(&arena);
}

/* The i-th that is not acknowledged; NULL: there is none, and none to be made. */
static const struct chunk *chunk_at(struct sending *s, size_t i)
{
    if (i == AHEAD)
        return NULL;
    if (i == s->n && s->made < s->what->n)
        make_chunk(s);
    return i < s->n ? &s->chunks[(s->oldest + i) % AHEAD] : NULL;
}

/* Chunks that are on their way together are carried out in their order as long as each of them is: what must not come
 * before another one waits until that has been acknowledged. */
static bool may_be_said(struct sending *s, const struct chunk *chunk)
{
    return chunk->needs <= chunk_at(s, 0)->first;
}

/* False: it is no acknowledgement of the oldest chunk. */
static bool acknowledge(struct sending *s, struct bytes message)
{
    struct chunk *chunk = &s->chunks[s->oldest % AHEAD];
    struct arena arena;
    arena_init(&arena, ARENA_BUDGET);
    ProtobufCAllocator allocator = arena_protobuf(&arena);
    const ImportOrdersResponse *ack =
        oms__order__v1__import_orders_response__unpack(&allocator, message.len, message.data);
    bool ok = ack && s->n > 0 && ack->n_results == chunk->n;
    for (size_t i = 0; ok && i < chunk->n; i++)
        progress_add(&s->progress, s->what->ended(s->what->arg, chunk->first + i, ack->results[i]));
    arena_finish(&arena);
    if (!ok)
        return false;
    free(chunk->packed);
    patience_renew(&s->patience);
    s->oldest++;
    s->n--;
    return true;
}

/* --- streams --- */

static struct bytes bytes_of(const struct chunk *chunk)
{
    return (struct bytes){ chunk->packed, chunk->len };
}

/* One stream, from the oldest chunk that is not acknowledged to the end, or until it breaks. */
static void run_stream(struct sending *s, struct client_call *call)
{
    size_t said = 1;
    bool open = true;
    *call = (struct client_call){ .method = ORDER_METHOD("ImportOrders"), .request = bytes_of(chunk_at(s, 0)) };
    client_open_stream(s->ctl->client, call);
    for (;;) {
        const struct chunk *next = open ? chunk_at(s, said) : NULL;
        struct bytes message;
        if (next && may_be_said(s, next)) {
            open = client_say(call, bytes_of(next));
            said++;
            continue;
        }
        if (open && s->made == s->what->n && said == s->n) {
            client_say_end(call);
            open = false;
        }
        if (!client_next(call, &message))
            return;
        if (acknowledge(s, message))
            said--;
        else
            client_cancel(call);
    }
}

int order_send(const struct order_sending *sending)
{
    struct sending s = { .what = sending, .ctl = sending->ctl };
    int exit = CTL_OK;
    patience_renew(&s.patience);
    progress_start(&s.progress, "lines", sending->lines);
    for (bool go_on = true; go_on && chunk_at(&s, 0);) {
        struct client_call call;
        run_stream(&s, &call);
        bool done = call.status.code == RPC_OK && !chunk_at(&s, 0);
        go_on = !done && patience_try(&s.patience, call.status.code);
        if (!done && !go_on)
            exit = show_status(s.ctl, &call.status);
        client_finish(&call);
    }
    progress_end(&s.progress);
    for (; s.n > 0; s.n--, s.oldest++)
        free(s.chunks[s.oldest % AHEAD].packed);
    return exit;
}
