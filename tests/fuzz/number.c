/* number.c - any bytes as a number: what is read is what the C library reads, and comes back from
 * its text. */
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_double(const uint8_t *data, size_t n)
{
    double value, again;
    const uint8_t *end = number_read_double(bytes_of(data, n), &value);
    if (!end || isnan(value) || end - data > 2000)
        return;
    char text[2001];
    memcpy(text, data, (size_t)(end - data));
    text[end - data] = '\0';
    char made[NUMBER_TEXT_MAX];
    size_t size = number_write_double(made, value);
    if (strtod(text, NULL) != value || !number_read_double(bytes_of(made, size), &again) || again != value)
        abort();
    float narrow;
    if (!number_read_float(bytes_of(data, n), &narrow) || strtof(text, NULL) != narrow)
        abort();
}

/* A list's numbers are those that are read one by one, and each is the same with bytes behind it or not. */
static void check_list(const uint8_t *data, size_t n)
{
    float values[16], one;
    struct bytes list = bytes_of(data, n);
    int64_t n_read = number_read_floats(&list, values, 16);
    const uint8_t *at = data;
    for (int64_t i = 0; i < n_read; i++) {
        const uint8_t *end = number_read_float(bytes_of(at, (size_t)(data + n - at)), &one);
        if (!end || end > list.at || memcmp(&one, &values[i], sizeof one) != 0)
            abort();
        char text[64]; /* an exponent may have any number of zeros in front */
        if (end - at < (ptrdiff_t)sizeof text) {
            memcpy(text, at, (size_t)(end - at));
            text[end - at] = '\0';
            if (strtof(text, NULL) != one)
                abort();
        }
        at = end + (i + 1 < n_read);
        at += i + 1 < n_read && *at == ' ';
    }
    if (n_read && at != list.at)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    int64_t whole;
    uint64_t natural;
    check_double(data, n);
    check_list(data, n);
    number_read_int64(bytes_of(data, n), &whole);
    number_read_uint64(bytes_of(data, n), &natural);
    float value;
    char made[NUMBER_TEXT_MAX];
    if (n >= sizeof value) {
        float again;
        memcpy(&value, data, sizeof value);
        size_t size = number_write_float(made, value);
        if (!number_read_float(bytes_of(made, size), &again) || (again != value && !isnan(value)))
            abort();
    }
    return 0;
}
