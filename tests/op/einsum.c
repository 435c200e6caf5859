/* einsum.c - tests of src/op/einsum.c: equations, what they sum, and which are refused. */
#include "heavy.h"

#include <check.h>
#include <string.h>

static struct harness h;

static void begin(const char *equation)
{
    harness_begin(&h, "Einsum", 12);
    harness_text(&h, "equation", equation);
}

static void expect(int rank, const int64_t *dims, const float *want)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, rank, dims, want, 1e-6f);
    harness_end(&h);
}

static const float abc[] = {1, 2, 3, 4, 5, 6};

START_TEST(one_input_is_summed_turned_and_cut_diagonally)
{
    begin("ij->ji");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(2, DIMS(3, 2), (float[]){1, 4, 2, 5, 3, 6});
    begin("ij->j");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(1, DIMS(3), (float[]){5, 7, 9});
    begin(" i j -> ");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(0, NULL, (float[]){21});
    begin("...ii->...i");
    harness_floats(&h, 3, DIMS(1, 2, 2), abc);
    expect(2, DIMS(1, 2), (float[]){1, 4});
    begin("ii");
    harness_floats(&h, 2, DIMS(2, 2), abc);
    expect(0, NULL, (float[]){5});
    begin("ij->ij");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(2, DIMS(2, 3), abc);
    begin("ba");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(2, DIMS(3, 2), (float[]){1, 4, 2, 5, 3, 6});
}
END_TEST

START_TEST(two_inputs_are_multiplied)
{
    static const float two[] = {1, 10};
    begin("ij,jk->ik");
    harness_floats(&h, 2, DIMS(3, 2), abc);
    harness_floats(&h, 2, DIMS(2, 1), two);
    expect(2, DIMS(3, 1), (float[]){21, 43, 65});
    begin("ij,kj->ki"); /* the right side turned, the result too */
    harness_floats(&h, 2, DIMS(3, 2), abc);
    harness_floats(&h, 2, DIMS(1, 2), two);
    expect(2, DIMS(1, 3), (float[]){21, 43, 65});
    begin("i,j->ij");
    harness_floats(&h, 1, DIMS(2), abc);
    harness_floats(&h, 1, DIMS(2), two);
    expect(2, DIMS(2, 2), (float[]){1, 10, 2, 20});
    begin("i,i->i");
    harness_floats(&h, 1, DIMS(2), abc);
    harness_floats(&h, 1, DIMS(2), two);
    expect(1, DIMS(2), (float[]){1, 20});
    begin("i,i");
    harness_floats(&h, 1, DIMS(2), abc);
    harness_floats(&h, 1, DIMS(2), two);
    expect(0, NULL, (float[]){21});
    begin("ij,k->k"); /* what only one has is summed first */
    harness_floats(&h, 2, DIMS(3, 2), abc);
    harness_floats(&h, 1, DIMS(2), two);
    expect(1, DIMS(2), (float[]){21, 210});
}
END_TEST

START_TEST(three_inputs_and_scalars_work)
{
    begin("ij,jk,kl->il");
    harness_floats(&h, 2, DIMS(1, 2), abc);
    harness_floats(&h, 2, DIMS(2, 2), abc);
    harness_floats(&h, 2, DIMS(2, 1), (float[]){1, 10});
    expect(2, DIMS(1, 1), (float[]){107});
    begin("i,,i->i");
    harness_floats(&h, 1, DIMS(2), abc);
    harness_floats(&h, 0, NULL, (float[]){10});
    harness_floats(&h, 1, DIMS(2), abc);
    expect(1, DIMS(2), (float[]){10, 40});
}
END_TEST

START_TEST(axes_of_one_and_ellipses_broadcast)
{
    begin("...i,...i->...");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_floats(&h, 1, DIMS(3), (float[]){1, 10, 100});
    expect(1, DIMS(2), (float[]){321, 654});
    begin("bi,bi->b");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_floats(&h, 2, DIMS(1, 3), (float[]){1, 10, 100});
    expect(1, DIMS(2), (float[]){321, 654});
    begin("i...->..."); /* of different lengths and in the middle */
    harness_floats(&h, 3, DIMS(2, 1, 3), abc);
    expect(2, DIMS(1, 3), (float[]){5, 7, 9});
}
END_TEST

