/* describe: a symbol as it stands in the proto. */
#include "omsctl/commands.h"
#include "omsctl/reflect.h"
#include "omsctl/show.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef Google__Protobuf__DescriptorProto Message;
typedef Google__Protobuf__EnumDescriptorProto Enum;
typedef Google__Protobuf__ServiceDescriptorProto Service;
typedef Google__Protobuf__MethodDescriptorProto Method;
typedef Google__Protobuf__FieldDescriptorProto Field;

static const char *without_dot(const char *name)
{
    return name[0] == '.' ? name + 1 : name;
}

static void print_rpc(const Method *m, const char *indent)
{
    printf("%srpc %s(%s%s) returns (%s%s);\n", indent, m->name, m->client_streaming ? "stream " : "",
           without_dot(m->input_type), m->server_streaming ? "stream " : "", without_dot(m->output_type));
}

static void print_method(const void *method, const char *name)
{
    print_rpc(method, "");
}

static void print_service(const void *descriptor, const char *name)
{
    const Service *service = descriptor;
    printf("service %s {\n", name);
    for (size_t i = 0; i < service->n_method; i++)
        print_rpc(service->method[i], "  ");
    puts("}");
}

static void print_enum(const void *descriptor, const char *name)
{
    const Enum *e = descriptor;
    printf("enum %s {\n", name);
    for (size_t i = 0; i < e->n_value; i++)
        printf("  %s = %d;\n", e->value[i]->name, e->value[i]->number);
    puts("}");
}

/* TYPE_INT64 is int64 in a proto. */
static const char *scalar_name(const Field *field, char ret_name[32])
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &google__protobuf__field_descriptor_proto__type__descriptor, (int)field->type);
    snprintf(ret_name, 32, "%s", value ? value->name + strlen("TYPE_") : "?");
    for (char *c = ret_name; *c; c++)
        *c = (char)tolower(*c);
    return ret_name;
}

static void print_message(const void *descriptor, const char *name)
{
    const Message *message = descriptor;
    printf("message %s {\n", name);
    for (size_t i = 0; i < message->n_field; i++) {
        const Field *f = message->field[i];
        char scalar[32];
        const char *type = f->type_name && f->type_name[0] ? without_dot(f->type_name) : scalar_name(f, scalar);
        bool repeated = f->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED;
        printf("  %s%s %s = %d;", repeated ? "repeated " : "", type, f->name, f->number);
        if (f->has_oneof_index && (size_t)f->oneof_index < message->n_oneof_decl)
            printf("  // one of %s", message->oneof_decl[f->oneof_index]->name);
        putchar('\n');
    }
    puts("}");
}

/* What is left of the symbol behind a scope: "" if it is the scope, NULL if it is outside of it. */
static const char *behind(const char *symbol, const char *scope)
{
    size_t n = strlen(scope);
    if (n == 0)
        return symbol;
    if (strncmp(symbol, scope, n) != 0 || (symbol[n] && symbol[n] != '.'))
        return NULL;
    return symbol[n] ? symbol + n + 1 : "";
}

static const ProtobufCMessage *find_enum(Enum *const *enums, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(enums[i]->name, name) == 0)
            return &enums[i]->base;
    return NULL;
}

static const ProtobufCMessage *find_message(Message *const *messages, size_t n, const char *rest)
{
    const ProtobufCMessage *found = NULL;
    for (size_t i = 0; i < n && !found; i++) {
        const Message *message = messages[i];
        const char *inner = behind(rest, message->name);
        if (!inner)
            continue;
        found = inner[0] ? find_enum(message->enum_type, message->n_enum_type, inner) : &message->base;
        if (!found) /* as deep as the name */
            found = find_message(message->nested_type, message->n_nested_type, inner);
    }
    return found;
}

static const ProtobufCMessage *find_service(Service *const *services, size_t n, const char *rest)
{
    for (size_t i = 0; i < n; i++) {
        const char *inner = behind(rest, services[i]->name);
        if (inner && !inner[0])
            return &services[i]->base;
        for (size_t m = 0; inner && m < services[i]->n_method; m++)
            if (strcmp(services[i]->method[m]->name, inner) == 0)
                return &services[i]->method[m]->base;
    }
    return NULL;
}

static const ProtobufCMessage *find_in(const File *file, const char *symbol)
{
    const char *rest = behind(symbol, file->package ? file->package : "");
    if (!rest || !rest[0])
        return NULL;
    const ProtobufCMessage *found = find_service(file->service, file->n_service, rest);
    if (!found)
        found = find_enum(file->enum_type, file->n_enum_type, rest);
    return found ? found : find_message(file->message_type, file->n_message_type, rest);
}

static const struct {
    const ProtobufCMessageDescriptor *type;
    void (*print)(const void *descriptor, const char *name);
} printers[] = {
    { &google__protobuf__service_descriptor_proto__descriptor, print_service },
    { &google__protobuf__method_descriptor_proto__descriptor, print_method },
    { &google__protobuf__descriptor_proto__descriptor, print_message },
    { &google__protobuf__enum_descriptor_proto__descriptor, print_enum },
};

static void show(const struct ctl *ctl, const ProtobufCMessage *found, const char *symbol)
{
    if (ctl->json)
        show_message(found);
    for (size_t i = 0; !ctl->json && i < sizeof(printers) / sizeof(printers[0]); i++)
        if (printers[i].type == found->descriptor)
            printers[i].print(found, symbol);
}

int run_describe(struct ctl *ctl)
{
    char *symbol = arena_printf(&ctl->arena, "%s", ctl->args[0] + (ctl->args[0][0] == '/'));
    char *slash = strchr(symbol, '/');
    if (slash)
        *slash = '.';
    FileSet set;
    int exit = ask_files(ctl, symbol, &set);
    const ProtobufCMessage *found = NULL;
    for (size_t i = 0; exit == CTL_OK && i < set.n_file && !found; i++)
        found = find_in(set.file[i], symbol);
    if (found)
        show(ctl, found, symbol);
    return exit == CTL_OK && !found ? cli_usage("the server knows %s, but tells nothing that can be shown", symbol)
                                    : exit;
}
