/* kept.c - see kept.h. */
#include "kept.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "op/cast.h"

static enum percept_dtype dtype_of(const char *name)
{
    for (int d = 1; d <= PERCEPT_BFLOAT16; d++)
        if (strcmp(percept_dtype_name((enum percept_dtype)d), name) == 0)
            return (enum percept_dtype)d;
    return PERCEPT_UNDEFINED;
}

const char *kept_text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

bool kept_read(struct arena *arena, const char *folder, json_t *json, struct kept *stored, char *why)
{
    json_t *shape = json_object_get(json, "shape"), *dim;
    size_t i, count = 1;
    *stored = (struct kept){.name = kept_text(json, "name")};
    const char *dtype = kept_text(json, "dtype");
    stored->tensor.dtype = *dtype ? dtype_of(dtype) : PERCEPT_FLOAT;
    json_array_foreach(shape, i, dim)
    {
        stored->tensor.dims[stored->tensor.rank++] = json_integer_value(dim);
        count *= (size_t)json_integer_value(dim);
    }
    stored->n_bytes = count * percept_dtype_bytes(stored->tensor.dtype);
    struct percept_err err = {0};
    struct bytes file;
    stored->tensor.data = arena_alloc(arena, stored->n_bytes + 64);
    if (*kept_text(json, "file")) {
        if (!file_read(file_join(arena, folder, kept_text(json, "file")), 0, &file, NULL, &err) ||
            bytes_size(file) != stored->n_bytes) {
            snprintf(why, 200, "%.150s has another size than its shape", kept_text(json, "file"));
            return false;
        }
        memcpy(stored->tensor.data, file.at, stored->n_bytes);
        arena_buffer_free((void *)(uintptr_t)file.at);
        return true;
    }
    json_t *value = json_object_get(json, "value");
    for (i = 0; value && i < count; i++) {
        json_t *one = json_is_array(value) ? json_array_get(value, i) : value;
        const double number = json_is_boolean(one) ? json_is_true(one) : json_number_value(one);
        cast_numbers(stored->tensor.dtype, (char *)stored->tensor.data + i * percept_dtype_bytes(stored->tensor.dtype),
                     PERCEPT_DOUBLE, &number, 1);
    }
    return true;
}
