/* Replayed from a mapping; written at the end that is known, so that half a line never stays. */
#include "dev/sandbox/book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct book {
    char *path;
    int fd;
    bool fsync;
    bool broken; /* nobody knows what is on disk */
    uint64_t len;
};

static int replay_file(struct book *book, int (*replay)(void *company, struct bytes line), void *company)
{
    struct stat stat;
    size_t len = 0;
    int r = 0;
    if (fstat(book->fd, &stat) < 0)
        return -errno;
    if (stat.st_size > 0) {
        void *data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, book->fd, 0);
        if (data == MAP_FAILED)
            return -errno;
        r = outsider_replay((struct bytes){ data, (size_t)stat.st_size }, replay, company, &len);
        munmap(data, (size_t)stat.st_size);
    }
    if (r == 0 && ftruncate(book->fd, (off_t)len) < 0)
        r = -errno;
    book->len = len;
    return r;
}

int book_open(const char *path, bool fsync, int (*replay)(void *company, struct bytes line), void *company,
              struct book **ret_book)
{
    struct book *book = calloc(1, sizeof(*book));
    if (!book)
        return -ENOMEM;
    book->path = strdup(path);
    book->fsync = fsync;
    book->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = book->path ? 0 : -ENOMEM;
    if (book->fd < 0)
        r = -errno;
    else if (r == 0 && flock(book->fd, LOCK_EX | LOCK_NB) < 0)
        r = -EBUSY;
    if (r == 0)
        r = replay_file(book, replay, company);
    if (r < 0)
        book_close(book);
    else
        *ret_book = book;
    return r;
}

void book_close(struct book *book)
{
    if (!book)
        return;
    if (book->fd >= 0)
        close(book->fd);
    free(book->path);
    free(book);
}

int book_write(void *arg, const char *line, size_t len)
{
    struct book *book = arg;
    if (book->broken)
        return -EIO;
    ssize_t n = pwrite(book->fd, line, len, (off_t)book->len);
    int r = n < 0 ? -errno : (size_t)n < len ? -ENOSPC : 0;
    if (r == 0 && book->fsync && fdatasync(book->fd) < 0)
        r = -errno;
    if (r == 0)
        book->len += len;
    else
        book->broken = ftruncate(book->fd, (off_t)book->len) < 0 || book->fsync;
    return r;
}

int book_read(const struct book *book, uint64_t *ret_len)
{
    int fd = open(book->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_len = book->len;
    return fd;
}
