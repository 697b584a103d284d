#include "bench/machine.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

double machine_now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- a directory --- */

static char scratch[300];

static void forget_scratch(void)
{
    char command[400];
    snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
    if (system(command) != 0)
        fprintf(stderr, "%s is left\n", scratch);
}

/* What was started ends with us. */
static void interrupt(int number)
{
    exit(128 + number);
}

const char *machine_scratch(const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch, sizeof(scratch), "%s/bench-%s-XXXXXX", tmp ? tmp : "/var/tmp", name);
    if (!mkdtemp(scratch)) {
        perror(scratch);
        exit(EXIT_FAILURE);
    }
    atexit(forget_scratch);
    signal(SIGINT, interrupt);
    signal(SIGTERM, interrupt);
    return scratch;
}

/* The mount with the longest prefix of the path. */
void machine_print(const char *dir)
{
    char device[256], point[256], type[64], best[64] = "?";
    size_t longest = 0;
    FILE *mounts = fopen("/proc/mounts", "re");
    while (mounts && fscanf(mounts, "%255s %255s %63s %*[^\n]", device, point, type) == 3) {
        size_t n = strlen(point);
        if (n < longest || strncmp(dir, point, n) != 0)
            continue;
        longest = n;
        memcpy(best, type, sizeof(best));
    }
    if (mounts)
        fclose(mounts);
    struct utsname system;
    uname(&system);
    printf("on %s (%s), %ld processors, Linux %s, SQLite %s\n", dir, best, sysconf(_SC_NPROCESSORS_ONLN),
           system.release, sqlite3_libversion());
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double machine_sync_us(const char *dir)
{
    double times[100];
    char page[4096] = { 0 }, *path = path_in(dir, "sync");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < 100; i++) {
        double start = machine_now_s(CLOCK_MONOTONIC);
        if (write(fd, page, sizeof(page)) != sizeof(page) || fdatasync(fd) != 0) {
            perror(path);
            exit(EXIT_FAILURE);
        }
        times[i] = (machine_now_s(CLOCK_MONOTONIC) - start) * 1e6;
    }
    close(fd);
    unlink(path);
    free(path);
    qsort(times, 100, sizeof(times[0]), by_value);
    return times[50];
}

int machine_free_port(void)
{
    struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, len) < 0 || getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
        perror("no free port");
        exit(EXIT_FAILURE);
    }
    close(fd);
    return ntohs(address.sin_port);
}

double machine_memory_kb(pid_t pid, const char *row)
{
    char path[64], line[128];
    double kb = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, row, strlen(row)) == 0)
            kb = atof(line + strlen(row));
    if (file)
        fclose(file);
    return kb;
}

double machine_private_kb(pid_t pid)
{
    return machine_memory_kb(pid, "Private_Clean:") + machine_memory_kb(pid, "Private_Dirty:");
}

void machine_await_idle(pid_t pid)
{
    clockid_t cpu;
    if (clock_getcpuclockid(pid, &cpu) != 0)
        return;
    double before = machine_now_s(cpu);
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 250000000 }, NULL);
        double now = machine_now_s(cpu);
        if (now - before < 0.0025)
            return;
        before = now;
    }
}

void server_start(struct server *server, const char *program, char *const *argv)
{
    int out[2];
    char line[2048] = "", *at = NULL;

    if (pipe2(out, O_CLOEXEC) < 0)
        abort();
    double begun = machine_now_s(CLOCK_MONOTONIC);
    server->pid = fork();
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(out[1], STDERR_FILENO);
        execv(program ? program : "/proc/self/exe", argv);
        _exit(127);
    }
    close(out[1]);
    server->said = fdopen(out[0], "r");
    while (!at && fgets(line, sizeof(line), server->said))
        at = strstr(line, "\"serving\"") ? strstr(line, "\"port\":") : NULL;
    if (!at) {
        fprintf(stderr, "%s did not start: %s\n", program ? program : argv[1], line);
        exit(EXIT_FAILURE);
    }
    server->start_ms = (machine_now_s(CLOCK_MONOTONIC) - begun) * 1e3;
    server->port = atoi(at + strlen("\"port\":"));
    clock_getcpuclockid(server->pid, &server->cpu);
}

void server_stop(struct server *server)
{
    kill(server->pid, SIGTERM);
    waitpid(server->pid, NULL, 0);
    fclose(server->said);
}

char *path_in(const char *dir, const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        abort();
    return path;
}

char *read_in(const char *dir, const char *name)
{
    char *path = path_in(dir, name), *text = calloc(1, 65536);
    FILE *file = fopen(path, "re");
    if (!file || fread(text, 1, 65535, file) == 0)
        abort();
    fclose(file);
    free(path);
    return text;
}
