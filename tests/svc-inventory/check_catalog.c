/* The catalogue: what may be put into it, and how it is found again. */
#include "tests/shop/shop.h"
#include "tests/suite.h"

#include <string.h>

static struct shop s;

#define STORED \
    NUMBER( \
        &s, s.inventory, \
        "SELECT (SELECT COUNT(*) FROM product) * 1000000 + (SELECT COUNT(*) FROM variant) * 1000 + " \
        "(SELECT COUNT(*) FROM event_log) + (SELECT COUNT(*) FROM search_word) + (SELECT COUNT(*) FROM rpc_request)")

static const struct asked *try_upsert(Product *p)
{
    UpsertProductRequest req = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    req.request_id = fresh(&s);
    req.product = p;
    return ask(&s, &erp, "UpsertProduct", &req);
}

static void ck_upsert_refused(Product *p, enum rpc_code code, const char *reason, const char *field)
{
    int64_t before = STORED;
    ck_refused(try_upsert(p), code, reason, field);
    ck_assert_int_eq(STORED, before);
}

static const struct asked *by(bool sku, const char *name)
{
    GetProductRequest req = OMS__CATALOG__V1__GET_PRODUCT_REQUEST__INIT;
    req.by_case =
        sku ? OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_SKU : OMS__CATALOG__V1__GET_PRODUCT_REQUEST__BY_PRODUCT_ID;
    req.sku = (char *)name;
    return ask(&s, &anna, "GetProduct", &req);
}

START_TEST(a_product_is_read_back_by_its_id_and_by_each_sku)
{
    shop_open(&s, 1);
    Product *p = product(&s, "CUP", 4, 950000000);
    p->description = "A cup.";
    p->brand = "Ours";
    p->category = "Kitchen";
    add_variant(&s, p, "CUP-BLUE", 5, true);
    p->variants[1]->title = "blue";
    p->variants[1]->weight_grams = 300;
    p->variants[1]->gtin = "4006381333931";
    const Product *made = upsert(&s, p);
    ck_assert_int_eq(made->version, 1);
    ck_assert_int_gt(made->update_time_us, 0);

    const Product *by_id = by(false, "CUP")->reply, *by_sku = by(true, "CUP-BLUE")->reply;
    ck_assert_str_eq(by_id->etag, made->etag);
    ck_assert_str_eq(by_id->title, "Title of CUP");
    ck_assert_str_eq(by_id->category, "Kitchen");
    ck_assert_int_eq(by_sku->n_variants, 2);
    ck_assert_str_eq(by_sku->variants[0]->sku, "CUP");
    ck_assert_int_eq(by_sku->variants[0]->price->units, 4);
    ck_assert_int_eq(by_sku->variants[0]->price->nanos, 950000000);
    ck_assert_str_eq(by_sku->variants[1]->title, "blue");
    ck_assert_str_eq(by_sku->variants[1]->gtin, "4006381333931");
    ck_assert_int_eq(by_sku->variants[1]->weight_grams, 300);
    ck_assert(by_sku->variants[1]->stocked);
    shop_close(&s);
}
END_TEST

START_TEST(what_is_not_there_is_not_found)
{
    shop_open(&s, 1);
    upsert(&s, product(&s, "CUP", 1, 0));
    ck_refused(by(false, "NONE"), RPC_NOT_FOUND, "PRODUCT_NOT_FOUND", "");
    ck_refused(by(true, "cup"), RPC_NOT_FOUND, "PRODUCT_NOT_FOUND", "");
    ck_refused(by(true, ""), RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "product_id");
    shop_close(&s);
}
END_TEST

START_TEST(a_change_is_a_version_and_an_event_and_the_same_again_is_neither)
{
    shop_open(&s, 1);
    Product *p = product(&s, "CUP", 1, 0);
    upsert(&s, p);
    int64_t events = NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log");
    const Product *again = upsert(&s, p);
    ck_assert_int_eq(again->version, 1);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log"), events);
    p->variants[0]->price->units = 2;
    ck_assert_int_eq(upsert(&s, p)->version, 2);
    ck_assert_int_eq(NUMBER(&s, s.inventory, "SELECT COUNT(*) FROM event_log"), events + 1);
    shop_close(&s);
}
END_TEST

