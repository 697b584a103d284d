/* A whole process: it starts, serves, says so, drains on SIGTERM, ends well, and tells plainly why it cannot start. */
#include "mesh/service.h"
#include "tests/mesh/certs.h"
#include "tests/mesh/rpc_node.h"
#include "tests/suite.h"

#include "grpc/health/v1/health.pb-c.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct rpc_service *const no_services[] = { NULL };
static const struct service_spec spec = { .name = "svc-test", .about = "nothing but a runtime", .serves = no_services };

static char dir[64];

struct process {
    pid_t pid;
    FILE *said;
};

/* Runs service_main in a child, with the store in dir and these further options. */
static void start(struct process *process, const char *const *options)
{
    char store[96], *argv[24] = { (char *)"svc-test", (char *)"--store-path", store };
    int argc = 3, out[2];

    snprintf(store, sizeof(store), "%s/test.db", dir);
    while (*options)
        argv[argc++] = (char *)*options++;
    ck_assert_int_eq(pipe(out), 0);
    process->pid = fork();
    if (process->pid == 0) {
        dup2(out[1], STDERR_FILENO);
        close(out[0]);
        close(out[1]);
        exit(service_main(&spec, argc, argv));
    }
    close(out[1]);
    process->said = fdopen(out[0], "r");
}

