/* JSON of every kind of field, there and back, over the API and over a schema as reflection would give it. */
#include "mesh/rpc/known.h"
#include "mesh/rpc/schema.h"
#include "tests/suite.h"

#include "api.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

typedef Google__Protobuf__FieldDescriptorProto field_proto;

static field_proto *field(const char *name, int number, int type, const char *type_name, bool repeated)
{
    field_proto *f = calloc(1, sizeof(*f));
    google__protobuf__field_descriptor_proto__init(f);
    f->name = (char *)name;
    f->has_number = f->has_label = f->has_type = true;
    f->number = number;
    f->type = (Google__Protobuf__FieldDescriptorProto__Type)type;
    f->label = repeated ? GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_REPEATED
                        : GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_OPTIONAL;
    f->type_name = (char *)type_name;
    return f;
}

static Google__Protobuf__DescriptorProto *message(const char *name, field_proto **fields, size_t n)
{
    Google__Protobuf__DescriptorProto *m = calloc(1, sizeof(*m));
    google__protobuf__descriptor_proto__init(m);
    m->name = (char *)name;
    m->field = fields;
    m->n_field = n;
    return m;
}

static Google__Protobuf__FileDescriptorProto *file(const char *name, const char *package,
                                                   Google__Protobuf__DescriptorProto **messages, size_t n)
{
    Google__Protobuf__FileDescriptorProto *f = calloc(1, sizeof(*f));
    google__protobuf__file_descriptor_proto__init(f);
    f->name = (char *)name;
    f->package = (char *)package;
    f->message_type = messages;
    f->n_message_type = n;
    return f;
}

/* t.All has every scalar by its type's number, lists, a map, a oneof, times and itself. */
static struct schema *every_kind(void)
{
    static const char *const names[] = { "",        "a_double", "a_float",  "int64",  "uint64", "int32", "fixed64",
                                         "fixed32", "bool",     "string",   "",       "",       "bytes", "uint32",
                                         "an_enum", "sfixed32", "sfixed64", "sint32", "sint64" };
    static field_proto *fields[40], *entry[2], *time[2];
    size_t n = 0;
    for (int type = 1; type <= 18; type++)
        if (*names[type])
            fields[n++] = field(names[type], type, type, type == 14 ? ".t.Color" : NULL, false);
    fields[n++] = field("numbers", 20, 17, NULL, true);
    fields[n++] = field("texts", 21, 9, NULL, true);
    fields[n++] = field("by_key", 22, 11, ".t.All.ByKeyEntry", true);
    fields[n++] = field("either", 23, 5, NULL, false);
    fields[n++] = field("or_text", 24, 9, NULL, false);
    fields[n - 1]->has_oneof_index = fields[n - 2]->has_oneof_index = true;
    fields[n++] = field("when", 25, 11, ".google.protobuf.Timestamp", false);
    fields[n++] = field("self", 26, 11, ".t.All", false);
    fields[n++] = field("colors", 27, 14, ".t.Color", true);
    fields[n++] = field("doubles", 28, 1, NULL, true);

    Google__Protobuf__EnumValueDescriptorProto values[2], *value_list[] = { &values[0], &values[1] };
    google__protobuf__enum_value_descriptor_proto__init(&values[0]);
    google__protobuf__enum_value_descriptor_proto__init(&values[1]);
    values[0].name = (char *)"NONE";
    values[1].name = (char *)"RED";
    values[0].has_number = values[1].has_number = true;
    values[1].number = 5;
    Google__Protobuf__EnumDescriptorProto color, *enums[] = { &color };
    google__protobuf__enum_descriptor_proto__init(&color);
    color.name = (char *)"Color";
    color.value = value_list;
    color.n_value = 2;