START_TEST(an_etag_must_be_of_the_present_version)
{
    shop_open(&s, 1);
    Product *p = product(&s, "CUP", 1, 0);
    p->etag = "v1";
    ck_upsert_refused(p, RPC_ABORTED, "ETAG_MISMATCH", "");
    p->etag = "";
    const Product *first = upsert(&s, p);
    p->etag = first->etag;
    p->title = "Another";
    upsert(&s, p);
    p->title = "Third";
    ck_upsert_refused(p, RPC_ABORTED, "ETAG_MISMATCH", "");
    shop_close(&s);
}
END_TEST

START_TEST(a_sku_belongs_to_one_product)
{
    shop_open(&s, 1);
    upsert(&s, product(&s, "CUP", 1, 0));
    Product *p = product(&s, "MUG", 1, 0);
    add_variant(&s, p, "CUP", 2, true);
    int64_t before = STORED;
    const struct asked *a = try_upsert(p);
    ck_refused(a, RPC_ALREADY_EXISTS, "SKU_TAKEN", "");
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "sku"), "CUP");
    ck_assert_str_eq(rpc_status_meta(&s.arena, &a->status, "product_id"), "CUP");
    ck_assert_int_eq(STORED, before);

    p->variants[1]->sku = "MUG";
    ck_upsert_refused(p, RPC_INVALID_ARGUMENT, "SKU_REPEATED", "product.variants[1].sku");
    shop_close(&s);
}
END_TEST

