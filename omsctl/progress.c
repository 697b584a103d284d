/* The progress line: how much is done, how fast it goes and, if it is known how much there is, how long it
 * will still take. */
#include "omsctl/show.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_EVERY_US 100000
#define LINE_EVERY_US     5000000

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

void progress_start(struct progress *progress, const char *what, size_t total)
{
    *progress = (struct progress){
        .what = what, .total = total, .start_us = now_us(), .shown_us = now_us(), .terminal = isatty(STDERR_FILENO)
    };
}

static void show(struct progress *p, int64_t now, bool end)
{
    double seconds = (double)(now - p->start_us) / 1e6;
    double rate = seconds > 0 ? (double)p->done / seconds : 0;
    fprintf(stderr, "%s%zu ", p->terminal ? "\r\033[K" : "", p->done);
    if (p->total)
        fprintf(stderr, "of %zu ", p->total);
    fputs(p->what, stderr);
    if (p->refused)
        fprintf(stderr, ", %zu refused", p->refused);
    if (end)
        fprintf(stderr, ", %.0f/s in %.1f s\n", rate, seconds);
    else if (p->total)
        fprintf(stderr, ", %.0f/s, %.0f s left%s", rate, rate > 0 ? (double)(p->total - p->done) / rate : 0.0,
                p->terminal ? "" : "\n");
    else
        fprintf(stderr, ", %.0f/s%s", rate, p->terminal ? "" : "\n");
    fflush(stderr);
    p->shown_us = now;
}

void progress_step(struct progress *progress, bool refused)
{
    progress->refused += refused;
    progress_add(progress, 1);
}

void progress_add(struct progress *progress, size_t done)
{
    progress->done += done;
    int64_t now = now_us();
    if (now - progress->shown_us >= (progress->terminal ? TERMINAL_EVERY_US : LINE_EVERY_US))
        show(progress, now, false);
}

void progress_end(struct progress *progress)
{
    if (progress->total || progress->done)
        show(progress, now_us(), true);
}
