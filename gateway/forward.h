/* Passes an exchange on to a process behind, as bytes. */
#pragma once

#include "gateway/exchange.h"

extern const struct server forward_server;
