/* config.c - any bytes as a config.pbtxt: what is taken is within its bounds, whatever was written. */
#include "serve/triton_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_dims(int rank, const int64_t *dims)
{
    if (rank > PERCEPT_RANK_MAX)
        abort();
    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 && dims[i] != -1)
            abort();
}

static void check_ios(const struct manifest_io *ios, int n)
{
    for (int i = 0; i < n; i++) {
        check_dims(ios[i].rank, ios[i].dims);
        if (!*ios[i].name || (ios[i].label_filename && !*ios[i].label_filename))
            abort();
    }
}

static void check_limits(const struct manifest *manifest)
{
    if (manifest->max_batch_size < -1 || manifest->max_batch_size > 4096 || manifest->n_warmup > MANIFEST_WARMUP_MAX ||
        manifest->max_queue_delay_us < -1 || manifest->max_queue_delay_us > 60000000 ||
        manifest->default_timeout_us > INT64_MAX / 1000 || manifest->max_queue_size == 0 || manifest->n_instances < 0)
        abort();
    for (int i = 0; i < manifest->n_warmup; i++)
        if (manifest->warmup[i] < 1 || manifest->warmup[i] > 4096)
            abort();
    for (int i = 0; i < manifest->version_policy.n_versions; i++)
        if (manifest->version_policy.versions[i] < 1)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {0};
    struct percept_err err = {0};
    const struct manifest *manifest = triton_config_parse(bytes_of(data, n), "config.pbtxt", &arena, &err);
    if (!manifest && (!err.code || !*err.text))
        abort();
    if (manifest) {
        check_limits(manifest);
        check_ios(manifest->declared_inputs, manifest->n_declared_inputs);
        check_ios(manifest->declared_outputs, manifest->n_declared_outputs);
        for (int i = 0; i < manifest->n_warmup_requests; i++)
            for (int k = 0; k < manifest->warmup_requests[i].n_inputs; k++)
                check_dims(manifest->warmup_requests[i].inputs[k].rank, manifest->warmup_requests[i].inputs[k].dims);
    }
    arena_free(&arena);
    return 0;
}