/* A label is as long as its longest axis, whichever input has that: after one of 1, before it, between. */
START_TEST(an_axis_of_one_stretches_wherever_it_stands)
{
    static const float tens[] = {1, 10, 100};
    begin("bi,bi->b");
    harness_floats(&h, 2, DIMS(1, 3), tens);
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(1, DIMS(2), (float[]){321, 654});
    begin("ij,jk->ik"); /* the axis that is summed */
    harness_floats(&h, 2, DIMS(2, 1), abc);
    harness_floats(&h, 2, DIMS(3, 1), tens);
    expect(2, DIMS(2, 1), (float[]){111, 222});
    begin("ij,jk->ik");
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_floats(&h, 2, DIMS(1, 1), (float[]){10});
    expect(2, DIMS(2, 1), (float[]){60, 150});
    begin("...i,...i->...i");
    harness_floats(&h, 1, DIMS(1), (float[]){10});
    harness_floats(&h, 2, DIMS(2, 3), abc);
    expect(2, DIMS(2, 3), (float[]){10, 20, 30, 40, 50, 60});
    begin("i,i,i->i");
    harness_floats(&h, 1, DIMS(1), (float[]){2});
    harness_floats(&h, 1, DIMS(3), tens);
    harness_floats(&h, 1, DIMS(1), (float[]){3});
    expect(1, DIMS(3), (float[]){6, 60, 600});
}
END_TEST

START_TEST(other_types_take_loops)
{
    begin("ij,jk->ik");
    harness_int64s(&h, 2, DIMS(1, 2), DIMS(INT64_MAX, 2));
    harness_int64s(&h, 2, DIMS(2, 1), DIMS(2, 3));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT64, 2, DIMS(1, 1), DIMS(4)); /* it wraps */
    harness_end(&h);
    begin("ij,j->i");
    harness_input(&h, PERCEPT_DOUBLE, 2, DIMS(2, 2), (double[]){1, 2, 3, 4});
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(2), (double[]){1, 0.5});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_DOUBLE, 1, DIMS(2), (double[]){2, 5});
    harness_end(&h);
    begin("i->");
    harness_input(&h, PERCEPT_INT32, 1, DIMS(3), (int32_t[]){1, 2, 3});
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect(&h, 0, PERCEPT_INT32, 0, NULL, (int32_t[]){6});
    harness_end(&h);
    begin("i->");
    harness_input(&h, PERCEPT_UINT8, 1, DIMS(3), (uint8_t[]){1, 2, 3});
    harness_expect_failure(&h, ERR_UNSUPPORTED, "its input is uint8");
    harness_end(&h);
}
END_TEST

START_TEST(sums_of_nothing_are_zero)
{
    begin("ij,jk->ik");
    harness_floats(&h, 2, DIMS(2, 0), NULL);
    harness_floats(&h, 2, DIMS(0, 1), NULL);
    expect(2, DIMS(2, 1), (float[]){0, 0});
    begin("ij->i");
    harness_floats(&h, 2, DIMS(0, 3), NULL);
    expect(1, DIMS(0), NULL);
}
END_TEST

START_TEST(large_products_agree_with_matmul)
{
    enum { B = 3, M = 70, K = 33, N = 50 };
    const float *a = heavy_numbers(1, B * M * K), *b = heavy_numbers(2, B * K * N);
    static float want[B * M * N];
    harness_begin(&h, "MatMul", 13);
    harness_floats(&h, 3, DIMS(B, M, K), a);
    harness_floats(&h, 3, DIMS(B, K, N), b);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    memcpy(want, harness_out(&h, 0)->data, sizeof want);
    harness_end(&h);
    begin("bij,bjk->bik");
    harness_floats(&h, 3, DIMS(B, M, K), a);
    harness_floats(&h, 3, DIMS(B, K, N), b);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(B, M, N), want, 1e-5f); /* another order of sums */
    harness_end(&h);
}
END_TEST

