/* Filters of lists, as AIP-160 has them (https://google.aip.dev/160): read once, then asked of one resource after the
 * other.
 *
 *   state = CONFIRMED AND (total > 100 OR -channel:web*) place_time >= 2011-12-01
 *
 * Terms side by side must all be true, as with AND; OR binds tighter than AND; NOT and - negate the term behind them.
 * A term is a field of the method's table, an operator and a value, or a value alone, which is looked for in the
 * fields that the table says. Several values may stand in parentheses: state = (PENDING OR CONFIRMED). Text may be in
 * quotes, of which a backslash takes the meaning of the character behind it; * is any text. There are no functions.
 *
 *   operator            for
 *   = !=                every type
 *   < <= > >=           numbers, amounts, times, and texts by their bytes
 *   :                   as =, of repeated fields: of any of them; name:* is true if it is not empty and not zero
 *
 * Arenas are those of the call. Nothing here keeps state, so that any lane may ask. */
#pragma once

#include "mesh/rpc/rpc.h"

#define FILTER_LENGTH 2048 /* bytes */
#define FILTER_DEPTH  16   /* of parentheses */
#define FILTER_TERMS  50

enum filter_type {
    FILTER_TEXT,
    FILTER_NUMBER, /* whole, 64 bits */
    FILTER_AMOUNT, /* of whatever currency: 12.50 */
    FILTER_TIME,   /* RFC 3339, or a day, which is its midnight UTC; microseconds */
    FILTER_ENUM,   /* by name */
    FILTER_BOOL,   /* true or false */
};

struct filter_field {
    const char *name; /* as the resource's message has it: "lines.sku" */
    enum filter_type type;
    bool many; /* within a repeated field: only : can ask for it */
    bool bare; /* a value that stands alone is looked for here */
    const ProtobufCEnumDescriptor *names;
};

struct filter;

/* fields ends with a row without name and must outlive the filter. An empty text makes NULL, which everything fits. 0;
 * -ENOMEM; or INVALID_ARGUMENT, FILTER_INVALID of the field "filter", saying at which character, also as metadata
 * "position" (from 1). Messages never repeat what the text says. */
int filter_parse(struct rpc_call *call, const char *text, const struct filter_field *fields,
                 const struct filter **ret_filter);

/* What a field of a resource holds: text, a number, microseconds, an enum's number; or an amount in units and nanos. */
struct filter_held {
    const char *text;
    int64_t number;
    int32_t nanos;
};
/* The i-th value that the resource has of the field (an index into the table). 1; 0: there is none, and no term about
 * it is true; -1: that is not known here. */
typedef int filter_get(const void *resource, int field, size_t i, struct filter_held *ret_held);

enum filter_verdict { FILTER_NO, FILTER_MAYBE, FILTER_YES }; /* MAYBE: it depends on what is not known */
enum filter_verdict filter_judge(const struct filter *filter, filter_get *get, const void *resource);

/* --- for whoever can find resources by their fields --- */

/* Whether some term asks for the field. */
bool filter_asks(const struct filter *filter, int field);
/* The one text that every resource has there that fits; NULL: there may be others. */
const char *filter_only_text(const struct filter *filter, int field);
/* Narrows a range to what the numbers or times of every resource that fits lie in. */
void filter_range(const struct filter *filter, int field, int64_t *min, int64_t *max);
