/* backup: copies of the services' databases, as nearly as can be of one moment.
 *
 * All are begun before the first is read: a service makes its copy at once and then keeps it until it has been read.
 * svc-order's comes first, so that whatever it knows of the others is in their copies, too. They are written into a
 * directory under another name, which gets its own when all of them are whole. */
#include "omsctl/api_names.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include "mesh/store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPIES_MAX   32
#define SHA256_BYTES 32
#define MEGABYTE     (1u << 20)

static const char *const services[] = {
    "svc-order", "svc-inventory", "svc-payment", "svc-shipping", "svc-notify", NULL
};

struct copy {
    const char *service;
    struct client_call call;
    const Mesh__V1__BackupResponse *head;
    const char *path;
    char sha256[2 * SHA256_BYTES + 1];
};

struct backup {
    struct ctl *ctl;
    const char *directory, *made; /* its name when it is whole, and until then */
    struct copy copies[COPIES_MAX];
    size_t n, n_begun;
    uint64_t size, got; /* of all of them */
    struct progress progress;
};

static int complain(const char *path, int error)
{
    fprintf(stderr, "omsctl: %s: %s\n", path, strerror(error));
    return CTL_USAGE;
}

/* --- the copies --- */

static int list_copies(struct backup *b)
{
    struct ctl *ctl = b->ctl;
    const char *const *named = ctl->n_args > 1 ? (const char *const *)ctl->args + 1 : services;
    size_t n = 0;
    while (ctl->n_args > 1 ? n < (size_t)ctl->n_args - 1 : services[n] != NULL)
        n++;
    if (n > COPIES_MAX)
        return cli_usage("at most %d services", COPIES_MAX);
    for (b->n = 0; b->n < n; b->n++)
        b->copies[b->n] = (struct copy){ .service = named[b->n] };
    return CTL_OK;
}

/* The next message; NULL at the end of the stream, or if it is none. */
static const Mesh__V1__BackupResponse *next_message(struct copy *copy, ProtobufCAllocator *allocator)
{
    struct bytes message;
    return client_next(&copy->call, &message) ? mesh__v1__backup_response__unpack(allocator, message.len, message.data)
                                              : NULL;
}

/* Why there was no more. */
static int broken(struct backup *b, struct copy *copy)
{
    client_cancel(&copy->call);
    for (struct bytes rest; client_next(&copy->call, &rest);)
        ;
    fprintf(stderr, "omsctl: the backup of %s broke off\n", copy->service);
    return copy->call.status.code == RPC_OK ? CTL_REFUSED : show_status(b->ctl, &copy->call.status);
}

/* The snapshot has been taken when the first message comes. */
static int begin_copies(struct backup *b)
{
    static const Mesh__V1__BackupRequest request = MESH__V1__BACKUP_REQUEST__INIT;
    ProtobufCAllocator allocator = arena_protobuf(&b->ctl->arena);
    for (struct copy *copy = b->copies; copy < b->copies + b->n; copy++) {
        copy->call = (struct client_call){ .method = ADMIN_METHOD("Backup"),
                                           .request = arena_pack(&b->ctl->arena, &request.base),
                                           .service = copy->service };
        client_stream(b->ctl->client, &copy->call);
        b->n_begun++;
        copy->head = next_message(copy, &allocator);
        if (!copy->head || !copy->head->position)
            return broken(b, copy);
        copy->path = arena_printf(&b->ctl->arena, "%s/%s.db", b->made, copy->service);
        b->size += copy->head->size;
    }
    return CTL_OK;
}

static int write_whole(int fd, const uint8_t *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = write(fd, data + done, n - done);
        if (r < 0 && errno != EINTR)
            return -errno;
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static void hex_of(const uint8_t sha256[SHA256_BYTES], char ret_text[2 * SHA256_BYTES + 1])
{
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(ret_text + 2 * i, 3, "%02x", sha256[i]);
}

/* The stream into the file. CTL_OK: all of it came, and it is what was sent. */
static int receive(struct backup *b, struct copy *copy, int fd, EVP_MD_CTX *digest)
{
    uint64_t got = 0;
    bool whole = false;
    uint8_t made[SHA256_BYTES];
    struct arena_mark mark = arena_mark(&b->ctl->arena);
    ProtobufCAllocator allocator = arena_protobuf(&b->ctl->arena);
    for (const Mesh__V1__BackupResponse *m; (m = next_message(copy, &allocator)); arena_rewind(&b->ctl->arena, mark)) {
        int r = write_whole(fd, m->data.data, m->data.len);
        if (r < 0)
            return complain(copy->path, -r);
        EVP_DigestUpdate(digest, m->data.data, m->data.len);
        got += m->data.len;
        b->got += m->data.len;
        progress_add(&b->progress, b->got / MEGABYTE - b->progress.done);
        if (m->sha256.len != SHA256_BYTES)
            continue;
        EVP_DigestFinal_ex(digest, made, NULL);
        whole = got == copy->head->size && memcmp(made, m->sha256.data, SHA256_BYTES) == 0;
        hex_of(made, copy->sha256);
    }
    if (!whole || copy->call.status.code != RPC_OK)
        return broken(b, copy);
    return fsync(fd) < 0 ? complain(copy->path, errno) : CTL_OK;
}

static int read_copy(struct backup *b, struct copy *copy)
{
    int fd = open(copy->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return complain(copy->path, errno);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    if (!digest || !EVP_DigestInit_ex(digest, EVP_sha256(), NULL))
        abort();
    int exit = receive(b, copy, fd, digest);
    EVP_MD_CTX_free(digest);
    close(fd);
    if (exit != CTL_OK || store_check(copy->path) == 0)
        return exit;
    fprintf(stderr, "omsctl: the database of %s is damaged, and so is the copy\n", copy->service);
    return CTL_REFUSED;
}

/* --- the directory --- */

static json_t *list_of(const struct backup *b)
{
    json_t *all = json_object();
    for (const struct copy *copy = b->copies; copy < b->copies + b->n; copy++) {
        const Mesh__V1__BackupResponse *head = copy->head;
        json_object_set_new(all, copy->service,
                            json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:s}", "file", strrchr(copy->path, '/') + 1,
                                      "size", (json_int_t)head->size, "sha256", copy->sha256, "incarnation",
                                      head->position->incarnation, "seq", (json_int_t)head->position->seq, "timeUs",
                                      (json_int_t)head->time_us, "version", head->version));
    }
    return json_pack("{s:o}", "services", all);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) < 0 ? complain(path, errno) : CTL_OK;
    if (fd >= 0)
        close(fd);
    return r;
}

