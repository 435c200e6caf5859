/*
 * encoder_elements.c - a tensor's elements as JSON has them, for every writer of replies.
 *
 * Floats are written with the fewest digits that read back the same. NaN and Infinity are written as such, as V2's
 * and V1's servers do: JSON has no word for them. Elements are written as long as somebody waits for them (the
 * writer's watch). Thread: any.
 */
#include "serve/encoder_elements.h"

#include "base/number.h"

int64_t encoder_elements_int(const struct percept_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case PERCEPT_INT8:
        return ((const int8_t *)tensor->data)[i];
    case PERCEPT_INT16:
        return ((const int16_t *)tensor->data)[i];
    case PERCEPT_INT32:
        return ((const int32_t *)tensor->data)[i];
    case PERCEPT_UINT8:
        return ((const uint8_t *)tensor->data)[i];
    case PERCEPT_UINT16:
        return ((const uint16_t *)tensor->data)[i];
    case PERCEPT_UINT32:
        return ((const uint32_t *)tensor->data)[i];
    default:
        return ((const int64_t *)tensor->data)[i];
    }
}

bool encoder_elements_whole(enum percept_dtype dtype)
{
    return (dtype >= PERCEPT_UINT8 && dtype <= PERCEPT_INT64) || dtype == PERCEPT_UINT32 || dtype == PERCEPT_UINT64;
}

size_t encoder_elements_one(char *to, const struct percept_tensor *tensor, int64_t i)
{
    switch (tensor->dtype) {
    case PERCEPT_FLOAT:
        return number_write_float(to, ((const float *)tensor->data)[i]);
    case PERCEPT_DOUBLE:
        return number_write_double(to, ((const double *)tensor->data)[i]);
    case PERCEPT_UINT64:
        return number_write_uint64(to, ((const uint64_t *)tensor->data)[i]);
    case PERCEPT_BOOL: {
        bool truth = ((const uint8_t *)tensor->data)[i] != 0;
        memcpy(to, truth ? "true" : "false", 5);
        return truth ? 4 : 5;
    }
    default:
        return number_write_int64(to, encoder_elements_int(tensor, i));
    }
}

static void put_strings(struct writer *w, const struct percept_string *strings, int64_t n)
{
    for (int64_t i = 0; i < n && writer_spend(w, 1); i++) {
        if (i)
            writer_put(w, ",");
        writer_text(w, bytes_of(strings[i].at, strings[i].n_bytes));
    }
}

void encoder_elements_put(struct writer *w, const struct percept_tensor *tensor, int64_t first, int64_t n)
{
    if (tensor->dtype == PERCEPT_STRING) {
        put_strings(w, (const struct percept_string *)tensor->data + first, n);
        return;
    }
    const int64_t step = 64; /* elements between two looks at the room left */
    for (int64_t i = 0; i < n; i += step) {
        int64_t end = n - i < step ? n : i + step;
        char *from = writer_spend(w, 4 * step) ? writer_reserve(w, (size_t)step * (NUMBER_TEXT_MAX + 1)) : NULL;
        char *to = from;
        if (!to)
            return;
        for (int64_t k = i; k < end; k++) {
            if (k)
                *to++ = ',';
            to += encoder_elements_one(to, tensor, first + k);
        }
        w->used += (size_t)(to - from);
    }
}
