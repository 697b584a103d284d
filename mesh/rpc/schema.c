/* The descriptor set as tables: symbols by name, methods with their rules, message types with theirs. */
#include "mesh/rpc/types.h"
#include "mesh/rpc/wire.h"

#include "api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RULE_OPTION       50001    /* mesh/v1/options.proto */
#define HTTP_OPTION       72295728 /* google/api/annotations.proto */
#define SCHEMA_BUDGET     (64u << 20)
#define MAX_REQUEST_BYTES (64u << 10)
#define MAX_LENGTH        256
#define MAX_ITEMS         100
#define NESTING_MAX       32

enum symbol_kind { SYMBOL_NONE, SYMBOL_MESSAGE, SYMBOL_ENUM, SYMBOL_SERVICE, SYMBOL_METHOD };

struct symbol {
    const char *name;
    enum symbol_kind kind;
    uint32_t file;
    union {
        struct schema_message *message;
        const Google__Protobuf__EnumDescriptorProto *enumerated;
        const struct schema_method *method;
    };
};

struct schema {
    struct arena arena; /* holds everything */
    Google__Protobuf__FileDescriptorSet *set;
    struct bytes *files; /* packed, beside set->file */
    struct symbol *symbols;
    size_t n_slots; /* a power of two */
    struct schema_method *methods;
    size_t n_methods;
};

/* --- symbols --- */

/* The slot of the name, or the free one where it belongs. */
static struct symbol *find_slot(const struct schema *s, const char *name, size_t len)
{
    size_t at = name_hash(name, len) & (s->n_slots - 1);
    while (s->symbols[at].name && !(strncmp(s->symbols[at].name, name, len) == 0 && s->symbols[at].name[len] == '\0'))
        at = (at + 1) & (s->n_slots - 1);
    return &s->symbols[at];
}

static const struct symbol *find_symbol(const struct schema *s, const char *name, enum symbol_kind kind)
{
    const struct symbol *symbol = find_slot(s, name, strlen(name));
    return symbol->name && (kind == SYMBOL_NONE || symbol->kind == kind) ? symbol : NULL;
}

/* NULL: out of memory, or the name is taken. */
static struct symbol *add_symbol(struct schema *s, uint32_t file, const char *scope, const char *name,
                                 enum symbol_kind kind)
{
    char *full = *scope ? arena_printf(&s->arena, "%s.%s", scope, name) : arena_printf(&s->arena, "%s", name);
    struct symbol *symbol = full ? find_slot(s, full, strlen(full)) : NULL;
    if (!symbol || symbol->name)
        return NULL;
    *symbol = (struct symbol){ .name = full, .kind = kind, .file = file };
    return symbol;
}

static size_t count_messages(Google__Protobuf__DescriptorProto **messages, size_t n, unsigned depth)
{
    size_t count = n;
    for (size_t i = 0; i < n && depth < NESTING_MAX; i++)
        count +=
            messages[i]->n_enum_type + count_messages(messages[i]->nested_type, messages[i]->n_nested_type, depth + 1);
    return count;
}

static bool make_slots(struct schema *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->set->n_file; i++) {
        const Google__Protobuf__FileDescriptorProto *file = s->set->file[i];
        count += count_messages(file->message_type, file->n_message_type, 0) + file->n_enum_type + file->n_service;
        for (size_t j = 0; j < file->n_service; j++)
            s->n_methods += file->service[j]->n_method;
    }
    for (s->n_slots = 16; s->n_slots < 2 * (count + s->n_methods); s->n_slots *= 2)
        ;
    s->symbols = arena_zalloc(&s->arena, s->n_slots * sizeof(*s->symbols));
    s->methods = arena_zalloc(&s->arena, s->n_methods * sizeof(*s->methods));
    return s->symbols && s->methods;
}

/* --- options: custom ones are unknown fields, and may come in several pieces that merge --- */

static ProtobufCMessage *unpack_rule(struct schema *s, const ProtobufCMessage *options, uint32_t option,
                                     const ProtobufCMessageDescriptor *rule)
{
    uint8_t *merged = NULL;
    size_t len = 0, room = 0;
    for (unsigned i = 0; options && i < options->n_unknown_fields; i++)
        room += options->unknown_fields[i].len;
    if (room == 0 || !(merged = arena_alloc(&s->arena, room)))
        return NULL;

    for (unsigned i = 0; i < options->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &options->unknown_fields[i];
        struct bytes in = { field->data, field->len };
        uint64_t n;
        if (field->tag != option || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED || !wire_varint(&in, &n) ||
            n != in.len)
            continue;
        memcpy(merged + len, in.data, in.len);
        len += in.len;
    }
    ProtobufCAllocator allocator = arena_protobuf(&s->arena);
    return len > 0 ? protobuf_c_message_unpack(rule, &allocator, len, merged) : NULL;
}

