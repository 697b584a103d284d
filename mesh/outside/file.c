/* A fetch that puts a file into a folder: written aside, synced and renamed, by libuv's threads, as a disk may take its
 * time. */
#include "mesh/base/say.h"
#include "mesh/outside/inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define NAME_LONGEST 200

/* Copies, as the fetch may be told its end while a thread is still writing. */
struct job {
    uv_work_t work;
    struct errand *errand; /* NULL: abandoned */
    char *folder, name[NAME_LONGEST + 1];
    uint8_t *data;
    size_t len;
    int result, status;
};

int file_open_folder(const char *path)
{
    struct stat status;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (stat(path, &status) < 0)
        return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

/* Nobody sees the file before all of it is on the disk, and its name is there before anybody is told. */
static int write_file(int folder, const char *aside, const struct job *job)
{
    int fd = openat(folder, aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, job->data, job->len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    if (r == 0 && renameat(folder, aside, folder, job->name) < 0)
        r = -errno;
    if (r == 0 && fsync(folder) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(folder, aside, 0);
    return r;
}

/* Another process, and another thread of this one, may write the same name. */
static void run_job(uv_work_t *work)
{
    struct job *job = (struct job *)work;
    char aside[NAME_LONGEST + 64];
    if (job->status != 200)
        return;
    snprintf(aside, sizeof(aside), ".%s.%d.%p", job->name, (int)getpid(), (void *)job);
    int folder = open(job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    job->result = folder < 0 ? -errno : write_file(folder, aside, job);
    if (folder >= 0)
        close(folder);
}

static void free_job(struct job *job)
{
    free(job->folder);
    free(job->data);
    free(job);
}

static void job_done(uv_work_t *work, int status)
{
    struct job *job = (struct job *)work;
    int result = status < 0 ? status : job->result;
    if (job->errand && result < 0)
        say(SAY_ERROR, NULL, "a file could not be written", SAY_T("folder", job->folder),
            SAY_T("error", strerror(-result)));
    if (job->errand)
        errand_end(job->errand, result < 0 ? -EIO : 0, result < 0 ? 0 : job->status,
                   (struct bytes){ (const uint8_t *)"", 0 });
    free_job(job);
}

/* One name in the folder itself, none that is hidden. */
static const char *name_of(const char *path)
{
    const char *name = *path == '/' ? path + 1 : path;
    bool good = *name && *name != '.' && !strchr(name, '/') && strlen(name) <= NAME_LONGEST;
    return good ? name : NULL;
}

int file_begin(struct errand *errand, int64_t left_us)
{
    const struct fetch *fetch = errand->fetch;
    const char *name = name_of(fetch->path);
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return -EIO;
    job->errand = errand;
    errand->work = job;
    job->folder = strdup(errand->peer->base);
    job->data = malloc(fetch->body.len + 1);
    job->len = fetch->body.len;
    if (!job->folder || !job->data) {
        free_job(job);
        return -EIO;
    }
    if (job->len)
        memcpy(job->data, fetch->body.data, job->len);
    snprintf(job->name, sizeof(job->name), "%s", name ? name : "");
    job->status = strcmp(fetch->verb, "PUT") != 0 ? 405 : name ? 200 : 400;
    return uv_queue_work(errand->peer->outside->loop, &job->work, run_job, job_done);
}

void file_abandon(struct errand *errand)
{
    ((struct job *)errand->work)->errand = NULL;
}
