/* override.c - any bytes as the body of a request to load a model. What is read is within its limits. */
#include "serve/override.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct override override;
    struct percept_err err = {0};
    bool read = override_read(&override, "net", bytes_of(data, n), &err);
    if (!read && !err.code)
        abort();
    if (read && (override.max_batch_size < -1 || override.max_batch_size > 4096 || override.max_queue_delay_us < -1))
        abort();
    for (const struct override_file *at = override.files; at && read; at = at->next)
        if (at->version < 1 || !override.has_config || bytes_size(at->bytes) > n)
            abort();
    override_free(&override);
    return 0;
}