static int write_list(struct backup *b)
{
    const char *path = arena_printf(&b->ctl->arena, "%s/backup.json", b->made);
    json_t *list = list_of(b);
    FILE *file = fopen(path, "wxe");
    bool good = file && json_dumpf(list, file, JSON_INDENT(2)) == 0 && fputc('\n', file) != EOF && fflush(file) == 0 &&
                fsync(fileno(file)) == 0;
    int exit = good ? CTL_OK : complain(path, errno);
    if (file)
        fclose(file);
    json_decref(list);
    return exit;
}

static const char *parent_of(struct ctl *ctl, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return slash == path ? "/" : arena_printf(&ctl->arena, "%.*s", (int)(slash - path), path);
}

static int make_directory(struct backup *b)
{
    if (access(b->directory, F_OK) == 0)
        return complain(b->directory, EEXIST);
    if (mkdir(b->made, 0700) == 0)
        return CTL_OK;
    int error = errno;
    complain(b->made, error);
    if (error == EEXIST)
        fprintf(stderr, "omsctl: it is being made, or is left from a backup that did not end: then remove it\n");
    return CTL_USAGE;
}

static void forget_directory(const struct backup *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->copies[i].path)
            unlink(b->copies[i].path);
    unlink(arena_printf(&b->ctl->arena, "%s/backup.json", b->made));
    rmdir(b->made);
}

static int fill_directory(struct backup *b)
{
    int exit = begin_copies(b);
    progress_start(&b->progress, "MB", b->size / MEGABYTE);
    for (size_t i = 0; exit == CTL_OK && i < b->n; i++)
        exit = read_copy(b, &b->copies[i]);
    if (exit == CTL_OK)
        progress_end(&b->progress);
    if (exit == CTL_OK)
        exit = write_list(b);
    if (exit == CTL_OK)
        exit = sync_directory(b->made);
    if (exit == CTL_OK && rename(b->made, b->directory) < 0)
        exit = complain(b->directory, errno);
    return exit == CTL_OK ? sync_directory(parent_of(b->ctl, b->directory)) : exit;
}

static void show_copies(const struct backup *b)
{
    static const char *const heads[] = { "SERVICE", "AS OF", ">SEQ", ">BYTES", "INCARNATION", NULL };
    struct arena *arena = &b->ctl->arena;
    if (b->ctl->json) {
        show_json(list_of(b));
        return;
    }
    struct table *table = table_create(heads);
    for (const struct copy *copy = b->copies; copy < b->copies + b->n; copy++)
        TABLE_ROW(table, copy->service, text_time(arena, copy->head->time_us),
                  text_number(arena, (int64_t)copy->head->position->seq), text_number(arena, (int64_t)copy->head->size),
                  copy->head->position->incarnation);
    table_show(table, NULL);
}

/* A path without slashes at its end. */
static const char *directory_of(struct ctl *ctl)
{
    size_t len = strlen(ctl->args[0]);
    while (len > 1 && ctl->args[0][len - 1] == '/')
        len--;
    return arena_printf(&ctl->arena, "%.*s", (int)len, ctl->args[0]);
}

int run_backup(struct ctl *ctl)
{
    struct backup *b = arena_zalloc(&ctl->arena, sizeof(*b));
    b->ctl = ctl;
    b->directory = directory_of(ctl);
    b->made = arena_printf(&ctl->arena, "%s.part", b->directory);
    int exit = list_copies(b);
    if (exit != CTL_OK)
        return exit;
    if (!cli_client(ctl))
        return CTL_USAGE;
    exit = make_directory(b);
    if (exit != CTL_OK)
        return exit;
    exit = fill_directory(b);
    if (exit == CTL_OK)
        show_copies(b);
    else
        forget_directory(b);
    for (size_t i = 0; i < b->n_begun; i++) {
        client_cancel(&b->copies[i].call);
        for (struct bytes rest; client_next(&b->copies[i].call, &rest);)
            ;
        client_finish(&b->copies[i].call);
    }
    return exit;
}