static void begin(void)
{
    snprintf(dir, sizeof(dir), "/tmp/check-process-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void end(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* The first line that has the text. */
static void await_line(struct process *process, const char *text, char ret_line[1024])
{
    while (fgets(ret_line, 1024, process->said))
        if (strstr(ret_line, text))
            return;
    ck_abort_msg("it ended without saying %s", text);
}

static int number_in(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    ck_assert_ptr_nonnull(at);
    return atoi(at + strlen(name));
}

static int wait_for(struct process *process, char ret_rest[8192])
{
    int status;
    size_t n = fread(ret_rest, 1, 8191, process->said);
    ret_rest[n] = '\0';
    fclose(process->said);
    ck_assert_int_eq(waitpid(process->pid, &status, 0), process->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void http_get(int port, const char *path, char ret_reply[65536])
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    char request[256];
    size_t n = 0;
    ssize_t got;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    ck_assert_int_eq(write(fd, request, (size_t)len), len);
    while ((got = read(fd, ret_reply + n, 65535 - n)) > 0)
        n += (size_t)got;
    ret_reply[n] = '\0';
    close(fd);
}

START_TEST(it_serves_and_ends_well_on_sigterm)
{
    struct process process;
    char line[1024], rest[8192];
    static char reply[65536];

    begin();
    start(&process, (const char *const[]){ "--drain-notice", "0ms", NULL });
    await_line(&process, "\"serving\"", line);
    int admin = number_in(line, "\"admin_port\":");
    ck_assert_int_gt(number_in(line, "\"port\":"), 0);
    http_get(admin, "/healthz", reply);
    ck_assert_ptr_nonnull(strstr(reply, "200 OK"));
    http_get(admin, "/metrics", reply);
    ck_assert_ptr_nonnull(strstr(reply, "# TYPE"));
    http_get(admin, "/other", reply);
    ck_assert_ptr_nonnull(strstr(reply, "404"));

    kill(process.pid, SIGTERM);
    ck_assert_int_eq(wait_for(&process, rest), 0);
    ck_assert_ptr_nonnull(strstr(rest, "\"stopped\""));
    end();
}
END_TEST

START_TEST(while_it_drains_healthz_says_no)
{
    struct process process;
    char line[1024], rest[8192];
    static char reply[65536];

    begin();
    start(&process, (const char *const[]){ "--drain-notice", "1h", NULL });
    await_line(&process, "\"serving\"", line);
    int admin = number_in(line, "\"admin_port\":");
    kill(process.pid, SIGTERM);
    await_line(&process, "\"draining\"", line);
    http_get(admin, "/healthz", reply);
    ck_assert_ptr_nonnull(strstr(reply, "503"));
    /* A second signal: somebody is in a hurry. */
    kill(process.pid, SIGTERM);
    ck_assert_int_eq(wait_for(&process, rest), 1);
    end();
}
END_TEST

START_TEST(it_can_be_called_and_starts_again_on_its_store)
{
    struct process process;
    struct node client;
    struct said said;
    char line[1024], rest[8192];

    begin();
    for (int i = 0; i < 2; i++) {
        start(&process, (const char *const[]){ "--drain-notice", "0ms", NULL });
        await_line(&process, "\"serving\"", line);
        Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        request.service = (char *)"mesh.v1.AdminService";
        if (i == 1) { /* after the last fork: C core must not be forked */
            char *peers = node_peers("svc-test", number_in(line, "\"port\":"));
            node_start(&client, &(struct node_options){ .name = "svc-client", .peers = peers, .silent = true });
            ask(&client, "svc-test", "/grpc.health.v1.Health/Check", &request.base, NULL, &said);
            ck_assert_int_eq(said.code, RPC_OK);
            ck_assert_int_eq(said.last.data[1], 1);
            said_free(&said);
            node_stop(&client);
            free(peers);
        }
        kill(process.pid, SIGINT);
        ck_assert_int_eq(wait_for(&process, rest), 0);
    }
    end();
}
END_TEST

START_TEST(what_hinders_the_start_is_said_in_one_line)
{
    struct process process, other;
    char line[1024], rest[8192], taken[32], admin[32], cert[96], key[96], ca[96];

    begin();
    start(&process, (const char *const[]){ NULL });
    await_line(&process, "\"serving\"", line);
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", number_in(line, "\"port\":"));
    snprintf(admin, sizeof(admin), "127.0.0.1:%d", number_in(line, "\"admin_port\":"));
    snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
    snprintf(cert, sizeof(cert), "%s/none.pem", dir);
    snprintf(key, sizeof(key), "%s/none.key", dir);
    certs_authority(dir, "ca");
    char other_store[96];
    snprintf(other_store, sizeof(other_store), "%s/other.db", dir);

    const struct {
        const char *options[8], *said;
    } cases[] = {
        { { "--listen", taken, "--store-path", other_store }, "in use" },
        { { "--admin-listen", admin, "--store-path", other_store }, "in use" },
        { { "--listen", "nonsense", "--store-path", other_store }, "nonsense" },
        { { "--store-path", "/proc/none/test.db" }, "/proc/none/test.db" },
        { { NULL }, "another process" },
        { { "--tls-ca", ca, "--tls-cert", cert, "--tls-key", key, "--store-path", other_store }, "none.pem" },
        { { "--peers", "svc-x", "--store-path", other_store }, "svc-x" },
        { { "--redis", "nowhere", "--store-path", other_store }, "nowhere" },
        { { "--log-level", "loud" }, "log-level" },
        { { "--drain-grace", "soon" }, "soon" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(&other, cases[i].options);
        ck_assert_msg(wait_for(&other, rest) == 1, "case %zu: %s", i, rest);
        ck_assert_msg(strstr(rest, cases[i].said) != NULL, "case %zu: %s", i, rest);
    }
    kill(process.pid, SIGTERM);
    ck_assert_int_eq(wait_for(&process, rest), 0);
    end();
}
END_TEST

/* The text between the quotes behind a name. */
static void text_in(const char *line, const char *name, char ret_text[64])
{
    const char *at = strstr(line, name);
    ck_assert_ptr_nonnull(at);
    at += strlen(name);
    snprintf(ret_text, 64, "%.*s", (int)strcspn(at, "\""), at);
}

static void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *format, ...)
{
    char command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    ck_assert_msg(system(command) == 0, "%s", command);
}

/* What omsctl backup would make of the store, which is closed. */
static void make_backup(const char *service)
{
    shell("mkdir -p %s/backup && cp %s/test.db %s/backup/svc-test.db", dir, dir, dir);
    shell("cd %s/backup && printf '{\"services\": {\"%s\": {\"file\": \"svc-test.db\", \"size\": %%d, \"sha256\": "
          "\"%%s\", \"seq\": 0, \"timeUs\": 1, \"version\": \"0.1.0\"}}}' $(stat -c %%s svc-test.db) "
          "$(sha256sum < svc-test.db | cut -d' ' -f1) > backup.json",
          dir, service);
}

/* How it ends, and what it says. */
static int restore(char ret_rest[8192], const char *store)
{
    struct process process;
    char backup[96];
    snprintf(backup, sizeof(backup), "%s/backup", dir);
    start(&process, (const char *const[]){ "--restore", backup, store ? "--store-path" : NULL, store, NULL });
    return wait_for(&process, ret_rest);
}

static void serve_once(void)
{
    struct process process;
    char line[1024], rest[8192];
    start(&process, (const char *const[]){ "--drain-notice", "0ms", NULL });
    await_line(&process, "\"serving\"", line);
    kill(process.pid, SIGTERM);
    ck_assert_int_eq(wait_for(&process, rest), 0);
}

START_TEST(a_restored_store_gets_another_log_each_time)
{
    char rest[8192], was[64], made[2][64], fresh[96];

    begin();
    serve_once();
    make_backup("svc-test");
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(restore(rest, NULL) == 0, "%s", rest);
        ck_assert_ptr_nonnull(strstr(rest, "the store was restored"));
        text_in(rest, "\"incarnation\":\"", made[i]);
        text_in(rest, "\"was\":\"", was);
        ck_assert_uint_eq(strlen(made[i]), 16);
        ck_assert_str_ne(made[i], was);
        serve_once();
    }
    ck_assert_str_ne(made[0], made[1]);
    snprintf(fresh, sizeof(fresh), "%s/fresh.db", dir);
    ck_assert_msg(restore(rest, fresh) == 0, "%s", rest);
    ck_assert_int_eq(access(fresh, F_OK), 0);
    end();
}
END_TEST

