/* weights.c - tests of src/op/weights.c. */
#include "op/weights.h"

#include <check.h>
#include <string.h>

START_TEST(sizes_are_rounded_to_cache_lines)
{
    ck_assert_uint_eq(weights_round(0), 0);
    ck_assert_uint_eq(weights_round(1), 64);
    ck_assert_uint_eq(weights_round(64), 64);
    ck_assert_int_eq(weights_blocked(17, 16), 32);
    ck_assert_int_eq(weights_blocked(32, 16), 32);
}
END_TEST

START_TEST(a_bias_is_scaled_and_shifted)
{
    const float scale[] = {2, 3}, shift[] = {10, 20};
    const struct fused fused = {.scale = scale, .shift = shift};
    char bytes[1 + 2 * sizeof(float)];
    float merged[2];
    memcpy(bytes + 1, (const float[]){1, 2}, 2 * sizeof(float)); /* unaligned, as in a file */
    weights_bias(merged, bytes + 1, &fused, 0.5f, 2);
    ck_assert(merged[0] == 11 && merged[1] == 23);
    weights_bias(merged, NULL, &fused, 1, 2);
    ck_assert(merged[0] == 10 && merged[1] == 20);
}
END_TEST

START_TEST(a_constant_of_an_enclosing_graph_is_seen_where_it_lies)
{
    struct tensor constant = {.dtype = PERCEPT_FLOAT};
    struct value outer_values[] = {{.outer = -1}, {.outer = -1, .constant = &constant}};
    struct value values[] = {{.outer = 1}, {.outer = 0}};
    struct graph parent = {.n_values = 2, .values = outer_values};
    struct graph graph = {.parent = &parent, .n_values = 2, .values = values};
    struct node node = {.n_in = 3, .in = (int[]){0, 1, -1}};
    const struct node_ctx ctx = {.graph = &graph, .node = &node};
    ck_assert_ptr_eq(weights_view(&ctx, 0), &constant);
    ck_assert_ptr_null(weights_view(&ctx, 1));
    ck_assert_ptr_null(weights_view(&ctx, 2));
    ck_assert_ptr_null(weights_view(&ctx, 3));
}
END_TEST

START_TEST(a_residual_becomes_an_input_and_comes_after_the_affine_step)
{
    struct arena arena = {0};
    struct graph graph = {0};
    struct node node = {.n_in = 1, .in = (int[]){5}};
    struct node_ctx ctx = {.graph = &graph, .node = &node, .arena = &arena};
    struct fused fused = {.residual = -1};
    const float shift[] = {1};
    ck_assert(weights_fuse(&ctx, &fused, &(struct fusion){.kind = FUSE_RESIDUAL, .value = 9}));
    ck_assert_int_eq(fused.residual, 1);
    ck_assert_int_eq(node.n_in, 2);
    ck_assert_int_eq(node.in[1], 9);
    ck_assert(!weights_fuse(&ctx, &fused, &(struct fusion){.kind = FUSE_AFFINE, .channels = 1, .shift = shift}));
    ck_assert(!weights_fuse(&ctx, &fused, &(struct fusion){.kind = FUSE_RESIDUAL, .value = 9}));
    ck_assert_int_eq(node.n_in, 2);
    arena_free(&arena);
}
END_TEST

Suite *op_weights_suite(void);
Suite *op_weights_suite(void)
{
    Suite *suite = suite_create("op/weights");
    TCase *tests = tcase_create("weights");
    tcase_add_test(tests, sizes_are_rounded_to_cache_lines);
    tcase_add_test(tests, a_bias_is_scaled_and_shifted);
    tcase_add_test(tests, a_constant_of_an_enclosing_graph_is_seen_where_it_lies);
    tcase_add_test(tests, a_residual_becomes_an_input_and_comes_after_the_affine_step);
    suite_add_tcase(suite, tests);
    return suite;
}
