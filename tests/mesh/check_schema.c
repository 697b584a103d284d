/* The API as data, and its field rules on wire bytes. */
#include "mesh/rpc/call.h"
#include "mesh/rpc/schema.h"
#include "tests/suite.h"

#include "api.h"

#include <string.h>

#define PLACE "/oms.order.v1.OrderService/PlaceOrder"

static struct rpc_call *call;

static void begin(void)
{
    call = calloc(1, sizeof(*call));
    arena_init(&call->arena, 16 << 20);
}

static void end(void)
{
    arena_finish(&call->arena);
    free(call);
}

static const struct schema_method *method(const char *name)
{
    return schema_method(schema_builtin(), name, strlen(name));
}

static int check_bytes(const char *type, const void *data, size_t len)
{
    error_clear(call);
    return schema_check(call, schema_message(schema_builtin(), type), (struct bytes){ data, len });
}

static int check_message(const ProtobufCMessage *message)
{
    struct bytes packed = arena_pack(&call->arena, message);
    ck_assert_ptr_nonnull(packed.data);
    return check_bytes(message->descriptor->name, packed.data, packed.len);
}

static void ck_refused(int r, const char *reason, const char *field)
{
    ck_assert_int_eq(r, -EPROTO);
    ck_assert_int_eq(call->error.code, RPC_INVALID_ARGUMENT);
    ck_assert_str_eq(call->error.reason, reason);
    if (field)
        ck_assert_str_eq(call->error.subject, field);
    else
        ck_assert_ptr_null(call->error.subject);
}

/* An order of two lines that keeps every rule. */
static Oms__Order__V1__PlaceOrderRequest *order(void)
{
    static Oms__Order__V1__PlaceOrderRequest request;
    static Oms__Order__V1__PlaceOrderRequest__Line lines[2], *pointers[2] = { &lines[0], &lines[1] };
    oms__order__v1__place_order_request__init(&request);
    for (int i = 0; i < 2; i++) {
        oms__order__v1__place_order_request__line__init(&lines[i]);
        lines[i].sku = (char *)"SKU-1";
        lines[i].quantity = 1;
    }
    request.request_id = (char *)"r1";
    request.currency_code = (char *)"GBP";
    request.lines = pointers;
    request.n_lines = 2;
    return &request;
}

START_TEST(rules_of_methods_come_from_the_protos)
{
    const struct schema_method *place = method(PLACE);
    ck_assert_ptr_nonnull(place);
    ck_assert_str_eq(place->full_name, PLACE);
    ck_assert_str_eq(place->service, "oms.order.v1.OrderService");
    ck_assert_str_eq(place->name, "PlaceOrder");
    ck_assert_str_eq(place->input, "oms.order.v1.PlaceOrderRequest");
    ck_assert_uint_eq(place->allow, ROLE_BIT(MESH__V1__ROLE__CUSTOMER) | ROLE_BIT(MESH__V1__ROLE__CSR) |
                                        ROLE_BIT(MESH__V1__ROLE__ERP) | ROLE_BIT(MESH__V1__ROLE__ADMIN));
    ck_assert(place->mutates && !place->idempotent && !place->server_streaming);
    ck_assert_str_eq(place->owner, "customer_id");
    ck_assert_uint_eq(place->max_request_bytes, 262144);
    ck_assert_ptr_null(place->undoes);

    const struct schema_method *watch = method("/oms.order.v1.OrderService/WatchOrder");
    ck_assert(watch->server_streaming && !watch->client_streaming && watch->idempotent && !watch->mutates);
    ck_assert_uint_eq(watch->max_request_bytes, 65536);
    ck_assert_str_eq(method("/oms.inventory.v1.InventoryService/ReleaseStock")->undoes, "ReserveStock");
}
END_TEST

