/* stack.c - which matrices meet which, and shapes that do not multiply. */
#include "op/stack.h"

#include <check.h>
#include <string.h>

struct sides {
    struct arena arena;
    struct node node;
    struct tensor left, right;
    struct tensor *in[2];
    struct step step;
    struct percept_err err;
};

static void begin(struct sides *s, int a_rank, const int64_t *a, int b_rank, const int64_t *b)
{
    *s = (struct sides){.in = {&s->left, &s->right}};
    tensor_set_dims(&s->left, a_rank, a);
    tensor_set_dims(&s->right, b_rank, b);
    s->step = (struct step){.node = &s->node, .arena = &s->arena, .n_in = 2, .in = s->in};
}

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* A batch of strangers on the left is rows of one product. */
START_TEST(one_matrix_on_the_right_takes_all_rows)
{
    struct sides s;
    struct stack stack;
    begin(&s, 4, DIMS(5, 2, 3, 4), 2, DIMS(4, 6));
    ck_assert_msg(stack_shape(&s.step, 0, 1, &stack, &s.err), "%s", s.err.text);
    ck_assert_int_eq(stack.rows, 30);
    ck_assert_int_eq(stack.batch, 1);
    ck_assert_int_eq(stack.matrices, 1);
    ck_assert_ptr_null(stack.items);
    ck_assert_int_eq(stack.rank, 4);
    ck_assert(memcmp(stack.dims, DIMS(5, 2, 3, 6), 4 * sizeof(int64_t)) == 0);
    arena_free(&s.arena);
}
END_TEST

START_TEST(axes_of_one_repeat_matrices_on_either_side)
{
    struct sides s;
    struct stack stack;
    begin(&s, 4, DIMS(2, 1, 3, 4), 3, DIMS(3, 4, 5));
    ck_assert_msg(stack_shape(&s.step, 0, 1, &stack, &s.err), "%s", s.err.text);
    ck_assert_int_eq(stack.batch, 6);
    ck_assert_int_eq(stack.matrices, 3);
    const int64_t items[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}};
    ck_assert(memcmp(stack.items, items, sizeof items) == 0);
    ck_assert(memcmp(stack.dims, DIMS(2, 3, 3, 5), 4 * sizeof(int64_t)) == 0);
    arena_free(&s.arena);
}
END_TEST

START_TEST(a_vector_is_a_row_or_a_column_and_goes_again)
{
    struct sides s;
    struct stack stack;
    begin(&s, 1, DIMS(4), 3, DIMS(2, 4, 5));
    ck_assert(stack_shape(&s.step, 0, 1, &stack, &s.err));
    ck_assert_int_eq(stack.m, 1);
    ck_assert_int_eq(stack.rank, 2);
    ck_assert(memcmp(stack.dims, DIMS(2, 5), 2 * sizeof(int64_t)) == 0);
    ck_assert(memcmp(stack.items, ((const int64_t[]){0, 0, 0, 1}), 4 * sizeof(int64_t)) == 0);
    arena_free(&s.arena);
    begin(&s, 1, DIMS(4), 1, DIMS(4));
    ck_assert(stack_shape(&s.step, 0, 1, &stack, &s.err));
    ck_assert_int_eq(stack.rank, 0);
    ck_assert_int_eq(stack.n, 1);
    arena_free(&s.arena);
}
END_TEST

START_TEST(what_does_not_multiply_is_refused)
{
    const struct {
        int a_rank, b_rank;
        int64_t a[3], b[3];
        const char *part;
    } cases[] = {
        {0, 2, {0}, {4, 5}, "rank 0"},
        {2, 2, {3, 4}, {5, 4}, "inner dimensions"},
        {3, 3, {2, 3, 4}, {3, 4, 5}, "[2]"},
        {3, 3, {1LL << 40, 1LL << 20, 1}, {1, 1, 1LL << 20}, "more elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sides s;
        struct stack stack;
        begin(&s, cases[i].a_rank, cases[i].a, cases[i].b_rank, cases[i].b);
        ck_assert(!stack_shape(&s.step, 0, 1, &stack, &s.err));
        ck_assert_msg(strstr(s.err.text, cases[i].part) != NULL, "%s", s.err.text);
        arena_free(&s.arena);
    }
}
END_TEST

START_TEST(an_addend_broadcasts_over_rows_and_columns)
{
    const struct {
        int rank;
        int64_t dims[3], row, column;
        bool fits;
    } cases[] = {
        {0, {0}, 0, 0, true},    {1, {5}, 0, 1, true},     {1, {1}, 0, 0, true},
        {2, {3, 5}, 5, 1, true}, {2, {3, 1}, 1, 0, true},  {2, {1, 5}, 0, 1, true},
        {1, {3}, 0, 0, false},   {2, {5, 3}, 0, 0, false}, {3, {1, 3, 5}, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sides s;
        int64_t row = -1, column = -1;
        begin(&s, cases[i].rank, cases[i].dims, 0, cases[i].dims);
        ck_assert_int_eq(stack_addend(&s.step, &s.left, 3, 5, &row, &column, &s.err), cases[i].fits);
        if (!cases[i].fits)
            continue;
        ck_assert_int_eq(row, cases[i].row);
        ck_assert_int_eq(column, cases[i].column);
    }
}
END_TEST

Suite *op_stack_suite(void)
{
    Suite *suite = suite_create("op/stack");
    TCase *tcase = tcase_create("stack");
    tcase_add_test(tcase, one_matrix_on_the_right_takes_all_rows);
    tcase_add_test(tcase, axes_of_one_repeat_matrices_on_either_side);
    tcase_add_test(tcase, a_vector_is_a_row_or_a_column_and_goes_again);
    tcase_add_test(tcase, what_does_not_multiply_is_refused);
    tcase_add_test(tcase, an_addend_broadcasts_over_rows_and_columns);
    suite_add_tcase(suite, tcase);
    return suite;
}
