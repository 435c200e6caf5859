/* ort.c - see ort.h. */
#include "ort.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACE 1 /* its version: the first has all that is used */

/* Places in the table. */
enum {
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    GET_TENSOR_DATA = 51,
    GET_ELEMENT_COUNT = 64,
    GET_TYPE_AND_SHAPE = 65,
    CREATE_CPU_MEMORY_INFO = 69,
    RELEASE_STATUS = 93,
    RELEASE_SESSION = 95,
    RELEASE_VALUE = 96,
    RELEASE_TYPE_AND_SHAPE = 99,
};

struct base {
    const void *const *(*table)(uint32_t version);
    const char *(*version)(void);
};

struct ort {
    const struct base *base;
    const void *const *table;
    void *env, *options, *memory;
};

struct ort_model {
    struct ort *ort;
    void *session;
    int n_in, n_out;
    const char *in_names[ORT_MOST], *out_names[ORT_MOST];
    void *in[ORT_MOST], *out[ORT_MOST];
};

/* A function by its place; data pointers and function pointers are the same on every system that has dlopen. */
#define CALL(ort, place, type) ((type)(uintptr_t)(ort)->table[place])

typedef void release_fn(void *object);

/* True where there is no status; else its sentence. */
static bool good(const struct ort *ort, void *status, char *why)
{
    if (!status)
        return true;
    snprintf(why, ORT_WHY, "%s", CALL(ort, GET_ERROR_MESSAGE, const char *(*)(void *))(status));
    CALL(ort, RELEASE_STATUS, release_fn *)(status);
    return false;
}

static void release(const struct ort *ort, int place, void *object)
{
    if (object)
        CALL(ort, place, release_fn *)(object);
}

struct ort *ort_open(const char *library, char *why)
{
    static struct ort ort;
    void *handle = dlopen(library, RTLD_NOW);
    const struct base *(*base)(void) =
        handle ? (const struct base *(*)(void))(uintptr_t)dlsym(handle, "OrtGetApiBase") : NULL;
    if (!base) {
        snprintf(why, ORT_WHY, "%s", dlerror());
        return NULL;
    }
    ort.base = base();
    ort.table = ort.base->table(INTERFACE);
    const int error = 3;
    if (!good(&ort, CALL(&ort, CREATE_ENV, void *(*)(int, const char *, void **))(error, "bench", &ort.env), why) ||
        !good(&ort, CALL(&ort, CREATE_SESSION_OPTIONS, void *(*)(void **))(&ort.options), why) ||
        !good(&ort, CALL(&ort, SET_INTRA_OP_THREADS, void *(*)(void *, int))(ort.options, 1), why) ||
        !good(&ort, CALL(&ort, SET_INTER_OP_THREADS, void *(*)(void *, int))(ort.options, 1), why) ||
        !good(&ort, CALL(&ort, CREATE_CPU_MEMORY_INFO, void *(*)(int, int, void **))(1, 0, &ort.memory), why))
        return NULL;
    return &ort;
}

const char *ort_version(const struct ort *ort)
{
    return ort->base->version();
}

struct ort_model *ort_model_open(struct ort *ort, const char *path, char *why)
{
    struct ort_model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    model->ort = ort;
    void *status = CALL(ort, CREATE_SESSION, void *(*)(void *, const char *, void *, void **))(
        ort->env, path, ort->options, &model->session);
    if (good(ort, status, why))
        return model;
    free(model);
    return NULL;
}

void ort_model_close(struct ort_model *model)
{
    if (!model)
        return;
    for (int i = 0; i < ORT_MOST; i++) {
        release(model->ort, RELEASE_VALUE, model->in[i]);
        release(model->ort, RELEASE_VALUE, model->out[i]);
    }
    release(model->ort, RELEASE_SESSION, model->session);
    free(model);
}

bool ort_model_input(struct ort_model *model, int i, const char *name, enum percept_dtype dtype, int rank,
                     const int64_t *dims, const void *data, size_t n_bytes, char *why)
{
    const struct ort *ort = model->ort;
    release(ort, RELEASE_VALUE, model->in[i]);
    model->in[i] = NULL;
    model->in_names[i] = name;
    model->n_in = i >= model->n_in ? i + 1 : model->n_in;
    /* element types have ONNX's numbers on both sides */
    return good(
        ort,
        CALL(ort, CREATE_TENSOR_WITH_DATA, void *(*)(void *, void *, size_t, const int64_t *, size_t, int, void **))(
            ort->memory, (void *)(uintptr_t)data, n_bytes, dims, (size_t)rank, (int)dtype, &model->in[i]),
        why);
}

bool ort_model_outputs(struct ort_model *model, int n, const char *const *names)
{
    if (n > ORT_MOST)
        return false;
    model->n_out = n;
    memcpy(model->out_names, names, (size_t)n * sizeof *names);
    return true;
}

bool ort_model_run(struct ort_model *model, char *why)
{
    const struct ort *ort = model->ort;
    for (int i = 0; i < model->n_out; i++) {
        release(ort, RELEASE_VALUE, model->out[i]);
        model->out[i] = NULL;
    }
    return good(ort,
                CALL(ort, RUN,
                     void *(*)(void *, void *, const char *const *, void *const *, size_t, const char *const *, size_t,
                               void **))(model->session, NULL, model->in_names, model->in, (size_t)model->n_in,
                                         model->out_names, (size_t)model->n_out, model->out),
                why);
}

bool ort_model_output(struct ort_model *model, int i, const void **data, size_t *n_elements)
{
    const struct ort *ort = model->ort;
    char why[ORT_WHY];
    void *shape = NULL, *at = NULL;
    if (!good(ort, CALL(ort, GET_TYPE_AND_SHAPE, void *(*)(void *, void **))(model->out[i], &shape), why))
        return false;
    bool ok = good(ort, CALL(ort, GET_ELEMENT_COUNT, void *(*)(void *, size_t *))(shape, n_elements), why) &&
              good(ort, CALL(ort, GET_TENSOR_DATA, void *(*)(void *, void **))(model->out[i], &at), why);
    release(ort, RELEASE_TYPE_AND_SHAPE, shape);
    *data = at;
    return ok;
}