START_TEST(health_and_reflection_are_public_and_nothing_else)
{
    const struct schema_method *methods;
    size_t n = schema_methods(schema_builtin(), &methods);
    ck_assert_uint_gt(n, 20);
    for (size_t i = 0; i < n; i++) {
        bool public = strncmp(methods[i].service, "grpc.", 5) == 0;
        ck_assert_msg((methods[i].allow == SCHEMA_PUBLIC) == public, "%s", methods[i].full_name);
    }
    ck_assert(method("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")->client_streaming);
}
END_TEST

START_TEST(unknown_and_malformed_method_names_are_unknown)
{
    static const char *const bad[] = { "",
                                       "/",
                                       "//",
                                       "oms.order.v1.OrderService/PlaceOrder",
                                       PLACE "x",
                                       PLACE "/",
                                       "/oms.order.v1.OrderService",
                                       "/oms.order.v1.OrderService.PlaceOrder",
                                       "/oms.order.v1/OrderService.PlaceOrder",
                                       "/oms/order.v1.OrderService.PlaceOrder" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_assert_msg(!method(bad[i]), "%s", bad[i]);
    ck_assert_ptr_null(schema_method(schema_builtin(), PLACE "\0x", sizeof(PLACE) + 1));
    ck_assert_ptr_nonnull(schema_method(schema_builtin(), PLACE "garbage", sizeof(PLACE) - 1));
}
END_TEST

START_TEST(files_are_found_by_name_and_by_symbol)
{
    static const char *const symbols[] = { "oms.order.v1.OrderService", "oms.order.v1.OrderService.PlaceOrder",
                                           "oms.order.v1.PlaceOrderRequest.Line", "oms.order.v1.Order.State",
                                           "oms.order.v1.Order.lines" };
    struct bytes by_name, by_symbol;
    ck_assert(schema_file_by_name(schema_builtin(), "oms/order/v1/order.proto", &by_name));
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        ck_assert_msg(schema_file_of_symbol(schema_builtin(), symbols[i], &by_symbol), "%s", symbols[i]);
        ck_assert_ptr_eq(by_symbol.data, by_name.data);
    }
    Google__Protobuf__FileDescriptorProto *file =
        google__protobuf__file_descriptor_proto__unpack(NULL, by_name.len, by_name.data);
    ck_assert_ptr_nonnull(file);
    ck_assert_str_eq(file->package, "oms.order.v1");
    google__protobuf__file_descriptor_proto__free_unpacked(file, NULL);
    ck_assert(!schema_file_of_symbol(schema_builtin(), "oms.order.v1.Nothing", &by_symbol));
    ck_assert(!schema_file_by_name(schema_builtin(), "nothing.proto", &by_name));
}
END_TEST

START_TEST(a_broken_descriptor_set_does_not_open)
{
    ck_assert_ptr_null(schema_open((struct bytes){ (const uint8_t *)"\xff\xff\xff", 3 }));
    struct schema *whole = schema_open((struct bytes){ api_descriptors, api_descriptors_len });
    ck_assert_ptr_nonnull(whole);
    schema_close(whole);
    for (size_t n = 1; n < 3000; n += 7)
        schema_close(schema_open((struct bytes){ api_descriptors, api_descriptors_len - n }));
    schema_close(NULL);

    struct bytes order_proto; /* without what it imports */
    char set[32768];
    ck_assert(schema_file_by_name(schema_builtin(), "oms/order/v1/order.proto", &order_proto));
    ck_assert_uint_lt(order_proto.len, 16000);
    set[0] = 0x0a;
    set[1] = (char)(0x80 | (order_proto.len & 0x7f));
    set[2] = (char)(order_proto.len >> 7);
    memcpy(set + 3, order_proto.data, order_proto.len);
    ck_assert_ptr_null(schema_open((struct bytes){ (uint8_t *)set, order_proto.len + 3 }));
}
END_TEST

START_TEST(a_request_that_keeps_the_rules_passes)
{
    begin();
    ck_assert_int_eq(check_message(&order()->base), 0);
    end();
}
END_TEST

