/* Messages and metadata between C core's slices and ours. */
#include "mesh/rpc/core.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <string.h>

struct bytes rpc_bytes_of(grpc_byte_buffer *buffer, grpc_slice *ret_slice)
{
    *ret_slice = grpc_empty_slice();
    grpc_byte_buffer_reader reader;
    if (!buffer || !grpc_byte_buffer_reader_init(&reader, buffer))
        return (struct bytes){ 0 };

    grpc_slice *only;
    if (!grpc_byte_buffer_reader_peek(&reader, &only)) {
        grpc_byte_buffer_reader_destroy(&reader);
        return (struct bytes){ 0 };
    }
    if (GRPC_SLICE_LENGTH(*only) == grpc_byte_buffer_length(buffer)) {
        /* The usual message is one slice: no copy. */
        *ret_slice = grpc_slice_ref(*only);
        grpc_byte_buffer_reader_destroy(&reader);
    } else {
        grpc_byte_buffer_reader_destroy(&reader);
        grpc_byte_buffer_reader_init(&reader, buffer);
        *ret_slice = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    return (struct bytes){ GRPC_SLICE_START_PTR(*ret_slice), GRPC_SLICE_LENGTH(*ret_slice) };
}

grpc_byte_buffer *rpc_buffer_of(struct bytes bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

const grpc_slice *rpc_metadata_find(const grpc_metadata_array *metadata, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_slice *k = &metadata->metadata[i].key;
        if (GRPC_SLICE_LENGTH(*k) == len && memcmp(GRPC_SLICE_START_PTR(*k), key, len) == 0)
            return &metadata->metadata[i].value;
    }
    return NULL;
}

bool rpc_metadata_text(const grpc_metadata_array *metadata, const char *key, char *ret_text, size_t size)
{
    const grpc_slice *value = rpc_metadata_find(metadata, key);
    if (!value || GRPC_SLICE_LENGTH(*value) >= size)
        return false;
    memcpy(ret_text, GRPC_SLICE_START_PTR(*value), GRPC_SLICE_LENGTH(*value));
    ret_text[GRPC_SLICE_LENGTH(*value)] = '\0';
    return true;
}
