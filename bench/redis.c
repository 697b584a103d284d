#include "bench/redis.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void redis_start(struct redis *redis, const char *dir)
{
    struct sockaddr_in address = { AF_INET, 0, { htonl(INADDR_LOOPBACK) }, { 0 } };
    char port[8];
    int number = machine_free_port();
    snprintf(port, sizeof(port), "%d", number);
    snprintf(redis->address, sizeof(redis->address), "127.0.0.1:%d", number);
    redis->pid = fork();
    if (redis->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "",
               "--appendonly", "no", NULL);
        _exit(127);
    }
    clock_getcpuclockid(redis->pid, &redis->cpu);
    address.sin_port = htons((uint16_t)number);
    for (int i = 0; i < 500; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = connect(fd, (struct sockaddr *)&address, sizeof(address));
        close(fd);
        if (r == 0)
            return;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    fprintf(stderr, "redis-server does not start\n");
    exit(EXIT_FAILURE);
}

void redis_stop(struct redis *redis)
{
    kill(redis->pid, SIGTERM);
    waitpid(redis->pid, NULL, 0);
}
