/*
 * heavy.c - numbers, and the comparison of batches, for the tests of the heavy operators.
 *
 * A team here is one helper thread that comes at the first range and stays until the comparison is
 * over. Which pieces it gets is up to chance; the bits must be the same either way.
 */
#include "heavy.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 32

/* What heavy_numbers gave; its callers hold on to it for as long as they run. */
static struct given {
    struct given *before;
    float numbers[];
} * given;

static void take_back(void)
{
    while (given) {
        struct given *last = given;
        given = last->before;
        free(last);
    }
}

static float *give(int64_t n)
{
    struct given *more = malloc(sizeof *more + ((size_t)n + 16) * sizeof more->numbers[0]);
    ck_assert_ptr_nonnull(more);
    if (!given)
        ck_assert_int_eq(atexit(take_back), 0);
    more->before = given;
    given = more;
    return more->numbers;
}

float *heavy_numbers(unsigned seed, int64_t n)
{
    float *numbers = give(n);
    uint64_t state = seed * 2654435761u + 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        numbers[i] = (float)(state >> 40) / (float)(1 << 23) - 1;
    }
    return numbers;
}

void heavy_begin(struct harness *h, const struct kernels *level, const char *op_type, int opset, int rank,
                 const int64_t *dims, const float *x, bool blocked, heavy_rest *rest)
{
    harness_begin(h, op_type, opset);
    h->ctx.kernels = level;
    harness_floats(h, rank, dims, x);
    if (blocked)
        harness_as_blocked(h);
    rest(h);
}

struct request {
    const struct kernels *level;
    const char *op_type;
    int opset, outputs, rank;
    const int64_t *dims;
    bool blocked;
    heavy_rest *rest;
    const float *x; /* ITEMS of them */
    int64_t item;   /* elements of one */
};

static void run(struct harness *h, const struct request *request, int64_t first, int64_t n, struct percept_team *team)
{
    int64_t dims[RANK_MAX];
    for (int i = 0; i < request->rank; i++)
        dims[i] = i ? request->dims[i] : n;
    heavy_begin(h, request->level, request->op_type, request->opset, request->rank, dims,
                request->x + first * request->item, request->blocked, request->rest);
    harness_outputs(h, request->outputs);
    h->env.team = team;
    h->step.members = team ? TEAM_MAX : 1;
    ck_assert_msg(harness_run(h), "%s", h->err.text);
}

static void compare_item(const struct request *request, const struct harness *alone, const struct harness *together,
                         int64_t item, int64_t n)
{
    for (int o = 0; o < request->outputs; o++) {
        const struct tensor *want = harness_out(alone, o), *got = harness_out(together, o);
        const int64_t each = tensor_elements(want);
        ck_assert_int_eq(tensor_elements(got), each * n);
        const float *a = want->data, *b = (const float *)got->data + item * each;
        for (int64_t i = 0; i < each; i++)
            if (memcmp(&a[i], &b[i], sizeof *a) != 0) /* check writes a message even if it holds */
                ck_abort_msg("%s, row %s, output %d: item %d of %d, element %d is %.9g, alone %.9g", request->op_type,
                             request->level->name, o, (int)item, (int)n, (int)i, (double)b[i], (double)a[i]);
    }
}

static void *help(void *team)
{
    percept_team_help(team);
    return NULL;
}

static void compare_batches(const struct request *request, struct percept_team *team)
{
    static const int64_t sizes[] = {1, 2, 7, 8, ITEMS};
    static struct harness alone[ITEMS], together;
    for (int64_t i = 0; i < ITEMS; i++)
        run(&alone[i], request, i, 1, NULL);
    for (size_t s = 0; s < 2 * sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s / 2];
        run(&together, request, 0, n, s % 2 ? team : NULL);
        for (int64_t i = 0; i < n; i++)
            compare_item(request, &alone[i], &together, i, n);
        harness_end(&together);
    }
    for (int64_t i = 0; i < ITEMS; i++)
        harness_end(&alone[i]);
}

void heavy_expect_same_bits(const char *op_type, int opset, int outputs, int rank, const int64_t *dims, bool blocked,
                            heavy_rest *rest)
{
    int64_t item = 1;
    for (int i = 1; i < rank; i++)
        item *= dims[i];
    struct request request = {.op_type = op_type,
                              .opset = opset,
                              .outputs = outputs,
                              .rank = rank,
                              .dims = dims,
                              .blocked = blocked,
                              .rest = rest,
                              .x = heavy_numbers(7, ITEMS * item),
                              .item = item};
    struct percept_err err;
    struct percept_team *team = percept_team_new(&err);
    pthread_t helper;
    ck_assert_ptr_nonnull(team);
    ck_assert_int_eq(pthread_create(&helper, NULL, help, team), 0);
    const char *only = getenv("PERCEPTD_KERNELS");
    for (const struct kernels *const *level = pick_all(); *level; level++) {
        request.level = *level;
        if (pick_runs(*level) && (!only || strcmp(only, (*level)->name) == 0))
            compare_batches(&request, team);
    }
    percept_team_close(team);
    pthread_join(helper, NULL);
    percept_team_free(team);
}
