/* drive.c - see drive.h. */
#include "drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "percept.h"

#define DEADLINE_NS 2000000000
#define MOST_FILLED 64 /* inputs; further ones stay zero */

static void told(const struct percept_err *err, const char *what)
{
    if (err->code != 0 && err->text[0])
        return;
    fprintf(stderr, "%s was refused without a word\n", what);
    abort();
}

static size_t count(int rank, const int64_t *dims)
{
    size_t n = 1;
    for (int d = 0; d < rank; d++)
        n *= (size_t)dims[d];
    return n;
}

static int64_t free_dim(struct draw *draw)
{
    static const int64_t dims[] = {1, 2, 3, 1, 8, 5, 16, 0, 24, 17};
    return dims[draw_below(draw, sizeof dims / sizeof *dims)];
}

/* The number of elements of each input goes to `counts`. */
static bool set_shapes(struct percept_session *session, const struct percept_model *model, struct draw *draw,
                       size_t *counts)
{
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    int64_t batch = free_dim(draw);
    for (int i = 0; i < n; i++) {
        struct percept_err err = {0};
        int64_t dims[PERCEPT_RANK_MAX];
        int rank = inputs[i].rank < 0 ? (int)draw_below(draw, 5) : inputs[i].rank;
        for (int d = 0; d < rank; d++) {
            bool fixed = inputs[i].rank >= 0 && inputs[i].dims[d] >= 0;
            dims[d] = fixed ? inputs[i].dims[d] : d == 0 ? batch : free_dim(draw);
        }
        if (!percept_resize(session, i, rank, dims, &err)) {
            told(&err, "a shape");
            return false;
        }
        if (i < MOST_FILLED)
            counts[i] = count(rank, dims);
    }
    return true;
}

static void fill_element(struct draw *draw, enum percept_dtype dtype, char *to, size_t size)
{
    uint64_t bits = draw_byte(draw);
    if (dtype == PERCEPT_FLOAT) {
        float value = draw_float(draw);
        memcpy(to, &value, sizeof value);
        return;
    }
    if (dtype == PERCEPT_DOUBLE) {
        double value = (double)draw_float(draw);
        memcpy(to, &value, sizeof value);
        return;
    }
    if (dtype == PERCEPT_STRING) {
        static const char *const words[] = {"word", "", "Word", "\xc3\x84", "7.5", "\xff\xc3"};
        const char *word = words[bits % 6];
        memcpy(to, &(struct percept_string){word, strlen(word)}, sizeof(struct percept_string));
        return;
    }
    if (dtype == PERCEPT_BOOL)
        bits &= 1;
    else if (dtype == PERCEPT_FLOAT16 || dtype == PERCEPT_BFLOAT16)
        bits |= (uint64_t)draw_byte(draw) << 8;
    else if (bits < 240)
        bits %= 4;
    else
        bits = (uint64_t)draw_edge(draw);
    memcpy(to, &bits, size);
}

void drive_fill(struct percept_session *session, int input, const struct percept_io *io, size_t n, struct draw *draw)
{
    enum { PATTERN = 61 };
    char pattern[PATTERN * sizeof(struct percept_string)];
    size_t size = percept_dtype_bytes(io->dtype);
    char *to = percept_input(session, input);
    if (!to)
        return;
    for (size_t i = 0; i < PATTERN; i++)
        fill_element(draw, io->dtype, pattern + i * size, size);
    for (size_t i = 0; i < n; i++)
        memcpy(to + i * size, pattern + i % PATTERN * size, size);
}

/* So many bytes of an output are read one by one, of what follows one in STRIDE. */
#define READ_WHOLE ((size_t)1 << 18)
#define STRIDE 64

/* Reads it, so that a sanitizer sees views of what is gone. */
static void read_outputs(const struct percept_session *session, const struct percept_model *model)
{
    int n;
    unsigned sum = 0;
    percept_outputs(model, &n);
    for (int i = 0; i < n; i++) {
        struct percept_tensor t = percept_output(session, i);
        size_t elements = count(t.rank, t.dims), size = percept_dtype_bytes(t.dtype);
        if (size == 0 || t.rank < 0 || t.rank > PERCEPT_RANK_MAX || (elements && !t.data)) {
            fprintf(stderr, "output %d of a run that went well is no tensor\n", i);
            abort();
        }
        const unsigned char *at = t.data;
        for (size_t k = 0; k < elements * size; k += k < READ_WHOLE ? 1 : STRIDE)
            sum += at[k];
        const struct percept_string *texts = t.data;
        for (size_t k = 0; t.dtype == PERCEPT_STRING && k < elements; k++)
            for (size_t c = 0; c < texts[k].n_bytes; c++)
                sum += (unsigned char)texts[k].at[c];
        if (t.dtype == PERCEPT_BOOL)
            for (size_t k = 0; k < elements; k++)
                if (at[k] > 1) {
                    fprintf(stderr, "output %d has a bool of %d\n", i, at[k]);
                    abort();
                }
    }
    static volatile unsigned kept;
    kept = sum;
    (void)kept;
}

static bool run(struct percept_session *session, const struct percept_model *model, struct draw *draw)
{
    struct percept_err err = {0};
    size_t counts[MOST_FILLED] = {0};
    if (!set_shapes(session, model, draw, counts))
        return false;
    if (!percept_prepare(session, &err)) {
        told(&err, "a set of shapes");
        return false;
    }
    int n;
    const struct percept_io *inputs = percept_inputs(model, &n);
    for (int i = 0; i < n && i < MOST_FILLED; i++)
        drive_fill(session, i, &inputs[i], counts[i], draw);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct percept_run_context context = {.deadline_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + DEADLINE_NS};
    if (!percept_run(session, &context, &err)) {
        told(&err, "a run");
        return false;
    }
    read_outputs(session, model);
    return true;
}

enum drive_end drive_model(const uint8_t *file, size_t n, struct draw *draw, size_t memory_bytes, int runs)
{
    const char *const *levels = percept_kernels();
    uint64_t n_levels = 0;
    while (levels[n_levels])
        n_levels++;
    struct percept_options options = {.size = sizeof options,
                                      .level = levels[draw_below(draw, n_levels)],
                                      .memory_limit_bytes = memory_bytes,
                                      .region = PERCEPT_REGION_PRIVATE};
    struct percept_err err = {0};
    struct percept_model *model = percept_open_memory(file, n, &options, &err);
    if (!model) {
        told(&err, "a model");
        return DRIVE_REFUSED;
    }
    struct percept_session *session = percept_session_new(model, &err);
    if (!session)
        told(&err, "a session");
    bool ran = false;
    for (int i = 0; session && i < runs; i++)
        ran |= run(session, model, draw);
    percept_session_free(session);
    percept_close(model);
    return ran ? DRIVE_RAN : DRIVE_OPENED;
}
