/* A company's process. */
#include "dev/sandbox/run.h"

#include "mesh/base/say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct option run_options[] = {
    { "book", OPTION_TEXT, "", "the file that says what was really done; it must be given" },
    { "fsync", OPTION_FLAG, "false", "whether the book outlives the machine, not only the process" },
    {},
};

static struct book *book;

static int write_line(void *arg, const char *line, size_t len)
{
    return book_write(book, line, len);
}

struct journal run_journal(void)
{
    return (struct journal){ write_line, NULL };
}

int run(struct option *const *tables, struct company *company, int (*replay)(void *self, struct bytes line))
{
    const char *path = config_text(tables, "book");
    if (path[0] == '\0') {
        say(SAY_ERROR, NULL, "--book is needed: the file that says what was really done");
        return EXIT_FAILURE;
    }
    int r = book_open(path, config_number(tables, "fsync"), replay, company->self, &book);
    if (r < 0) {
        say(SAY_ERROR, NULL, "the book cannot be opened", SAY_T("path", path),
            SAY_T("error", r == -EBUSY ? "another process has it" : strerror(-r)));
        return EXIT_FAILURE;
    }
    company->latency_us = config_number(tables, "latency");
    r = server_run(config_text(tables, "listen"), company, book);
    book_close(book);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