START_TEST(required_fields_are_named_when_they_are_missing)
{
    begin();
    Oms__Order__V1__PlaceOrderRequest *request = order();
    request->request_id = (char *)"";
    ck_refused(check_message(&request->base), "FIELD_REQUIRED", "request_id");
    request = order();
    request->n_lines = 0;
    ck_refused(check_message(&request->base), "FIELD_REQUIRED", "lines");
    request = order();
    request->lines[1]->sku = (char *)"";
    ck_refused(check_message(&request->base), "FIELD_REQUIRED", "lines[1].sku");
    ck_refused(check_bytes("oms.inventory.v1.UpsertLocationRequest", "\x0a\x01r", 3), "FIELD_REQUIRED", "location");
    end();
}
END_TEST

START_TEST(numbers_out_of_range_are_named)
{
    begin();
    static const int64_t bad[] = { 0, -1, INT64_MIN, INT64_MAX, 1000000001 };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Oms__Order__V1__PlaceOrderRequest *request = order();
        request->lines[1]->quantity = bad[i];
        ck_refused(check_message(&request->base), "OUT_OF_RANGE", "lines[1].quantity");
    }
    Oms__Order__V1__ListOrdersRequest list = OMS__ORDER__V1__LIST_ORDERS_REQUEST__INIT;
    list.page_size = -1;
    ck_refused(check_message(&list.base), "OUT_OF_RANGE", "page_size");
    list.page_size = 501;
    ck_refused(check_message(&list.base), "OUT_OF_RANGE", "page_size");
    list.page_size = 500;
    ck_assert_int_eq(check_message(&list.base), 0);
    Mesh__V1__ListDeadLettersRequest letters = MESH__V1__LIST_DEAD_LETTERS_REQUEST__INIT;
    letters.page_size = UINT32_MAX;
    ck_refused(check_message(&letters.base), "OUT_OF_RANGE", "page_size");
    end();
}
END_TEST

/* Bytes of one text field of a nested message, as no C string could hold them. */
static int check_sku(const char *sku, size_t len)
{
    uint8_t wire[512] = { 0x0a, 2, 'r', '1', 0x22, 3, 'G', 'B', 'P' }, *out = wire + 9;
    ck_assert_uint_lt(len, 100);
    *out++ = 0x1a;
    *out++ = (uint8_t)(len + 4);
    *out++ = 0x0a;
    *out++ = (uint8_t)len;
    memcpy(out, sku, len);
    out += len;
    *out++ = 0x10;
    *out++ = 1;
    return check_bytes("oms.order.v1.PlaceOrderRequest", wire, (size_t)(out - wire));
}

