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

/* A process of the benchmark itself, started as argv[0] with other arguments: a service that says where it serves. */
struct server {
    pid_t pid;
    clockid_t cpu;
    int port;
    double start_ms;
    FILE *said;
};
/* Exits when it does not come up. */
void server_start(struct server *server, char *const *argv);
void server_stop(struct server *server);

/* DIR/NAME on the heap. */
char *path_in(const char *dir, const char *name);
/* The whole text of DIR/NAME on the heap. */
char *read_in(const char *dir, const char *name);
