/* Protobuf's wire format, one field at a time, over bytes that nobody has checked yet. */
#pragma once

#include "mesh/base/arena.h"

#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;    /* all but WIRE_BYTES */
    struct bytes data; /* WIRE_BYTES; points into what was given */
};

/* False: more than ten bytes, or the end. */
static inline bool wire_varint(struct bytes *in, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < in->len; i++) {
        value |= (uint64_t)(in->data[i] & 0x7f) << (7 * i);
        if (in->data[i] & 0x80)
            continue;
        *in = (struct bytes){ in->data + i + 1, in->len - i - 1 };
        *ret_value = value;
        return true;
    }
    return false;
}

/* Little-endian, n is 4 or 8. */
static inline bool wire_fixed(struct bytes *in, size_t n, uint64_t *ret_value)
{
    if (in->len < n)
        return false;
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;)
        value = value << 8 | in->data[i];
    *in = (struct bytes){ in->data + n, in->len - n };
    *ret_value = value;
    return true;
}

/* The next field, taken off the front of *in. False: malformed, or a group, which proto3 does not have. */
static inline bool wire_next(struct bytes *in, struct wire_field *ret_field)
{
    uint64_t tag, len;
    if (!wire_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    ret_field->number = (uint32_t)(tag >> 3);
    ret_field->type = (enum wire_type)(tag & 7);
    switch (ret_field->type) {
    case WIRE_VARINT:
        return wire_varint(in, &ret_field->value);
    case WIRE_FIXED64:
        return wire_fixed(in, 8, &ret_field->value);
    case WIRE_FIXED32:
        return wire_fixed(in, 4, &ret_field->value);
    case WIRE_BYTES:
        if (!wire_varint(in, &len) || len > in->len)
            return false;
        ret_field->data = (struct bytes){ in->data, (size_t)len };
        *in = (struct bytes){ in->data + len, in->len - (size_t)len };
        return true;
    }
    return false;
}

/* Well-formed by RFC 3629: no surrogates, nothing overlong, nothing beyond U+10FFFF. */
bool utf8_valid(struct bytes text);