START_TEST(a_store_is_not_restored_while_its_service_runs)
{
    struct process process;
    char line[1024], rest[8192];

    begin();
    serve_once();
    make_backup("svc-test");
    start(&process, (const char *const[]){ "--drain-notice", "0ms", NULL });
    await_line(&process, "\"serving\"", line);
    ck_assert_int_eq(restore(rest, NULL), 1);
    ck_assert_ptr_nonnull(strstr(rest, "another process"));
    kill(process.pid, SIGTERM);
    ck_assert_int_eq(wait_for(&process, rest), 0);
    end();
}
END_TEST

START_TEST(what_is_not_the_backup_it_says_is_not_restored_and_changes_nothing)
{
    static const struct {
        const char *service, *damage, *said;
    } cases[] = {
        { "svc-test", "printf x | dd of=svc-test.db bs=1 seek=5000 conv=notrunc status=none",
          "not what the backup says" },
        { "svc-test", "printf x >> svc-test.db", "not what the backup says" },
        { "svc-test", "truncate -s -1 svc-test.db", "not what the backup says" },
        { "svc-test", ": > svc-test.db", "not what the backup says" },
        { "svc-test", "rm svc-test.db", "No such file" },
        { "svc-test", "rm backup.json", "backup.json" },
        { "svc-test", "echo '{' > backup.json", "backup.json" },
        { "svc-test", "sed -i s/sha256/sha/ backup.json", "does not say" },
        { "svc-test", "sed -i s=svc-test.db=../test.db= backup.json", "does not say" },
        { "svc-other", ":", "nothing of this service" },
    };
    char rest[8192];

    begin();
    serve_once();
    shell("cp %s/test.db %s/before", dir, dir);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        make_backup(cases[i].service);
        shell("cd %s/backup && %s", dir, cases[i].damage);
        ck_assert_msg(restore(rest, NULL) == 1, "case %zu: %s", i, rest);
        ck_assert_msg(strstr(rest, cases[i].said) != NULL, "case %zu: %s", i, rest);
        shell("cmp %s/test.db %s/before && [ $(ls %s | wc -l) = 4 ]", dir, dir, dir);
    }
    serve_once();
    end();
}
END_TEST

SUITE("process", 60, it_serves_and_ends_well_on_sigterm, while_it_drains_healthz_says_no,
      a_restored_store_gets_another_log_each_time, a_store_is_not_restored_while_its_service_runs,
      what_is_not_the_backup_it_says_is_not_restored_and_changes_nothing,
      it_can_be_called_and_starts_again_on_its_store, what_hinders_the_start_is_said_in_one_line)