static void apply_field_rule(struct schema *s, const Google__Protobuf__FieldOptions *options,
                             struct schema_field *field)
{
    const Mesh__V1__FieldRule *rule =
        options ? (Mesh__V1__FieldRule *)unpack_rule(s, &options->base, RULE_OPTION, &mesh__v1__field_rule__descriptor)
                : NULL;
    field->max_length = rule && rule->max_length ? rule->max_length : MAX_LENGTH;
    field->max_items = rule && rule->max_items ? rule->max_items : MAX_ITEMS;
    if (!rule)
        return;
    field->required = rule->required;
    field->apart = rule->apart;
    field->ranged = rule->min != 0 || rule->max != 0;
    field->min = rule->min;
    field->max = rule->min > 0 && rule->max == 0 ? INT64_MAX : rule->max;
}

static void apply_method_rule(struct schema *s, const Google__Protobuf__MethodOptions *options,
                              struct schema_method *method)
{
    const Mesh__V1__MethodRule *rule = options ? (Mesh__V1__MethodRule *)unpack_rule(s, &options->base, RULE_OPTION,
                                                                                     &mesh__v1__method_rule__descriptor)
                                               : NULL;
    method->max_request_bytes = rule && rule->max_request_bytes ? rule->max_request_bytes : MAX_REQUEST_BYTES;
    if (strncmp(method->service, "grpc.health.", 12) == 0 || strncmp(method->service, "grpc.reflection.", 16) == 0)
        method->allow = SCHEMA_PUBLIC;
    if (!rule)
        return;
    for (size_t i = 0; i < rule->n_allow; i++)
        method->allow |= rule->allow[i] > 0 && rule->allow[i] < 31 ? ROLE_BIT(rule->allow[i]) : 0;
    method->mutates = rule->mutates;
    method->idempotent = rule->idempotent;
    method->owner = *rule->owner ? rule->owner : NULL;
    method->undoes = *rule->undoes ? rule->undoes : NULL;
}

/* What is declared of google.api.HttpRule is all that is understood of it: false for anything else. */
static bool apply_http_rule(struct schema *s, const Google__Protobuf__MethodOptions *options,
                            struct schema_method *method)
{
    const Google__Api__HttpRule *rule =
        options
            ? (Google__Api__HttpRule *)unpack_rule(s, &options->base, HTTP_OPTION, &google__api__http_rule__descriptor)
            : NULL;
    if (!rule)
        return true;
    bool post = rule->pattern_case == GOOGLE__API__HTTP_RULE__PATTERN_POST;
    if (rule->base.n_unknown_fields > 0 || strcmp(rule->body, post ? "*" : "") != 0 ||
        (!post && rule->pattern_case != GOOGLE__API__HTTP_RULE__PATTERN_GET))
        return false;
    method->http_verb = post ? "POST" : "GET";
    method->http_path = post ? rule->post : rule->get;
    return true;
}

/* --- first pass: every name --- */

static bool add_message(struct schema *s, uint32_t file, const char *scope,
                        const Google__Protobuf__DescriptorProto *proto, unsigned depth)
{
    struct symbol *symbol = proto->name ? add_symbol(s, file, scope, proto->name, SYMBOL_MESSAGE) : NULL;
    struct schema_message *message = arena_zalloc(&s->arena, sizeof(*message));
    if (!symbol || !message || depth >= NESTING_MAX || proto->n_field > MESSAGE_FIELDS_MAX)
        return false;
    symbol->message = message;
    message->name = symbol->name;
    message->map_entry = proto->options && proto->options->map_entry;
    for (size_t i = 0; i < proto->n_nested_type; i++)
        if (!add_message(s, file, message->name, proto->nested_type[i], depth + 1))
            return false;
    for (size_t i = 0; i < proto->n_enum_type; i++) {
        struct symbol *nested = add_symbol(s, file, message->name, proto->enum_type[i]->name, SYMBOL_ENUM);
        if (!nested)
            return false;
        nested->enumerated = proto->enum_type[i];
    }
    return true;
}

