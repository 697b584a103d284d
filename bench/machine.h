/* What benchmarks share: clocks, what they run on, and the processes that they start. */
#pragma once

#include <stdio.h>
#include <sys/types.h>
#include <time.h>

double machine_now_s(clockid_t clock);
/* One line: the directory's file system, processors, Linux, SQLite. */
void machine_print(const char *dir);
/* How long it takes until one written page is on the disk: the median of 100, in a file of the directory. */
double machine_sync_us(const char *dir);

/* A directory of the benchmark's own below TMPDIR (/var/tmp), gone when the process ends, by a signal, too. Once. */
const char *machine_scratch(const char *name);

/* A port of loopback that nobody has now. */
int machine_free_port(void);
/* Of a process, from smaps_rollup: row "Rss:", "Private_Dirty:" …; pages that are its own alone. */
double machine_memory_kb(pid_t pid, const char *row);
double machine_private_kb(pid_t pid);
/* Until the process has hardly used a CPU for a quarter of a second, but no longer than five. */
void machine_await_idle(pid_t pid);

/* A process that says on stderr where it serves. */
struct server {
    pid_t pid;
    clockid_t cpu;
    int port;
    double start_ms;
    FILE *said;
};
/* program NULL: the benchmark itself, with other arguments. Exits when it does not come up; ends with us. */
void server_start(struct server *server, const char *program, char *const *argv);
void server_stop(struct server *server);

/* DIR/NAME on the heap. */
char *path_in(const char *dir, const char *name);
/* The whole text of DIR/NAME on the heap. */
char *read_in(const char *dir, const char *name);