static void project(struct harness *at)
{
    harness_text(at, "equation", "bij,jk->bki");
    harness_floats(at, 2, DIMS(19, 21), heavy_numbers(5, 19 * 21));
}

static void attend(struct harness *at)
{
    harness_text(at, "equation", "bij,kj->bik");
    harness_floats(at, 2, DIMS(40, 19), heavy_numbers(6, 40 * 19));
}

START_TEST(an_item_never_feels_its_batch)
{
    heavy_expect_same_bits("Einsum", 12, 1, 3, DIMS(0, 5, 19), false, project);
    heavy_expect_same_bits("Einsum", 12, 1, 3, DIMS(0, 1, 19), false, attend);
}
END_TEST

static void refused(const char *equation, enum err_code code, const char *words)
{
    begin(equation);
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_expect_failure(&h, code, words);
    harness_end(&h);
}

START_TEST(bad_equations_are_refused_when_opened)
{
    refused("ij->i", ERR_MODEL, "fewer terms than inputs");
    refused("ij,jk,kl->i", ERR_MODEL, "more terms than inputs");
    refused("ij,ij->iz", ERR_MODEL, "a label of the result occurs in no input");
    refused("ij,ij->ii", ERR_MODEL, "a label occurs twice in the result");
    refused("i1,ij->i", ERR_MODEL, "no letter");
    refused("i..,ij->i", ERR_MODEL, "no ellipsis");
    refused("......,ij->i", ERR_MODEL, "two ellipses");
    refused("ij,ij-", ERR_MODEL, "no arrow");
    refused("ij,ij->i,j", ERR_MODEL, "something after the result");
    refused("abcdefghijklm,ij->a", ERR_MODEL, "more labels than a tensor has axes");
    refused("ijk,ij->i", ERR_INVALID, "input 0 has 2 axes");
    refused("i,ij->i", ERR_INVALID, "input 0 has 2 axes");
    refused("ij,ji->i", ERR_INVALID, "axis 0 of input 1 has 2 elements");
    harness_begin(&h, "Einsum", 12);
    harness_floats(&h, 2, DIMS(2, 3), abc);
    harness_expect_failure(&h, ERR_MODEL, "'equation' is missing");
    harness_end(&h);
}
END_TEST

START_TEST(products_between_may_not_grow_without_end)
{
    const int64_t ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    begin("abcdefgh,ijklmnop,q");
    harness_floats(&h, 8, ones, abc);
    harness_floats(&h, 8, ones, abc);
    harness_floats(&h, 1, ones, abc);
    harness_expect_failure(&h, ERR_MODEL, "a result with more labels");
    harness_end(&h);
    begin("abcdefgh,ijklmnop,q,abcdefgh,ijklmnop->q");
    for (int i = 0; i < 5; i++)
        harness_floats(&h, i == 2 ? 1 : 8, ones, abc);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "has 17 axes; up to 16 would work");
    harness_end(&h);
}
END_TEST

Suite *op_einsum_suite(void)
{
    Suite *suite = suite_create("op/einsum");
    TCase *tcase = tcase_create("einsum");
    tcase_add_test(tcase, one_input_is_summed_turned_and_cut_diagonally);
    tcase_add_test(tcase, two_inputs_are_multiplied);
    tcase_add_test(tcase, three_inputs_and_scalars_work);
    tcase_add_test(tcase, axes_of_one_and_ellipses_broadcast);
    tcase_add_test(tcase, an_axis_of_one_stretches_wherever_it_stands);
    tcase_add_test(tcase, other_types_take_loops);
    tcase_add_test(tcase, sums_of_nothing_are_zero);
    tcase_add_test(tcase, large_products_agree_with_matmul);
    tcase_add_test(tcase, an_item_never_feels_its_batch);
    tcase_add_test(tcase, bad_equations_are_refused_when_opened);
    tcase_add_test(tcase, products_between_may_not_grow_without_end);
    suite_add_tcase(suite, tcase);
    return suite;
}
