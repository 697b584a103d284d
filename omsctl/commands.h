/* Every command's function; the table of commands is in main.c. They return an exit code of omsctl/cli.h. */
#pragma once

#include "omsctl/cli.h"

int run_catalog_import(struct ctl *ctl);
int run_catalog_get(struct ctl *ctl);
int run_catalog_list(struct ctl *ctl);
int run_catalog_search(struct ctl *ctl);

int run_stock_list(struct ctl *ctl);
int run_stock_adjust(struct ctl *ctl);
int run_stock_availability(struct ctl *ctl);
int run_stock_locations(struct ctl *ctl);
int run_stock_movements(struct ctl *ctl);
int run_stock_verify(struct ctl *ctl);

int run_order_place(struct ctl *ctl);
int run_order_get(struct ctl *ctl);
int run_order_list(struct ctl *ctl);
int run_order_watch(struct ctl *ctl);
int run_order_cancel(struct ctl *ctl);
int run_order_explain(struct ctl *ctl);
int run_order_stuck(struct ctl *ctl);
int run_order_import(struct ctl *ctl);
int run_order_export(struct ctl *ctl);

int run_shipment_list(struct ctl *ctl);
int run_shipment_get(struct ctl *ctl);
int run_shipment_track(struct ctl *ctl);
#define SHIPMENT_MISSING_MAX 100
int run_shipment_pack(struct ctl *ctl);
int run_shipment_ship(struct ctl *ctl);

int run_case_list(struct ctl *ctl);
int run_case_get(struct ctl *ctl);
int run_case_ack(struct ctl *ctl);
int run_case_resolve(struct ctl *ctl);
int run_message_list(struct ctl *ctl);

int run_payment_get(struct ctl *ctl);
int run_payment_list(struct ctl *ctl);
int run_payment_refund(struct ctl *ctl);
int run_payment_resolve(struct ctl *ctl);
int run_ledger_balance(struct ctl *ctl);
int run_ledger_entries(struct ctl *ctl);

int run_events(struct ctl *ctl);
int run_deadletters_list(struct ctl *ctl);
int run_deadletters_explain(struct ctl *ctl);
int run_deadletters_retry(struct ctl *ctl);
int run_deadletters_discard(struct ctl *ctl);
int run_status(struct ctl *ctl);
int run_backup(struct ctl *ctl);

int run_token(struct ctl *ctl);
int run_apikey_create(struct ctl *ctl);
int run_call(struct ctl *ctl);
int run_list(struct ctl *ctl);
int run_describe(struct ctl *ctl);