    entry[0] = field("key", 1, 5, NULL, false);
    entry[1] = field("value", 2, 9, NULL, false);
    time[0] = field("seconds", 1, 3, NULL, false);
    time[1] = field("nanos", 2, 5, NULL, false);
    Google__Protobuf__DescriptorProto *map = message("ByKeyEntry", entry, 2), *nested[] = { map };
    Google__Protobuf__MessageOptions options = GOOGLE__PROTOBUF__MESSAGE_OPTIONS__INIT;
    options.has_map_entry = options.map_entry = true;
    map->options = &options;
    Google__Protobuf__DescriptorProto *all[] = { message("All", fields, n) },
                                      *times[] = { message("Timestamp", time, 2) };
    all[0]->nested_type = nested;
    all[0]->n_nested_type = 1;
    Google__Protobuf__FileDescriptorProto *files[] = { file("t.proto", "t", all, 1),
                                                       file("time.proto", "google.protobuf", times, 1) };
    files[0]->enum_type = enums;
    files[0]->n_enum_type = 1;
    Google__Protobuf__FileDescriptorSet set = GOOGLE__PROTOBUF__FILE_DESCRIPTOR_SET__INIT;
    set.file = files;
    set.n_file = 2;

    uint8_t packed[4096];
    ck_assert_uint_le(google__protobuf__file_descriptor_set__get_packed_size(&set), sizeof(packed));
    struct schema *schema =
        schema_open((struct bytes){ packed, google__protobuf__file_descriptor_set__pack(&set, packed) });
    ck_assert_ptr_nonnull(schema);
    for (size_t i = 0; i < n; i++)
        free(fields[i]);
    for (size_t i = 0; i < 2; i++) {
        free(entry[i]);
        free(time[i]);
        free(files[i]);
    }
    free(map);
    free(all[0]);
    free(times[0]);
    return schema;
}

static char *there_and_back(const struct schema *schema, const char *type, const char *text)
{
    char *error = NULL;
    struct bytes wire;
    json_t *json = json_loads(text, 0, NULL);
    ck_assert_msg(json, "%s", text);
    int r = schema_from_json(schema, type, json, &wire, &error);
    ck_assert_msg(r == 0, "%s: %s", text, error ? error : "");
    json_decref(json);
    json = schema_to_json(schema, type, wire, &error);
    ck_assert_msg(json, "%s: %s", text, error ? error : "");
    free((void *)wire.data);
    char *again = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(10));
    json_decref(json);
    return again;
}

static void ck_becomes(const struct schema *schema, const char *type, const char *text, const char *becomes)
{
    char *again = there_and_back(schema, type, text);
    ck_assert_str_eq(again, becomes);
    free(again);
}

static void ck_refused(const struct schema *schema, const char *type, const char *text, const char *sentence)
{
    char *error = NULL;
    struct bytes wire;
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_msg(json, "%s", text);
    ck_assert_int_eq(schema_from_json(schema, type, json, &wire, &error), -EINVAL);
    ck_assert_ptr_nonnull(error);
    ck_assert_str_eq(error, sentence);
    free(error);
    json_decref(json);
}

START_TEST(every_kind_of_field_survives)
{
    static const char *const same[] = {
        "{\"aDouble\":1.5}",
        "{\"aFloat\":-2.25}",
        "{\"aDouble\":\"NaN\"}",
        "{\"aFloat\":\"-Infinity\"}",
        "{\"int64\":\"-9223372036854775808\"}",
        "{\"uint64\":\"18446744073709551615\"}",
        "{\"int32\":-2147483648}",
        "{\"fixed64\":\"18446744073709551615\"}",
        "{\"fixed32\":4294967295}",
        "{\"bool\":true}",
        "{\"string\":\"K\xc3\xb6ln\"}",
        "{\"bytes\":\"AP+A\"}",
        "{\"uint32\":4294967295}",
        "{\"anEnum\":\"RED\"}",
        "{\"anEnum\":77}",
        "{\"sfixed32\":-1}",
        "{\"sfixed64\":\"-1\"}",
        "{\"sint32\":-2147483648}",
        "{\"sint64\":\"-9223372036854775808\"}",
        "{\"numbers\":[0,-1,1,2147483647]}",
        "{\"texts\":[\"\",\"a\"]}",
        "{\"byKey\":{\"-7\":\"x\",\"0\":\"\"}}",
        "{\"either\":0}",
        "{\"orText\":\"\"}",
        "{\"when\":\"2024-02-29T23:59:59.120Z\"}",
        "{\"self\":{\"self\":{}}}",
        "{\"colors\":[\"NONE\",\"RED\"]}",
        "{\"doubles\":[0.5,1.0]}",
        "{}",
    };
    struct schema *schema = every_kind();
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        ck_becomes(schema, "t.All", same[i], same[i]);
    schema_close(schema);
}
END_TEST

