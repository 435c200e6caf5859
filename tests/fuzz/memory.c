/* memory.c - any bytes as the body of an infer request where regions of shared memory are registered, or as the key and
 * numbers of one to be registered. The first byte says which; half of the requests find the memory cut in half. Nothing
 * outside of the region changes. */
#include "engine/model.h"
#include "serve/codec.h"
#include "serve/encoder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SIZE 256
#define FROM 64 /* where the region begins; it has 128 bytes */

static struct percept_io ios[] = {
    {.name = "f", .dtype = PERCEPT_FLOAT, .rank = 2, .dims = {-1, 2}},
    {.name = "s", .dtype = PERCEPT_STRING, .rank = 2, .dims = {-1, 1}},
};

static struct client_shm *shm;
static int object;

static void check(bool good)
{
    if (!good)
        abort();
}

static void set_up(void)
{
    char key[64];
    snprintf(key, sizeof key, "/test-fuzz-%d", (int)getpid());
    object = shm_open(key, O_RDWR | O_CREAT, 0600);
    check(object >= 0 && ftruncate(object, SIZE) == 0);
    shm = client_shm_new("test-fuzz-", "perceptd", NULL);
    check(shm && client_shm_register(shm, "r", bytes_of_text(key), FROM, 128, NULL));
    check(client_shm_register(shm, "", bytes_of_text(key), FROM, 1, NULL));
    shm_unlink(key);
}

static void infer(const uint8_t *data, size_t n)
{
    int n_io = 1 + (data[0] >> 1 & 1);
    struct percept_model model = {.n_inputs = n_io, .inputs = ios, .n_outputs = n_io, .outputs = ios};
    struct manifest manifest = {.path = ""};
    struct served served = {
        .name = "m", .version = 1, .model = &model, .manifest = &manifest, .batching = true, .max_batch_size = 8};
    struct arena arena = {0};
    struct percept_err err;
    struct job job = {.arena = &arena, .served = &served, .json_bytes = -1, .most_body_bytes = 100};
    char around[FROM];
    check(ftruncate(object, data[0] & 4 ? SIZE / 2 : SIZE) == 0);
    job.body = bytes_of(data + 1, n - 1);
    job.memory = client_shm_hold(shm);
    if (codec_json_decode(&job, &err))
        encoder_v2_write(&job, job.inputs, &err);
    client_shm_release(job.memory);
    check(job.held_bytes <= job.most_body_bytes);
    check(pread(object, around, FROM, 0) == FROM);
    for (int i = 0; i < FROM; i++)
        check(around[i] == 0);
    arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (!shm)
        set_up();
    if (data[0] & 1)
        client_shm_register(shm, "new", bytes_of(data + 1, n - 1), data[0] >> 1, data[0] >> 4, NULL);
    else
        infer(data, n);
    client_shm_unregister(shm, "new", NULL);
    return 0;
}
