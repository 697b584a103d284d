/* call and list: any method of any server, known only by what the server tells of itself (grpc.reflection.v1).
 */
#include "omsctl/reflect.h"
#include "mesh/rpc/schema.h"
#include "omsctl/ask.h"
#include "omsctl/commands.h"

#include "grpc/reflection/v1/reflection.pb-c.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define FILES_MAX  1024
#define STDIN_MAX  (8u << 20)

typedef Grpc__Reflection__V1__ServerReflectionRequest ReflectionRequest;
typedef Grpc__Reflection__V1__ServerReflectionResponse ReflectionResponse;

/* --- asking --- */

/* One question, one answer, on a stream of its own. CTL_OK, or the exit code after the error was shown. */
static int ask_reflection(struct ctl *ctl, const ReflectionRequest *request, ReflectionResponse **ret_response)
{
    if (!cli_client(ctl))
        return CTL_USAGE;
    struct client_call call = { .method = REFLECTION,
                                .request = arena_pack(&ctl->arena, &request->base),
                                .service = "" };
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    ReflectionResponse *response = NULL;
    client_stream(ctl->client, &call);
    for (struct bytes message; client_next(&call, &message);)
        response = grpc__reflection__v1__server_reflection_response__unpack(&allocator, message.len, message.data);
    int exit = call.status.code == RPC_OK ? CTL_OK : show_status(ctl, &call.status);
    client_finish(&call);
    if (exit != CTL_OK)
        return exit;
    if (!response) {
        fprintf(stderr, "omsctl: the server said nothing about itself\n");
        return CTL_REFUSED;
    }
    if (response->message_response_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE) {
        struct rpc_status status = { .code = (enum rpc_code)response->error_response->error_code,
                                     .message = response->error_response->error_message };
        return show_status(ctl, &status);
    }
    *ret_response = response;
    return CTL_OK;
}

static bool has_file(const FileSet *set, const char *name)
{
    for (size_t i = 0; i < set->n_file; i++)
        if (strcmp(set->file[i]->name, name) == 0)
            return true;
    return false;
}

static void add_files(struct ctl *ctl, FileSet *set, const ReflectionResponse *response)
{
    ProtobufCAllocator allocator = arena_protobuf(&ctl->arena);
    const Grpc__Reflection__V1__FileDescriptorResponse *files = response->file_descriptor_response;
    if (response->message_response_case !=
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE)
        return;
    for (size_t i = 0; i < files->n_file_descriptor_proto && set->n_file < FILES_MAX; i++) {
        ProtobufCBinaryData data = files->file_descriptor_proto[i];
        File *file = google__protobuf__file_descriptor_proto__unpack(&allocator, data.len, data.data);
        if (file && !has_file(set, file->name))
            set->file[set->n_file++] = file;
    }
}

/* A file that another imports and the set lacks, or NULL. */
static const char *missing_import(const FileSet *set)
{
    for (size_t i = 0; i < set->n_file; i++)
        for (size_t j = 0; j < set->file[i]->n_dependency; j++)
            if (!has_file(set, set->file[i]->dependency[j]))
                return set->file[i]->dependency[j];
    return NULL;
}

int ask_files(struct ctl *ctl, const char *symbol, FileSet *set)
{
    google__protobuf__file_descriptor_set__init(set);
    set->file = arena_alloc(&ctl->arena, FILES_MAX * sizeof(*set->file));
    ReflectionRequest request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL;
    request.file_containing_symbol = (char *)symbol;
    for (const char *missing = symbol; missing;) {
        ReflectionResponse *response;
        size_t before = set->n_file;
        int exit = ask_reflection(ctl, &request, &response);
        if (exit != CTL_OK)
            return exit;
        add_files(ctl, set, response);
        missing = missing_import(set);
        if (set->n_file == before) {
            fprintf(stderr, "omsctl: the server does not tell what %s is\n", missing ? missing : symbol);
            return CTL_REFUSED;
        }
        request.message_request_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME;
        request.file_by_filename = (char *)missing;
    }
    return CTL_OK;
}

/* --- call --- */

/* "pkg.Service/Method" or with a slash before it; ret_path begins with one. 0 or -EINVAL. */
static int parse_method(struct arena *arena, const char *text, const char **ret_path, const char **ret_service)
{
    text += text[0] == '/';
    const char *slash = strchr(text, '/');
    if (!slash || slash == text || !slash[1] || strchr(slash + 1, '/'))
        return -EINVAL;
    *ret_path = arena_printf(arena, "/%s", text);
    *ret_service = arena_printf(arena, "%.*s", (int)(slash - text), text);
    return 0;
}