START_TEST(what_is_written_otherwise_is_read_too)
{
    struct schema *schema = every_kind();
    ck_becomes(schema, "t.All", "{\"a_double\":1,\"int64\":5,\"int32\":\"7\",\"uint32\":2.0,\"uint64\":1e3}",
               "{\"aDouble\":1.0,\"int64\":\"5\",\"uint64\":\"1000\",\"int32\":7,\"uint32\":2}");
    ck_becomes(schema, "t.All", "{\"bool\":false,\"string\":\"\",\"int32\":0,\"texts\":null,\"anEnum\":5}",
               "{\"anEnum\":\"RED\"}");
    ck_becomes(schema, "t.All", "{\"bytes\":\"_-8\"}", "{\"bytes\":\"/+8=\"}");
    ck_becomes(schema, "t.All", "{\"when\":\"2024-01-01T00:30:00+01:00\"}", "{\"when\":\"2023-12-31T23:30:00Z\"}");
    schema_close(schema);
}
END_TEST

START_TEST(what_does_not_fit_is_named_by_its_path)
{
    struct schema *schema = every_kind();
    ck_refused(schema, "t.All", "{\"int32\":2147483648}", "int32: is out of range");
    ck_refused(schema, "t.All", "{\"int32\":1.5}", "int32: must be a whole number");
    ck_refused(schema, "t.All", "{\"int32\":\"1x\"}", "int32: must be a whole number");
    ck_refused(schema, "t.All", "{\"int64\":\"9223372036854775808\"}", "int64: is out of range");
    ck_refused(schema, "t.All", "{\"uint64\":-1}", "uint64: is out of range");
    ck_refused(schema, "t.All", "{\"uint64\":\"18446744073709551616\"}", "uint64: must be a whole number");
    ck_refused(schema, "t.All", "{\"bool\":1}", "bool: must be true or false");
    ck_refused(schema, "t.All", "{\"aDouble\":\"inf\"}", "a_double: must be a number");
    ck_refused(schema, "t.All", "{\"aDouble\":\"0x10\"}", "a_double: must be a number");
    ck_refused(schema, "t.All", "{\"aDouble\":\"\"}", "a_double: must be a number");
    ck_refused(schema, "t.All", "{\"aDouble\":\"1e999\"}", "a_double: is out of range");
    ck_refused(schema, "t.All", "{\"aFloat\":1e39}", "a_float: is out of range");
    ck_refused(schema, "t.All", "{\"string\":1}", "string: must be a text");
    ck_refused(schema, "t.All", "{\"bytes\":\"?\"}", "bytes: must be bytes in base64");
    ck_refused(schema, "t.All", "{\"bytes\":7}", "bytes: must be bytes in base64");
    ck_refused(schema, "t.All", "{\"anEnum\":\"BLUE\"}", "an_enum: is no value of Color");
    ck_refused(schema, "t.All", "{\"texts\":\"a\"}", "texts: must be an array");
    ck_refused(schema, "t.All", "{\"texts\":[\"a\",2]}", "texts[1]: must be a text");
    ck_refused(schema, "t.All", "{\"self\":{\"self\":{\"nope\":1}}}", "self.self.nope: t.All has no such field");
    ck_refused(schema, "t.All", "{\"byKey\":{\"x\":\"y\"}}", "by_key.x: must be a whole number");
    ck_refused(schema, "t.All", "{\"either\":1,\"orText\":\"\"}", "orText: excludes another field that is given");
    ck_refused(schema, "t.All", "{\"a_float\":1,\"aFloat\":2}", "a_float: is given twice, also as aFloat");
    ck_refused(schema, "t.All", "{\"when\":\"2023-02-29T00:00:00Z\"}",
               "when: must be a time such as 2024-02-29T12:00:00Z");
    ck_refused(schema, "t.All", "[]", "must be an object");
    ck_refused(schema, "t.None", "{}", "there is no type t.None");
    schema_close(schema);
}
END_TEST

