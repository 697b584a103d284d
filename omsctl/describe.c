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

static void print_method(const Method *m, const char *indent)
{
    printf("%srpc %s(%s%s) returns (%s%s);\n", indent, m->name, m->client_streaming ? "stream " : "",
           without_dot(m->input_type), m->server_streaming ? "stream " : "", without_dot(m->output_type));
}

static void print_service(const Service *service, const char *name)
{
    printf("service %s {\n", name);
    for (size_t i = 0; i < service->n_method; i++)
        print_method(service->method[i], "  ");
    puts("}");
}

static void print_enum(const Enum *e, const char *name)
{
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

static void print_message(const Message *message, const char *name)
{
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

static bool describe_message(Message *const *messages, size_t n, const char *rest, const char *symbol)
{
    for (size_t i = 0; i < n; i++) {
        const Message *message = messages[i];
        const char *inner = behind(rest, message->name);
        if (!inner)
            continue;
        if (!inner[0]) {
            print_message(message, symbol);
            return true;
        }
        for (size_t e = 0; e < message->n_enum_type; e++)
            if (strcmp(message->enum_type[e]->name, inner) == 0) {
                print_enum(message->enum_type[e], symbol);
                return true;
            }
        if (describe_message(message->nested_type, message->n_nested_type, inner, symbol)) /* as deep as the name */
            return true;
    }
    return false;
}

static bool describe_service(const Service *service, const char *inner, const char *symbol)
{
    if (!inner[0]) {
        print_service(service, symbol);
        return true;
    }
    for (size_t i = 0; i < service->n_method; i++)
        if (strcmp(service->method[i]->name, inner) == 0) {
            print_method(service->method[i], "");
            return true;
        }
    return false;
}

static bool describe_in(const File *file, const char *symbol)
{
    const char *rest = behind(symbol, file->package ? file->package : "");
    if (!rest || !rest[0])
        return false;
    for (size_t i = 0; i < file->n_service; i++) {
        const char *inner = behind(rest, file->service[i]->name);
        if (inner && describe_service(file->service[i], inner, symbol))
            return true;
    }
    for (size_t i = 0; i < file->n_enum_type; i++)
        if (strcmp(file->enum_type[i]->name, rest) == 0) {
            print_enum(file->enum_type[i], symbol);
            return true;
        }
    return describe_message(file->message_type, file->n_message_type, rest, symbol);
}

int run_describe(struct ctl *ctl)
{
    char *symbol = arena_printf(&ctl->arena, "%s", ctl->args[0] + (ctl->args[0][0] == '/'));
    char *slash = strchr(symbol, '/');
    if (slash)
        *slash = '.';
    FileSet set;
    int exit = ask_files(ctl, symbol, &set);
    for (size_t i = 0; exit == CTL_OK && i < set.n_file; i++)
        if (describe_in(set.file[i], symbol))
            return CTL_OK;
    return exit == CTL_OK ? cli_usage("the server knows %s, but tells nothing that can be shown", symbol) : exit;
}