START_TEST(texts_are_valid_whole_and_short_enough)
{
    begin();
    ck_assert_int_eq(check_sku("ABC", 3), 0);
    ck_assert_int_eq(check_sku("K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x9a\x9a", 14), 0);
    ck_refused(check_sku("ABC\0xyz", 7), "STRING_HAS_NUL", "lines[0].sku");
    ck_refused(check_sku("\0", 1), "STRING_HAS_NUL", "lines[0].sku");
    static const char *const bad[] = {
        "\xff",         "\xc3",  "\xc0\xaf",         "\xed\xa0\x80",     "\xf4\x90\x80\x80",
        "\xe0\x80\xaf", "a\x80", "\xf0\x80\x80\xaf", "\xf5\x80\x80\x80", "12345678\xc3",
        "1234567\xc3"
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ck_refused(check_sku(bad[i], strlen(bad[i])), "INVALID_UTF8", "lines[0].sku");
    char long_one[66];
    memset(long_one, 'x', sizeof(long_one));
    ck_assert_int_eq(check_sku(long_one, 64), 0);
    ck_refused(check_sku(long_one, 65), "FIELD_TOO_LONG", "lines[0].sku");
    end();
}
END_TEST

START_TEST(too_many_items_are_refused)
{
    begin();
    static char *skus[501];
    Oms__Inventory__V1__BatchGetAvailabilityRequest request = OMS__INVENTORY__V1__BATCH_GET_AVAILABILITY_REQUEST__INIT;
    for (size_t i = 0; i < 501; i++)
        skus[i] = (char *)"a";
    request.skus = skus;
    request.n_skus = 500;
    ck_assert_int_eq(check_message(&request.base), 0);
    request.n_skus = 501;
    ck_refused(check_message(&request.base), "TOO_MANY_ITEMS", "skus");
    end();
}
END_TEST

START_TEST(garbage_is_malformed_and_never_crashes)
{
    begin();
    struct bytes packed = arena_pack(&call->arena, &order()->base);
    for (size_t n = 1; n < packed.len; n++) /* cut anywhere: malformed, or something required is gone */
        ck_assert_int_eq(check_bytes("oms.order.v1.PlaceOrderRequest", packed.data, packed.len - n), -EPROTO);
    ck_refused(check_bytes("oms.order.v1.PlaceOrderRequest", "\x0b\x0c", 2), "MALFORMED_REQUEST", NULL); /* a group */
    ck_refused(check_bytes("oms.order.v1.PlaceOrderRequest", "\x08\x01", 2), "MALFORMED_REQUEST", NULL); /* not text */
    ck_refused(check_bytes("oms.order.v1.PlaceOrderRequest", "\x00\x01", 2), "MALFORMED_REQUEST", NULL);
    ck_refused(check_bytes("oms.order.v1.PlaceOrderRequest", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),
               "MALFORMED_REQUEST", NULL);
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t data[32];
        for (size_t j = 0; j < sizeof(data); j++)
            data[j] = (uint8_t)((random = random * 6364136223846793005 + 1442695040888963407) >> 56);
        check_bytes("oms.order.v1.PlaceOrderRequest", data, sizeof(data));
    }
    end();
}
END_TEST

START_TEST(a_singular_message_given_twice_is_refused)
{
    begin(); /* protobuf-c would merge the two products, and each alone keeps its limit of variants */
    const char twice[] = "\x0a\x01r\x12\x02\x0a\x00\x12\x02\x0a\x00";
    int r = check_bytes("oms.inventory.v1.UpsertLocationRequest", twice, sizeof(twice) - 1);
    ck_assert_int_eq(r, -EPROTO);
    const char address[] = "\x3a\x00\x3a\x00";
    ck_refused(check_bytes("oms.order.v1.PlaceOrderRequest", address, sizeof(address) - 1), "MALFORMED_REQUEST", NULL);
    end();
}
END_TEST

START_TEST(depth_is_limited)
{
    begin();
    uint8_t nest[2 * 200]; /* DescriptorProto.nested_type is the one recursive type there is */
    struct bytes in = { nest + sizeof(nest), 0 };
    unsigned passed = 0;
    for (; in.len < 120; passed++) {
        if (check_bytes("google.protobuf.DescriptorProto", in.data, in.len) < 0)
            break;
        uint8_t *at = (uint8_t *)in.data - 2;
        at[0] = 0x1a;
        at[1] = (uint8_t)in.len;
        in = (struct bytes){ at, in.len + 2 };
    }
    ck_assert_uint_eq(passed, 33);
    end();
}
END_TEST

START_TEST(unknown_fields_pass)
{
    begin();
    ck_assert_int_eq(check_bytes("oms.order.v1.GetOrderRequest", "\x0a\x01x\xf8\x7f\x01\xfa\x7f\x02\xff\xff", 11), 0);
    end();
}
END_TEST