START_TEST(depth_is_limited_both_ways)
{
    struct schema *schema = every_kind();
    char text[1024] = "", *error = NULL;
    for (int i = 0; i < 32; i++)
        strcat(text, "{\"self\":");
    strcat(text, "{}");
    for (int i = 0; i < 32; i++)
        strcat(text, "}");
    json_t *json = json_loads(text, 0, NULL);
    struct bytes wire;
    ck_assert_int_eq(schema_from_json(schema, "t.All", json, &wire, &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "nested more than 32 deep"));
    free(error);
    json_decref(json);

    uint8_t nest[200], *at = nest + sizeof(nest);
    for (size_t len = 0; len < 100; len += 3) {
        at -= 3;
        at[0] = 0xd2;
        at[1] = 0x01;
        at[2] = (uint8_t)len;
    }
    error = NULL;
    ck_assert_ptr_null(
        schema_to_json(schema, "t.All", (struct bytes){ at, (size_t)(nest + sizeof(nest) - at) }, &error));
    ck_assert_ptr_nonnull(strstr(error, "nested more than 32 deep"));
    free(error);
    schema_close(schema);
}
END_TEST

START_TEST(malformed_bytes_are_an_error_and_never_crash)
{
    struct schema *schema = every_kind();
    static const struct {
        const char *data;
        size_t len;
    } bad[] = { { "\xff", 1 },     { "\x0a\x05z", 3 },        { "\x4a\x02\xff\xff", 4 },
                { "\x28\x80", 2 }, { "\xa2\x01\x01\x80", 4 }, { "\x2a\x00", 2 } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *error = NULL;
        ck_assert_ptr_null(
            schema_to_json(schema, "t.All", (struct bytes){ (const uint8_t *)bad[i].data, bad[i].len }, &error));
        ck_assert_ptr_nonnull(error);
        free(error);
    }
    uint64_t random = 7;
    for (int i = 0; i < 30000; i++) {
        uint8_t data[24];
        for (size_t j = 0; j < sizeof(data); j++)
            data[j] = (uint8_t)((random = random * 6364136223846793005 + 1442695040888963407) >> 56);
        data[0] = (uint8_t)(data[0] % 29 << 3 | (data[0] & 7));
        char *error = NULL;
        json_t *json = schema_to_json(schema, "t.All", (struct bytes){ data, 1 + random % 23 }, &error);
        ck_assert(json || error);
        json_decref(json);
        free(error);
    }
    schema_close(schema);
}
END_TEST

START_TEST(an_order_reads_as_the_api_says)
{
    static const char text[] =
        "{\"requestId\":\"r1\",\"lines\":[{\"sku\":\"A\",\"quantity\":\"2\",\"unitPrice\":{\"currencyCode\":\"GBP\","
        "\"units\":\"1\",\"nanos\":500000000}}],\"currencyCode\":\"GBP\",\"shipTo\":{\"street\":[\"x\",\"y\"]},"
        "\"wait\":true}";
    ck_becomes(schema_builtin(), "oms.order.v1.PlaceOrderRequest", text, text);
    ck_refused(schema_builtin(), "oms.order.v1.PlaceOrderRequest", "{\"lines\":[{},{\"unitPrice\":{\"unit\":1}}]}",
               "lines[1].unit_price.unit: google.type.Money has no such field");
}
END_TEST