static bool add_service(struct schema *s, uint32_t file, const char *package,
                        const Google__Protobuf__ServiceDescriptorProto *proto)
{
    const struct symbol *service = proto->name ? add_symbol(s, file, package, proto->name, SYMBOL_SERVICE) : NULL;
    for (size_t i = 0; service && i < proto->n_method; i++) {
        const Google__Protobuf__MethodDescriptorProto *from = proto->method[i];
        struct schema_method *method = &s->methods[s->n_methods++];
        struct symbol *symbol = from->name ? add_symbol(s, file, service->name, from->name, SYMBOL_METHOD) : NULL;
        if (!symbol || !from->input_type || !from->output_type)
            return false;
        symbol->method = method;
        *method = (struct schema_method){
            .full_name = arena_printf(&s->arena, "/%s/%s", service->name, from->name),
            .service = service->name,
            .name = from->name,
            .input = from->input_type + (*from->input_type == '.'),
            .output = from->output_type + (*from->output_type == '.'),
            .client_streaming = from->client_streaming,
            .server_streaming = from->server_streaming,
        };
        if (!method->full_name)
            return false;
        apply_method_rule(s, from->options, method);
        if (!apply_http_rule(s, from->options, method))
            return false;
    }
    return service;
}

static bool add_file(struct schema *s, uint32_t index)
{
    const Google__Protobuf__FileDescriptorProto *file = s->set->file[index];
    const char *package = file->package ? file->package : "";
    for (size_t i = 0; i < file->n_message_type; i++)
        if (!add_message(s, index, package, file->message_type[i], 0))
            return false;
    for (size_t i = 0; i < file->n_enum_type; i++) {
        struct symbol *symbol = add_symbol(s, index, package, file->enum_type[i]->name, SYMBOL_ENUM);
        if (!symbol)
            return false;
        symbol->enumerated = file->enum_type[i];
    }
    for (size_t i = 0; i < file->n_service; i++)
        if (!add_service(s, index, package, file->service[i]))
            return false;
    return true;
}

/* --- second pass: what the names refer to --- */

/* lowerCamelCase of a snake_case name, for descriptors that come without it. */
static const char *json_name(struct schema *s, const char *name)
{
    char *json = arena_copy(&s->arena, name, strlen(name)), *out = json;
    bool upper = false;
    for (; out && *name; name++) {
        if (*name != '_')
            *out++ = upper && *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
        upper = *name == '_';
    }
    if (out)
        *out = '\0';
    return json;
}

static bool fill_field(struct schema *s, const Google__Protobuf__FieldDescriptorProto *from, struct schema_field *field)
{
    if (!from->name || !from->has_type || from->number <= 0 || (enum field_type)from->type == TYPE_GROUP)
        return false;
    *field = (struct schema_field){
        .name = from->name,
        .json_name = from->json_name && *from->json_name ? from->json_name : json_name(s, from->name),
        .number = (uint32_t)from->number,
        .type = (enum field_type)from->type,
        .repeated = from->label == GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED,
        .oneof = from->has_oneof_index ? from->oneof_index : -1,
    };
    apply_field_rule(s, from->options, field);
    if (field->type != TYPE_MESSAGE && field->type != TYPE_ENUM)
        return field->json_name;

    const char *type = from->type_name ? from->type_name + (*from->type_name == '.') : "";
    const struct symbol *symbol = find_symbol(s, type, field->type == TYPE_ENUM ? SYMBOL_ENUM : SYMBOL_MESSAGE);
    if (!symbol || !field->json_name)
        return false;
    if (field->type == TYPE_ENUM)
        field->enumerated = symbol->enumerated;
    else
        field->message = symbol->message;
    return true;
}

