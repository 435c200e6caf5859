/* walk.c - collapsing, cutting ranges anywhere, and strided copies against naive loops. */
#include "op/walk.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "graph/tensor.h"

struct trace {
    const struct walk *walk;
    const float *a, *b;
    float y[64];
};

static void add(void *arg, int64_t out, const int64_t *at, int64_t n)
{
    struct trace *t = arg;
    for (int64_t i = 0; i < n; i++)
        t->y[out + i] = t->a[at[0] + i * walk_inner(t->walk, 0)] + t->b[at[1] + i * walk_inner(t->walk, 1)];
}

START_TEST(ranges_may_be_cut_anywhere)
{
    float a[6], b[8], want[48];
    for (int i = 0; i < 6; i++)
        a[i] = (float)i;
    for (int i = 0; i < 8; i++)
        b[i] = (float)(100 * i);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 2; k++)
                for (int l = 0; l < 4; l++)
                    want[((i * 3 + j) * 2 + k) * 4 + l] = a[i * 3 + j] + b[k * 4 + l];
    struct tensor ta = {.rank = 4, .dims = {2, 3, 1, 1}}, tb = {.rank = 2, .dims = {2, 4}};
    const struct tensor *operands[] = {&ta, &tb};
    struct walk walk;
    walk_make(&walk, 4, (int64_t[]){2, 3, 2, 4}, 2, operands);
    ck_assert_int_eq(walk.rank, 2); /* [6][8] */
    for (int64_t cut = 0; cut <= 48; cut++) {
        struct trace t = {.walk = &walk, .a = a, .b = b};
        walk_range(&walk, 0, cut, add, &t);
        walk_range(&walk, cut, 48, add, &t);
        ck_assert(!memcmp(t.y, want, sizeof want));
    }
}
END_TEST

START_TEST(empty_shapes_visit_nothing)
{
    struct tensor a = {.rank = 2, .dims = {0, 3}};
    const struct tensor *operands[] = {&a};
    struct walk walk;
    walk_make(&walk, 2, a.dims, 1, operands);
    ck_assert_int_eq(walk.elements, 0);
    walk_range(&walk, 0, walk.elements, add, NULL);
}
END_TEST

/* All permutations of [3][17][5][2], in every element size. */
START_TEST(copies_agree_with_naive_loops)
{
    enum { N = 3 * 17 * 5 * 2 };
    static const int64_t dims[] = {3, 17, 5, 2}, strides[] = {170, 10, 2, 1};
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    int order[4];
    for (order[0] = 0; order[0] < 4; order[0]++)
        for (order[1] = 0; order[1] < 4; order[1]++)
            for (order[2] = 0; order[2] < 4; order[2]++) {
                order[3] = 6 - order[0] - order[1] - order[2];
                if (order[0] == order[1] || order[0] == order[2] || order[1] == order[2])
                    continue;
                size_t size = sizes[_i];
                static uint8_t x[N * 16], y[N * 16];
                for (size_t i = 0; i < N * size; i++)
                    x[i] = (uint8_t)(i * 131 >> 3 ^ i);
                struct walk_view view = {0};
                for (int k = 0; k < 4; k++)
                    walk_axis(&view, dims[order[k]], strides[order[k]]);
                walk_copy(NULL, y, x, size, &view);
                for (int64_t i = 0; i < N; i++) {
                    int64_t rest = i, at = 0;
                    for (int k = 3; k >= 0; k--) {
                        at += rest % dims[order[k]] * strides[order[k]];
                        rest /= dims[order[k]];
                    }
                    ck_assert(!memcmp(y + (size_t)i * size, x + (size_t)at * size, size));
                }
            }
}
END_TEST

START_TEST(any_length_is_filled_and_no_more)
{
    static const size_t sizes[] = {1, 2, 4, 8, 16};
    static const int64_t lengths[] = {0, 1, 63, 64, 65, 20000, 70001};
    enum { MOST = 70001 * 16 };
    char *y = malloc(MOST + 1), x[16];
    ck_assert_ptr_nonnull(y);
    for (int i = 0; i < 16; i++)
        x[i] = (char)(i + 1);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
            const size_t n_bytes = sizes[s] * (size_t)lengths[l];
            y[n_bytes] = 99;
            walk_fill(y, x, sizes[s], lengths[l]);
            for (size_t i = 0; i < n_bytes; i++)
                if (y[i] != x[i % sizes[s]])
                    ck_abort_msg("byte %zu of %zu is %d", i, n_bytes, y[i]);
            ck_assert_int_eq(y[n_bytes], 99);
        }
    }
    free(y);
}
END_TEST

START_TEST(strides_may_repeat_and_run_backwards)
{
    const uint32_t x[] = {1, 2, 3};
    uint32_t y[6];
    struct walk_view view = {0};
    walk_axis(&view, 2, 0);
    walk_axis(&view, 3, -1);
    walk_copy(NULL, y, x + 2, 4, &view);
    ck_assert(!memcmp(y, (uint32_t[]){3, 2, 1, 3, 2, 1}, sizeof y));
    walk_fill(y, x + 1, 4, 3);
    ck_assert(!memcmp(y, (uint32_t[]){2, 2, 2, 3, 2, 1}, sizeof y));
}
END_TEST

Suite *op_walk_suite(void)
{
    Suite *suite = suite_create("op/walk");
    TCase *tcase = tcase_create("walk");
    tcase_add_test(tcase, ranges_may_be_cut_anywhere);
    tcase_add_test(tcase, empty_shapes_visit_nothing);
    tcase_add_loop_test(tcase, copies_agree_with_naive_loops, 0, 5);
    tcase_add_test(tcase, any_length_is_filled_and_no_more);
    tcase_add_test(tcase, strides_may_repeat_and_run_backwards);
    suite_add_tcase(suite, tcase);
    return suite;
}