START_TEST(any_is_expanded_where_its_type_is_known)
{
    static const char text[] =
        "{\"code\":3,\"message\":\"m\",\"details\":["
        "{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":\"R\",\"domain\":\"d\","
        "\"metadata\":[{\"key\":\"k\",\"value\":\"v\"}]},"
        "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"1.500s\"},"
        "{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"-0.000000001s\"},{}]}";
    ck_becomes(schema_builtin(), "google.rpc.Status", text, text);
    ck_refused(schema_builtin(), "google.rpc.Status", "{\"details\":[{\"@type\":\"x/no.Such\"}]}",
               "details[0]: the type x/no.Such is unknown");
    char *error = NULL; /* an unknown one is shown as it is */
    const char wire[] = "\x1a\x0a\x0a\x05"
                        "x/y.Z"
                        "\x12\x01\xff";
    json_t *json =
        schema_to_json(schema_builtin(), "google.rpc.Status", (struct bytes){ (const uint8_t *)wire, 12 }, &error);
    char *shown = json_dumps(json, JSON_COMPACT);
    ck_assert_str_eq(shown, "{\"details\":[{\"@type\":\"x/y.Z\",\"value\":\"/w==\"}]}");
    free(shown);
    json_decref(json);
}
END_TEST

START_TEST(times_and_durations_are_read_strictly)
{
    static const char *const bad_durations[] = { "",    "s",   "1",    "1.s",  ".5s",  "1.1234567890s",
                                                 "+1s", "1s ", "--1s", "1e3s", "0x1s", "315576000001s" };
    static const char *const bad_times[] = { "",
                                             "2024-01-01",
                                             "2024-01-01T00:00:00",
                                             "2024-13-01T00:00:00Z",
                                             "2024-00-01T00:00:00Z",
                                             "2024-01-32T00:00:00Z",
                                             "2024-01-01T24:00:00Z",
                                             "2024-01-01T00:60:00Z",
                                             "2024-01-01T00:00:60Z",
                                             "0000-01-01T00:00:00Z",
                                             "2024-01-01t00:00:00Z",
                                             "2024-01-01T00:00:00+1:00",
                                             "9999-12-31T23:59:59-00:01",
                                             "2024-01-01T00:00:00Zx" };
    int64_t seconds;
    int32_t nanos;
    char text[KNOWN_TEXT];
    for (size_t i = 0; i < sizeof(bad_durations) / sizeof(bad_durations[0]); i++)
        ck_assert_msg(!known_duration_parse(bad_durations[i], &seconds, &nanos), "%s", bad_durations[i]);
    for (size_t i = 0; i < sizeof(bad_times) / sizeof(bad_times[0]); i++)
        ck_assert_msg(!known_timestamp_parse(bad_times[i], &seconds, &nanos), "%s", bad_times[i]);
    ck_assert(known_duration_parse("-1.000001s", &seconds, &nanos));
    ck_assert_int_eq(seconds, -1);
    ck_assert_int_eq(nanos, -1000);
    ck_assert(known_duration_format(-1, -1000, text));
    ck_assert_str_eq(text, "-1.000001s");
    ck_assert(known_duration_format(0, -1, text));
    ck_assert_str_eq(text, "-0.000000001s");
    ck_assert(!known_duration_format(1, -1, text));
    ck_assert(known_timestamp_parse("0001-01-01T00:00:00Z", &seconds, &nanos));
    ck_assert(known_timestamp_format(seconds, nanos, text));
    ck_assert_str_eq(text, "0001-01-01T00:00:00Z");
    ck_assert(!known_timestamp_format(seconds - 1, 0, text));
}
END_TEST

SUITE("json", 30, every_kind_of_field_survives, what_is_written_otherwise_is_read_too,
      what_does_not_fit_is_named_by_its_path, depth_is_limited_both_ways, malformed_bytes_are_an_error_and_never_crash,
      an_order_reads_as_the_api_says, any_is_expanded_where_its_type_is_known, times_and_durations_are_read_strictly)
