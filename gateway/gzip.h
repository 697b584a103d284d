/* gzip (RFC 1952) by zlib, a whole message at a time. */
#pragma once

#include "mesh/base/arena.h"

/* At most max bytes come out: 0, -EMSGSIZE beyond that, -EINVAL when it is no gzip, broken off or followed by more,
 * -ENOMEM. Nothing is allocated for what would not be taken. */
int gzip_inflate(struct bytes data, size_t max, struct arena *arena, struct bytes *ret_data);
/* 0; -E2BIG when it would not become smaller, -ENOMEM. */
int gzip_deflate(struct bytes data, struct arena *arena, struct bytes *ret_data);