static int compare_fields(const void *a, const void *b)
{
    const struct schema_field *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static bool fill_message(struct schema *s, const char *scope, const Google__Protobuf__DescriptorProto *proto)
{
    char *name =
        *scope ? arena_printf(&s->arena, "%s.%s", scope, proto->name) : arena_printf(&s->arena, "%s", proto->name);
    const struct symbol *symbol = name ? find_symbol(s, name, SYMBOL_MESSAGE) : NULL;
    if (!symbol)
        return false;
    struct schema_message *message = symbol->message;
    message->fields = arena_alloc(&s->arena, proto->n_field * sizeof(*message->fields));
    message->n_fields = proto->n_field;
    for (size_t i = 0; i < proto->n_field; i++)
        if (!message->fields || !fill_field(s, proto->field[i], &message->fields[i]))
            return false;
    if (proto->n_field > 1)
        qsort(message->fields, proto->n_field, sizeof(*message->fields), compare_fields);
    for (size_t i = 0; i < proto->n_nested_type; i++)
        if (!fill_message(s, name, proto->nested_type[i]))
            return false;
    return true;
}

static bool fill_file(struct schema *s, const Google__Protobuf__FileDescriptorProto *file)
{
    for (size_t i = 0; i < file->n_message_type; i++)
        if (!fill_message(s, file->package ? file->package : "", file->message_type[i]))
            return false;
    return true;
}

/* --- opening --- */

static bool split_files(struct schema *s, struct bytes set)
{
    struct wire_field field;
    size_t n = 0;
    s->files = arena_alloc(&s->arena, s->set->n_file * sizeof(*s->files));
    while (s->files && set.len > 0) {
        if (!wire_next(&set, &field))
            return false;
        if (field.number == 1 && n < s->set->n_file)
            s->files[n++] = field.data;
    }
    return s->files && n == s->set->n_file;
}

static bool load(struct schema *s, struct bytes set)
{
    char *own = arena_copy(&s->arena, set.data, set.len);
    ProtobufCAllocator allocator = arena_protobuf(&s->arena);
    s->set = own ? google__protobuf__file_descriptor_set__unpack(&allocator, set.len, (uint8_t *)own) : NULL;
    if (!s->set || !split_files(s, (struct bytes){ (uint8_t *)own, set.len }) || !make_slots(s))
        return false;

    s->n_methods = 0;
    for (size_t i = 0; i < s->set->n_file; i++)
        if (!add_file(s, (uint32_t)i))
            return false;
    for (size_t i = 0; i < s->set->n_file; i++)
        if (!fill_file(s, s->set->file[i]))
            return false;
    for (size_t i = 0; i < s->n_methods; i++)
        if (!schema_message(s, s->methods[i].input) || !schema_message(s, s->methods[i].output))
            return false;
    return true;
}

struct schema *schema_open(struct bytes file_descriptor_set)
{
    struct schema *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    arena_init(&s->arena, SCHEMA_BUDGET);
    if (load(s, file_descriptor_set))
        return s;
    schema_close(s);
    return NULL;
}

void schema_close(struct schema *schema)
{
    if (!schema)
        return;
    arena_finish(&schema->arena);
    free(schema);
}

static struct schema *builtin;

static void __attribute__((destructor)) close_builtin(void)
{
    schema_close(builtin);
}

/* Made before main, so that it is there on every lane without a lock. */
static void __attribute__((constructor)) open_builtin(void)
{
    builtin = schema_open((struct bytes){ api_descriptors, api_descriptors_len });
    if (builtin)
        return;
    fprintf(stderr, "the descriptor set compiled into this program is broken\n");
    abort();
}

const struct schema *schema_builtin(void)
{
    return builtin;
}

/* --- lookups --- */

const struct schema_method *schema_method(const struct schema *schema, const char *full_name, size_t len)
{
    char name[256];
    if (len < 2 || len > sizeof(name) || full_name[0] != '/')
        return NULL;
    const char *slash = memchr(full_name + 1, '/', len - 1);
    if (!slash || memchr(full_name, '\0', len))
        return NULL;
    memcpy(name, full_name + 1, len - 1);
    name[slash - full_name - 1] = '.';
    const struct symbol *symbol = find_slot(schema, name, len - 1);
    bool found = symbol->name && symbol->kind == SYMBOL_METHOD;
    return found && strncmp(symbol->method->full_name, full_name, len) == 0 ? symbol->method : NULL;
}

size_t schema_methods(const struct schema *schema, const struct schema_method **ret_first)
{
    *ret_first = schema->methods;
    return schema->n_methods;
}

const struct schema_message *schema_message(const struct schema *schema, const char *name)
{
    const struct symbol *symbol = find_symbol(schema, name, SYMBOL_MESSAGE);
    return symbol ? symbol->message : NULL;
}

bool schema_file_of_symbol(const struct schema *schema, const char *symbol, struct bytes *ret_file)
{
    const struct symbol *found = find_symbol(schema, symbol, SYMBOL_NONE);
    const char *dot = strrchr(symbol, '.');
    if (!found && dot) { /* a field, or a value of an enum, stands in the file of what holds it */
        found = find_slot(schema, symbol, (size_t)(dot - symbol));
        found = found->name && found->kind != SYMBOL_SERVICE ? found : NULL;
    }
    if (!found)
        return false;
    *ret_file = schema->files[found->file];
    return true;
}

bool schema_file_by_name(const struct schema *schema, const char *name, struct bytes *ret_file)
{
    for (size_t i = 0; i < schema->set->n_file; i++) {
        if (!schema->set->file[i]->name || strcmp(schema->set->file[i]->name, name) != 0)
            continue;
        *ret_file = schema->files[i];
        return true;
    }
    return false;
}

const Google__Protobuf__FileDescriptorSet *schema_set(const struct schema *schema)
{
    return schema->set;
}
