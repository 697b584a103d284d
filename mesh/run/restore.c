/* A restore: the backup's file is copied beside the store and compared with what the backup says of it, renewed there,
 * and only then put in place. */
#include "mesh/store/restore.h"

#include "mesh/base/say.h"
#include "mesh/service.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE        (64u << 10)
#define SHA256_BYTES 32

/* What backup.json says of the service's file. */
struct backed_up {
    char path[4096];
    json_int_t seq, time_us;
    char sha256[2 * SHA256_BYTES + 1];
    char version[64];
};

static int refuse(const char *path, const char *why, int r)
{
    say(SAY_ERROR, NULL, "the backup cannot be restored", SAY_T("path", path), SAY_T("error", why));
    return r;
}

static int read_entry(const char *directory, const char *path, const char *service, json_t *json,
                      struct backed_up *ret_entry)
{
    const char *file, *sha256, *version;
    json_t *entry = json_object_get(json_object_get(json, "services"), service);
    if (!entry)
        return refuse(path, "there is nothing of this service", -ENOENT);
    if (json_unpack(entry, "{s:s, s:s, s:I, s:I, s:s}", "file", &file, "sha256", &sha256, "seq", &ret_entry->seq,
                    "timeUs", &ret_entry->time_us, "version", &version) < 0 ||
        strchr(file, '/') || strlen(sha256) >= sizeof(ret_entry->sha256))
        return refuse(path, "it does not say what there is of this service", -EINVAL);
    snprintf(ret_entry->path, sizeof(ret_entry->path), "%s/%s", directory, file);
    snprintf(ret_entry->sha256, sizeof(ret_entry->sha256), "%s", sha256);
    snprintf(ret_entry->version, sizeof(ret_entry->version), "%s", version);
    return 0;
}

static int read_list(const char *directory, const char *service, struct backed_up *ret_entry)
{
    char path[4096];
    json_error_t error;
    snprintf(path, sizeof(path), "%s/backup.json", directory);
    json_t *json = json_load_file(path, 0, &error);
    int r = json ? read_entry(directory, path, service, json, ret_entry) : refuse(path, error.text, -ENOENT);
    json_decref(json);
    return r;
}

static int copy_bytes(int from, int to, EVP_MD_CTX *digest)
{
    char piece[PIECE];
    for (;;) {
        ssize_t n = read(from, piece, sizeof(piece));
        if (n <= 0)
            return n < 0 ? -errno : 0;
        EVP_DigestUpdate(digest, piece, (size_t)n);
        for (ssize_t done = 0, put; done < n; done += put) {
            put = write(to, piece + done, (size_t)(n - done));
            if (put < 0)
                return -errno;
        }
    }
}

static int compare_digest(EVP_MD_CTX *digest, const char *sha256)
{
    uint8_t made[SHA256_BYTES];
    char text[2 * SHA256_BYTES + 1];
    EVP_DigestFinal_ex(digest, made, NULL);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", made[i]);
    return strcmp(text, sha256) == 0 ? 0 : -EBADMSG;
}

static int copy_file(const struct backed_up *entry, const char *to_path)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    int from = open(entry->path, O_RDONLY | O_CLOEXEC);
    int r = from < 0 ? -errno : 0;
    int to = r < 0 ? -1 : open(to_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (r == 0 && to < 0)
        r = -errno;
    if (r == 0)
        r = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) ? 0 : -ENOMEM;
    if (r == 0)
        r = copy_bytes(from, to, digest);
    if (r == 0)
        r = compare_digest(digest, entry->sha256);
    EVP_MD_CTX_free(digest);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (r < 0)
        refuse(entry->path, r == -EBADMSG ? "it is not what the backup says" : strerror(-r), r);
    return r;
}

int service_restore(struct port *port, const struct service_spec *spec, const struct service_options *options,
                    const char *directory)
{
    struct backed_up entry;
    struct store_restore *restore = NULL;
    struct service_options made = *options;
    int r = read_list(directory, spec->name, &entry);
    if (r == 0)
        r = store_restore_begin(options->store_path, &restore);
    if (r == 0) {
        made.store_path = store_restore_path(restore);
        r = copy_file(&entry, made.store_path);
    }
    if (r == 0)
        r = service_renew(port, spec, &made);
    if (r == 0) {
        r = store_restore_end(restore);
        if (r < 0)
            refuse(options->store_path, strerror(-r), r);
    }
    store_restore_destroy(restore);
    if (r == 0)
        say(SAY_INFO, NULL, "the store was restored", SAY_T("service", spec->name), SAY_T("store", options->store_path),
            SAY_T("from", entry.path), SAY_T("version", entry.version), SAY_N("seq", entry.seq),
            SAY_N("time_us", entry.time_us));
    return r;
}