START_TEST(a_bad_price_is_refused_naming_it)
{
    shop_open(&s, 1);
    static const struct {
        const char *currency;
        int64_t units;
        int32_t nanos;
        const char *reason;
    } bad[] = {
        { "GBP", 1, 1, "AMOUNT_NOT_WHOLE" },       { "JPY", 1, 500000000, "AMOUNT_NOT_WHOLE" },
        { "GBP", -1, 0, "AMOUNT_NEGATIVE" },       { "GBP", INT64_MAX / 2, 0, "AMOUNT_OVERFLOW" },
        { "XYZ", 1, 0, "AMOUNT_INVALID" },         { "", 1, 0, "AMOUNT_INVALID" },
        { "GBP", 1, -10000000, "AMOUNT_INVALID" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Product *p = product(&s, "CUP", 1, 0);
        add_variant(&s, p, "CUP-2", 1, true);
        add_variant(&s, p, "CUP-3", 1, true);
        p->variants[2]->price = money(&s, bad[i].currency, bad[i].units, bad[i].nanos);
        ck_upsert_refused(p, RPC_INVALID_ARGUMENT, bad[i].reason, "product.variants[2].price");
    }
    shop_close(&s);
}
END_TEST

START_TEST(what_the_fields_rules_refuse_is_refused_naming_it)
{
    shop_open(&s, 1);
    Product *p = product(&s, "CUP", 1, 0);
    p->title = "";
    ck_upsert_refused(p, RPC_INVALID_ARGUMENT, "FIELD_REQUIRED", "product.title");
    p->title = "a \xff b";
    ck_assert_int_eq(try_upsert(p)->code, RPC_INVALID_ARGUMENT);
    char *longer = arena_zalloc(&s.arena, 300);
    memset(longer, 'x', 201);
    p->title = longer;
    ck_assert_str_eq(try_upsert(p)->field, "product.title");
    p = product(&s, "CUP", 1, 0);
    p->variants[0]->price = NULL;
    ck_assert_str_eq(try_upsert(p)->field, "product.variants[0].price");
    p = product(&s, "CUP", 1, 0);
    p->n_variants = 0;
    ck_assert_str_eq(try_upsert(p)->field, "product.variants");
    shop_close(&s);
}
END_TEST

START_TEST(a_customer_may_not_change_the_catalogue)
{
    shop_open(&s, 1);
    UpsertProductRequest req = OMS__CATALOG__V1__UPSERT_PRODUCT_REQUEST__INIT;
    req.request_id = "x";
    req.product = product(&s, "CUP", 1, 0);
    ck_assert_int_eq(ask(&s, &anna, "UpsertProduct", &req)->code, RPC_PERMISSION_DENIED);
    shop_close(&s);
}
END_TEST

START_TEST(the_list_has_every_product_once_in_order)
{
    shop_open(&s, 1);
    for (int i = 0; i < 23; i++)
        upsert(&s, product(&s, arena_printf(&s.arena, "P%02d", (i * 7) % 23), i + 1, 0));
    ListProductsRequest req = OMS__CATALOG__V1__LIST_PRODUCTS_REQUEST__INIT;
    req.page_size = 5;
    char last[8] = "";
    int n = 0, pages = 0;
    do {
        const ListProductsResponse *page = get(&s, &anna, "ListProducts", &req);
        for (size_t i = 0; i < page->n_products; i++, n++) {
            ck_assert_int_lt(strcmp(last, page->products[i]->product_id), 0);
            ck_assert_int_eq(page->products[i]->n_variants, 1);
            ck_assert_str_eq(page->products[i]->variants[0]->sku, page->products[i]->product_id);
            strcpy(last, page->products[i]->product_id);
        }
        req.page_token = page->next_page_token;
        pages++;
    } while (req.page_token[0]);
    ck_assert_int_eq(n, 23);
    ck_assert_int_eq(pages, 5);
    req.page_token = "forged";
    ck_refused(ask(&s, &anna, "ListProducts", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

static int found(const char *prefix, const char *first)
{
    SearchProductsRequest req = OMS__CATALOG__V1__SEARCH_PRODUCTS_REQUEST__INIT;
    req.prefix = (char *)prefix;
    const SearchProductsResponse *ret = get(&s, &anna, "SearchProducts", &req);
    if (first)
        ck_assert_str_eq(ret->products[0]->product_id, first);
    return (int)ret->n_products;
}

START_TEST(a_product_is_found_by_the_beginning_of_a_word_or_sku)
{
    shop_open(&s, 1);
    Product *heart = product(&s, "85123A", 2, 550000000);
    heart->title = "White hanging HEART t-light holder";
    upsert(&s, heart);
    upsert(&s, product(&s, "CUP-01", 1, 0));
    ck_assert_int_eq(found("hea", "85123A"), 1);
    ck_assert_int_eq(found("HANGING", "85123A"), 1);
    ck_assert_int_eq(found("8512", "85123A"), 1);
    ck_assert_int_eq(found("cup-0", "CUP-01"), 1);
    ck_assert_int_eq(found("title", "CUP-01"), 1);
    ck_assert_int_eq(found("eart", NULL), 0);
    ck_assert_int_eq(found("%", NULL), 0);

    heart->title = "Lantern";
    upsert(&s, heart);
    ck_assert_int_eq(found("hea", NULL), 0);
    ck_assert_int_eq(found("lan", "85123A"), 1);
    shop_close(&s);
}
END_TEST

START_TEST(a_search_is_paged_and_its_token_is_of_that_search)
{
    shop_open(&s, 1);
    for (int i = 0; i < 7; i++)
        upsert(&s, product(&s, arena_printf(&s.arena, "P%02d", i), 1, 0));
    SearchProductsRequest req = OMS__CATALOG__V1__SEARCH_PRODUCTS_REQUEST__INIT;
    req.prefix = "tit";
    req.page_size = 4;
    const SearchProductsResponse *first = get(&s, &anna, "SearchProducts", &req);
    ck_assert_int_eq(first->n_products, 4);
    req.page_token = first->next_page_token;
    const SearchProductsResponse *second = get(&s, &anna, "SearchProducts", &req);
    ck_assert_int_eq(second->n_products, 3);
    ck_assert_str_eq(second->products[0]->product_id, "P04");
    ck_assert_str_eq(second->next_page_token, "");
    req.prefix = "ti";
    ck_refused(ask(&s, &anna, "SearchProducts", &req), RPC_INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token");
    shop_close(&s);
}
END_TEST

SUITE("catalog", 60, a_product_is_read_back_by_its_id_and_by_each_sku, what_is_not_there_is_not_found,
      a_change_is_a_version_and_an_event_and_the_same_again_is_neither, an_etag_must_be_of_the_present_version,
      a_sku_belongs_to_one_product, a_bad_price_is_refused_naming_it, what_the_fields_rules_refuse_is_refused_naming_it,
      a_customer_may_not_change_the_catalogue, the_list_has_every_product_once_in_order,
      a_product_is_found_by_the_beginning_of_a_word_or_sku, a_search_is_paged_and_its_token_is_of_that_search)