START_TEST(errors_travel_as_details_under_four_kibibytes)
{
    begin();
    char filler[5000];
    memset(filler, 'x', sizeof(filler));
    filler[sizeof(filler) - 1] = '\0';
    rpc_fail_field(call, "lines[3].sku", "FIELD_TOO_LONG", "%s", filler);
    for (int i = 0; i < 20; i++)
        rpc_error_meta(call, i == 0 ? "first" : filler, filler);
    rpc_error_retry(call, 1500000);
    struct rpc_status status = { .code = call->error.code, .message = call->error.message };
    status.details = error_pack(call);
    ck_assert_uint_gt(status.details.len, 100);
    ck_assert_uint_lt(status.details.len, 4096);
    struct arena arena;
    arena_init(&arena, 1 << 20);
    ck_assert_str_eq(rpc_status_reason(&arena, &status), "FIELD_TOO_LONG");
    ck_assert_uint_eq(strlen(rpc_status_meta(&arena, &status, "first")), 120);
    ck_assert_str_eq(rpc_status_meta(&arena, &status, "second"), "");
    status.details = (struct bytes){ (const uint8_t *)"\xff", 1 };
    ck_assert_str_eq(rpc_status_reason(&arena, &status), "");
    status.details = (struct bytes){ 0 };
    ck_assert_str_eq(rpc_status_reason(&arena, &status), "");
    arena_finish(&arena);
    rpc_fail_missing(call, "oms.inventory.v1.StockLocation", "loc-1");
    ck_assert_str_eq(call->error.reason, "STOCK_LOCATION_NOT_FOUND");
    ck_assert_int_eq(call->error.code, RPC_NOT_FOUND);
    end();
}
END_TEST

START_TEST(what_does_not_allow_it_is_told_as_a_precondition)
{
    begin();
    char filler[5000];
    memset(filler, 'x', sizeof(filler));
    filler[sizeof(filler) - 1] = '\0';
    rpc_fail_state(call, "ord_1", "ORDER_STATE", "%s", filler);
    for (int i = 0; i < 20; i++)
        rpc_error_meta(call, filler, filler);
    rpc_error_resource(call, filler, filler);
    rpc_error_retry(call, 1500000);
    struct bytes details = error_pack(call);
    ck_assert_uint_lt(details.len, 4096);

    Google__Rpc__Status *status = google__rpc__status__unpack(NULL, details.len, details.data);
    ck_assert_int_eq(status->code, RPC_FAILED_PRECONDITION);
    ck_assert_uint_eq(status->n_details, 4);
    const Google__Protobuf__Any *second = status->details[1];
    ck_assert_str_eq(second->type_url, "type.googleapis.com/google.rpc.PreconditionFailure");
    Google__Rpc__PreconditionFailure *failure =
        google__rpc__precondition_failure__unpack(NULL, second->value.len, second->value.data);
    ck_assert_uint_eq(failure->n_violations, 1);
    ck_assert_str_eq(failure->violations[0]->type, "ORDER_STATE");
    ck_assert_str_eq(failure->violations[0]->subject, "ord_1");
    ck_assert_str_eq(failure->violations[0]->description, call->error.message);
    google__rpc__precondition_failure__free_unpacked(failure, NULL);
    google__rpc__status__free_unpacked(status, NULL);
    end();
}
END_TEST

START_TEST(messages_are_cut_between_characters)
{
    begin();
    char text[1000] = "";
    for (int i = 0; i < 300; i++)
        strcat(text, "\xe2\x82\xac");
    rpc_fail(call, RPC_ABORTED, "X", "%s", text);
    ck_assert_uint_eq(strlen(call->error.message), 399);
    end();
}
END_TEST

SUITE("schema", 20, rules_of_methods_come_from_the_protos, health_and_reflection_are_public_and_nothing_else,
      unknown_and_malformed_method_names_are_unknown, files_are_found_by_name_and_by_symbol,
      a_broken_descriptor_set_does_not_open, a_request_that_keeps_the_rules_passes,
      required_fields_are_named_when_they_are_missing, numbers_out_of_range_are_named,
      texts_are_valid_whole_and_short_enough, too_many_items_are_refused, garbage_is_malformed_and_never_crashes,
      a_singular_message_given_twice_is_refused, depth_is_limited, unknown_fields_pass,
      errors_travel_as_details_under_four_kibibytes, what_does_not_allow_it_is_told_as_a_precondition,
      messages_are_cut_between_characters)