/* JSON documents, one after the other, as an array; NULL after one clear line. */
static json_t *parse_requests(const char *text, size_t len)
{
    json_t *requests = json_array();
    json_error_t error;
    for (size_t at = 0; at < len; at += (size_t)error.position) {
        at += strspn(text + at, " \t\r\n");
        if (at == len)
            break;
        json_t *json = json_loadb(text + at, len - at, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
        if (!json) {
            cli_usage("the request is no JSON: %s (line %d, column %d)", error.text, error.line, error.column);
            json_decref(requests);
            return NULL;
        }
        json_array_append_new(requests, json);
    }
    return requests;
}

static json_t *read_requests(struct ctl *ctl)
{
    const char *given = ctl->n_args < 2 ? "{}" : ctl->args[1];
    if (strcmp(given, "-") != 0)
        return parse_requests(given, strlen(given));
    char *text = malloc(STDIN_MAX + 1);
    size_t n = text ? fread(text, 1, STDIN_MAX, stdin) : 0;
    if (text)
        text[n] = '\0';
    json_t *requests = parse_requests(text, n);
    free(text);
    return requests;
}

static void show_reply(struct ctl *ctl, const struct schema *schema, const struct schema_method *method,
                       struct bytes message)
{
    char *error = NULL;
    json_t *json = schema_to_json(schema, method->output, message, &error);
    if (!json)
        fprintf(stderr, "omsctl: %s\n", error ? error : "the reply is not what the server says it is");
    free(error);
    if (json) {
        json_dumpf(json, stdout, method->server_streaming ? JSON_COMPACT : JSON_INDENT(2));
        putchar('\n');
        fflush(stdout);
    }
    json_decref(json);
}

struct requests {
    struct bytes *packed;
    size_t n;
};

static void start_call(struct ctl *ctl, const struct schema_method *method, const struct requests *requests,
                       struct client_call *call)
{
    if (!method->client_streaming) {
        client_stream(ctl->client, call);
        return;
    }
    client_open_stream(ctl->client, call);
    for (size_t i = 1; i < requests->n && client_say(call, requests->packed[i]);)
        i++;
    client_say_end(call);
}

static int send_call(struct ctl *ctl, const struct schema *schema, const struct schema_method *method,
                     const struct requests *requests)
{
    struct client_call call = { .method = method->full_name, .request = requests->packed[0] };
    if (method->server_streaming || method->client_streaming) {
        start_call(ctl, method, requests, &call);
        for (struct bytes message; client_next(&call, &message);)
            show_reply(ctl, schema, method, message);
    } else {
        client_start(ctl->client, &call);
        client_ended(ctl->client);
        if (call.status.code == RPC_OK)
            show_reply(ctl, schema, method, call.reply);
    }
    int exit = call.status.code == RPC_OK ? CTL_OK : show_status(ctl, &call.status);
    client_finish(&call);
    return exit;
}

static int transcode(const struct schema *schema, const struct schema_method *method, const json_t *json,
                     struct requests *ret_requests)
{
    for (; ret_requests->n < json_array_size(json); ret_requests->n++) {
        char *error = NULL;
        if (schema_from_json(schema, method->input, json_array_get(json, ret_requests->n),
                             &ret_requests->packed[ret_requests->n], &error) == 0)
            continue;
        cli_usage("the request is no %s: %s", method->input, error ? error : "");
        free(error);
        return -EINVAL;
    }
    return 0;
}

static int transcode_and_send(struct ctl *ctl, const struct schema *schema, const char *path, const json_t *json)
{
    const struct schema_method *method = schema_method(schema, path, strlen(path));
    size_t n = json_array_size(json);
    if (!method)
        return cli_usage("the server has no method %s; omsctl list SERVICE shows what it has", path + 1);
    if (n == 0 || (n > 1 && !method->client_streaming))
        return cli_usage("%s takes %s", path + 1, n ? "one request" : "a request");
    struct requests requests = { .packed = arena_alloc(&ctl->arena, n * sizeof(*requests.packed)) };
    int exit = transcode(schema, method, json, &requests) < 0 ? CTL_USAGE : send_call(ctl, schema, method, &requests);
    while (requests.n > 0)
        free((void *)requests.packed[--requests.n].data);
    return exit;
}

int run_call(struct ctl *ctl)
{
    const char *path, *service;
    if (parse_method(&ctl->arena, ctl->args[0], &path, &service) < 0)
        return cli_usage("a method is package.Service/Method, not '%s'", ctl->args[0]);
    json_t *json = read_requests(ctl);
    if (!json)
        return CTL_USAGE;
    FileSet set;
    int exit = ask_files(ctl, service, &set);
    if (exit == CTL_OK) {
        struct schema *schema = schema_open(arena_pack(&ctl->arena, &set.base));
        exit = schema ? transcode_and_send(ctl, schema, path, json)
                      : cli_usage("what the server tells of %s does not fit together", service);
        schema_close(schema);
    }
    json_decref(json);
    return exit;
}

/* --- list --- */

static int list_services(struct ctl *ctl, struct table *table)
{
    ReflectionRequest request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.message_request_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES;
    request.list_services = (char *)"";
    ReflectionResponse *response;
    int exit = ask_reflection(ctl, &request, &response);
    if (exit != CTL_OK)
        return exit;
    const Grpc__Reflection__V1__ListServiceResponse *services = response->list_services_response;
    bool listed = response->message_response_case ==
                  GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    for (size_t i = 0; listed && i < services->n_service; i++)
        TABLE_ROW(table, services->service[i]->name);
    return CTL_OK;
}

static int list_methods(struct ctl *ctl, const char *service, struct table *table)
{
    FileSet set;
    int exit = ask_files(ctl, service, &set);
    if (exit != CTL_OK)
        return exit;
    struct schema *schema = schema_open(arena_pack(&ctl->arena, &set.base));
    const struct schema_method *methods;
    size_t n = schema ? schema_methods(schema, &methods) : 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(methods[i].service, service) == 0)
            TABLE_ROW(table, arena_printf(&ctl->arena, "%s/%s", service, methods[i].name));
    schema_close(schema);
    return CTL_OK;
}

int run_list(struct ctl *ctl)
{
    static const char *const heads[] = { "NAME", NULL };
    struct table *table = table_create(heads);
    int exit = ctl->n_args ? list_methods(ctl, ctl->args[0], table) : list_services(ctl, table);
    if (exit == CTL_OK && ctl->json)
        table_show_json(table);
    else
        table_show(table, exit == CTL_OK ? "nothing" : NULL);
    return exit;
}
