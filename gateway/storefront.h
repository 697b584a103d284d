/* oms.storefront.v1.StorefrontService: its pages as tables of parts (fan.h). */
#pragma once

#include "gateway/fan.h"

extern const struct server storefront_order_overview, storefront_product_page;
