/* The proxy that one would write on C core by hand: any unary call in, the same bytes out to the process behind over
 * mutual TLS, the reply back. gateway_ccore DIR BACKEND_PORT; prints its port on stdout. */
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define POSTED 64

struct relay;
struct step {
    void (*run)(struct relay *relay, bool ok);
    struct relay *relay;
};

struct relay {
    grpc_call *in, *out;
    grpc_call_details details;
    grpc_metadata_array metadata, initial, trailing;
    grpc_byte_buffer *request, *reply;
    grpc_status_code code;
    grpc_slice message;
    int cancelled, open;
    struct step begun, received, answered, ended;
};

static grpc_completion_queue *queue;
static grpc_server *server;
static grpc_channel *channel;

static void begin(struct relay *relay, bool ok);

static void post(void)
{
    struct relay *r = calloc(1, sizeof(*r));
    grpc_call_details_init(&r->details);
    grpc_metadata_array_init(&r->metadata);
    grpc_metadata_array_init(&r->initial);
    grpc_metadata_array_init(&r->trailing);
    r->begun = (struct step){ begin, r };
    grpc_server_request_call(server, &r->in, &r->details, &r->metadata, queue, queue, &r->begun);
}

static void release(struct relay *r)
{
    if (--r->open)
        return;
    grpc_call_unref(r->in);
    if (r->out)
        grpc_call_unref(r->out);
    grpc_byte_buffer_destroy(r->request);
    grpc_byte_buffer_destroy(r->reply);
    grpc_slice_unref(r->message);
    grpc_metadata_array_destroy(&r->metadata);
    grpc_metadata_array_destroy(&r->initial);
    grpc_metadata_array_destroy(&r->trailing);
    grpc_call_details_destroy(&r->details);
    free(r);
}

static void over(struct relay *r, bool ok)
{
    release(r);
}

static void answer(struct relay *r, bool ok)
{
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA },
        { .op = GRPC_OP_SEND_STATUS_FROM_SERVER, .data.send_status_from_server = { 0, NULL, r->code, &r->message } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = r->reply },
    };
    r->ended = (struct step){ over, r };
    grpc_call_start_batch(r->in, ops, r->reply ? 3 : 2, &r->ended, NULL);
}

static void pass_on(struct relay *r, bool ok)
{
    grpc_metadata headers[16];
    size_t n = 0;
    for (size_t i = 0; i < r->metadata.count && n < 16; i++)
        if (GRPC_SLICE_START_PTR(r->metadata.metadata[i].key)[0] != ':')
            headers[n++] = r->metadata.metadata[i];
    r->out = grpc_channel_create_call(channel, r->in, GRPC_PROPAGATE_DEFAULTS, queue, r->details.method, NULL,
                                      r->details.deadline, NULL);
    grpc_op ops[] = {
        { .op = GRPC_OP_SEND_INITIAL_METADATA, .data.send_initial_metadata = { n, headers, { 0 } } },
        { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = r->request },
        { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
        { .op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &r->initial },
        { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &r->reply },
        { .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
          .data.recv_status_on_client = { &r->trailing, &r->code, &r->message, NULL } },
    };
    r->answered = (struct step){ answer, r };
    if (grpc_call_start_batch(r->out, ops, 6, &r->answered, NULL) != GRPC_CALL_OK)
        abort();
}

static void begin(struct relay *r, bool ok)
{
    if (!ok) {
        free(r);
        return;
    }
    post();
    r->open = 2;
    grpc_op receive = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &r->request };
    grpc_op close = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER, .data.recv_close_on_server.cancelled = &r->cancelled };
    r->begun = (struct step){ over, r };
    r->received = (struct step){ pass_on, r };
    grpc_call_start_batch(r->in, &close, 1, &r->begun, NULL);
    grpc_call_start_batch(r->in, &receive, 1, &r->received, NULL);
}

static char *read_file(const char *dir, const char *name)
{
    char path[512], *text = calloc(1, 16384);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    if (!file || fread(text, 1, 16383, file) == 0)
        exit(EXIT_FAILURE);
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    char target[64];
    if (argc != 3)
        return EXIT_FAILURE;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    grpc_init();
    queue = grpc_completion_queue_create_for_next(NULL);
    grpc_ssl_pem_key_cert_pair pair = { read_file(argv[1], "gateway.key"), read_file(argv[1], "gateway.crt") };
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create_ex(read_file(argv[1], "ca.crt"), &pair, NULL, NULL);
    snprintf(target, sizeof(target), "127.0.0.1:%s", argv[2]);
    grpc_arg args[] = {
        { GRPC_ARG_STRING, (char *)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, { .string = (char *)"svc-order" } },
        { GRPC_ARG_INTEGER, (char *)GRPC_ARG_ENABLE_RETRIES, { .integer = 0 } },
    };
    channel = grpc_channel_create(target, credentials, &(grpc_channel_args){ 2, args });
    server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, queue, NULL);
    grpc_server_credentials *insecure = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server, "127.0.0.1:0", insecure);
    grpc_server_start(server);
    for (int i = 0; i < POSTED; i++)
        post();
    printf("%d\n", port);
    fflush(stdout);
    for (;;) {
        grpc_event event = grpc_completion_queue_next(queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type != GRPC_OP_COMPLETE)
            return EXIT_SUCCESS;
        struct step *step = event.tag;
        step->run(step->relay, event.success);
    }
}
