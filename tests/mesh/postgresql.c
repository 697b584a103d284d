/* initdb, postgres as a child that dies with us, and the line by which it says that it is ready. */
#include "tests/mesh/postgresql.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct postgresql {
    char dir[64], bin[256];
    uid_t uid; /* PostgreSQL does not run as root */
    gid_t gid;
    pid_t pid;
    FILE *log;
};

static int find_binaries(struct postgresql *server)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        return -ENOENT;
    snprintf(server->bin, sizeof(server->bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);

    server->uid = getuid();
    server->gid = getgid();
    if (server->uid != 0)
        return 0;
    struct passwd *user = getpwnam("postgres");
    if (!user)
        return -ENOENT;
    server->uid = user->pw_uid;
    server->gid = user->pw_gid;
    return 0;
}

/* Its stderr goes to the descriptor, its stdout nowhere. */
static pid_t spawn(struct postgresql *server, const char *program, char *const *argv, int stderr_fd)
{
    fflush(NULL); /* or the child tells it again */
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", server->bin, program);
    if (getuid() == 0 && (setgid(server->gid) != 0 || setuid(server->uid) != 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent || chdir(server->dir) != 0 || !freopen("/dev/null", "w", stdout))
        _exit(126);
    dup2(stderr_fd, STDERR_FILENO);
    execv(path, argv);
    _exit(127);
}

static int make_cluster(struct postgresql *server)
{
    char *argv[] = { "initdb", "-D",         "data", "-A",        "trust",       "-U",
                     "test",   "--encoding", "UTF8", "--no-sync", "--no-locale", NULL };
    int status;
    pid_t pid = spawn(server, "initdb", argv, STDERR_FILENO);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -EIO;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int start_server(struct postgresql *server, char *fsync)
{
    char *argv[] = { "postgres", "-D", "data", "-k", server->dir, "-c", "listen_addresses=", "-c", fsync, NULL };
    int fds[2];
    if (pipe(fds) != 0)
        return -errno;
    server->pid = spawn(server, "postgres", argv, fds[1]);
    close(fds[1]);
    server->log = fdopen(fds[0], "r");
    if (server->pid < 0 || !server->log)
        return -EIO;

    char line[1024];
    while (fgets(line, sizeof(line), server->log))
        if (strstr(line, "ready to accept connections"))
            return 0;
    return -EIO;
}

static int start(char *fsync, struct postgresql **ret_server)
{
    struct postgresql *server = calloc(1, sizeof(*server));
    int r = server ? find_binaries(server) : -ENOMEM;
    if (r < 0) {
        free(server);
        return r;
    }
    strcpy(server->dir, "/tmp/check_pg_XXXXXX");
    if (!mkdtemp(server->dir) || (getuid() == 0 && chown(server->dir, server->uid, server->gid) != 0))
        r = -errno;
    if (r == 0)
        r = make_cluster(server);
    if (r == 0)
        r = start_server(server, fsync);
    if (r < 0) {
        postgresql_stop(server);
        return -EIO;
    }
    *ret_server = server;
    return 0;
}

int postgresql_start(struct postgresql **ret_server)
{
    return start("fsync=off", ret_server);
}

int postgresql_start_durable(struct postgresql **ret_server)
{
    return start("fsync=on", ret_server);
}

PGconn *postgresql_connect(struct postgresql *server)
{
    char where[256];
    snprintf(where, sizeof(where), "host=%s user=test dbname=postgres options='-c client_min_messages=warning'",
             server->dir);
    PGconn *connection = PQconnectdb(where);
    if (PQstatus(connection) == CONNECTION_OK)
        return connection;
    PQfinish(connection);
    return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

void postgresql_stop(struct postgresql *server)
{
    if (!server)
        return;
    if (server->pid > 0) {
        kill(server->pid, SIGQUIT);
        waitpid(server->pid, NULL, 0);
    }
    if (server->log)
        fclose(server->log);
    nftw(server->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(server);
}
