/* Running on the spot: who may be, how large it is, where its outputs lie. */
#include "engine/known.h"

#include <check.h>

static struct arena arena;
static struct tensor x, y;
static int zero; /* the index of either in a graph that nobody looks at */

/* A step of one input and one output of three floats. */
static struct step begin(struct node *node, const char *op_type, float *data)
{
    struct step step;
    *node = (struct node){.name = bytes_of_text("n"), .n_in = 1, .n_out = 1, .in = &zero, .out = &zero};
    node->op = op_find(bytes_of_text(""), bytes_of_text(op_type), 13);
    ck_assert_ptr_nonnull(node->op);
    ck_assert(known_step(&step, node, pick_best(), &arena));
    ck_assert_ptr_eq(step.arena, &arena);
    x = (struct tensor){.dtype = PERCEPT_FLOAT, .data = data};
    tensor_set_dims(&x, 1, (int64_t[]){3});
    y = (struct tensor){0};
    step.in[0] = &x;
    step.out[0] = &y;
    return step;
}

/* As check leaves it. */
static void judge(struct node *node, struct step *step)
{
    struct percept_err err = {0};
    struct node_ctx ctx = {.node = node, .arena = &arena, .load = &arena, .kernels = pick_best()};
    ck_assert_msg(node->op->rule->check(&ctx, &err), "%s", err.text);
    step->priv = node->priv;
    ck_assert_msg(node->op->rule->shape(step, &err), "%s", err.text);
}

START_TEST(a_step_over_known_inputs_is_run_into_the_arena)
{
    float data[] = {-1, 2, -3};
    struct node node;
    struct step step = begin(&node, "Relu", data);
    struct percept_err err = {0};
    size_t in_bytes, out_bytes;
    judge(&node, &step);
    ck_assert(known_ready(&step));
    ck_assert(known_bytes(&step, &in_bytes, &out_bytes));
    ck_assert_uint_eq(in_bytes, sizeof data);
    ck_assert_uint_eq(out_bytes, sizeof data);
    ck_assert_msg(known_run(&step, &err), "%s", err.text);
    ck_assert_ptr_ne(y.data, data);
    ck_assert_float_eq(((float *)y.data)[0], 0);
    ck_assert_float_eq(((float *)y.data)[1], 2);
    arena_free(&arena);
}
END_TEST

START_TEST(a_view_is_the_memory_of_its_input)
{
    float data[] = {-1, 2, -3};
    struct node node;
    struct step step = begin(&node, "Identity", data);
    struct percept_err err = {0};
    judge(&node, &step);
    ck_assert_int_eq(step.alias, 1);
    ck_assert(known_ready(&step) && known_run(&step, &err));
    ck_assert_ptr_eq(y.data, data);
    arena_free(&arena);
}
END_TEST

START_TEST(what_is_not_known_or_not_plain_is_not_ready)
{
    struct node node;
    struct step step = begin(&node, "Relu", NULL);
    judge(&node, &step);
    ck_assert(!known_ready(&step));
    step.in[0] = NULL;
    ck_assert(known_ready(&step));
    float data[3] = {0};
    step = begin(&node, "Relu", data);
    judge(&node, &step);
    step.want[0] = LAYOUT_BLOCKED;
    ck_assert(!known_ready(&step));
    step.want[0] = LAYOUT_PLAIN;
    y.layout = LAYOUT_BLOCKED;
    ck_assert(!known_ready(&step));
    step = begin(&node, "Shape", NULL); /* needs dims alone */
    judge(&node, &step);
    ck_assert(known_ready(&step));
    arena_free(&arena);
}
END_TEST

START_TEST(some_operators_never_run_early)
{
    static const struct {
        const char *op_type;
        bool lets;
    } rows[] = {{"Add", true}, {"Conv", false}, {"RandomNormal", false}, {"If", false}, {"SequenceInsert", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(known_lets(op_find(bytes_of_text(""), bytes_of_text(rows[i].op_type), 13)) == rows[i].lets, "%s",
                      rows[i].op_type);
}
END_TEST

START_TEST(a_failed_allocation_is_a_sentence)
{
    float data[3] = {0};
    struct node node;
    struct step step = begin(&node, "Relu", data);
    struct percept_err err = {0};
    judge(&node, &step);
    arena.limit_bytes = arena.used_bytes;
    step.scratch_bytes = (size_t)1 << 20;
    ck_assert(!known_run(&step, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    ck_assert(err.text[0]);
    arena_free(&arena);
    arena.limit_bytes = 0;
}
END_TEST

Suite *engine_known_suite(void);
Suite *engine_known_suite(void)
{
    Suite *suite = suite_create("engine_known");
    TCase *tests = tcase_create("known");
    tcase_add_test(tests, a_step_over_known_inputs_is_run_into_the_arena);
    tcase_add_test(tests, a_view_is_the_memory_of_its_input);
    tcase_add_test(tests, what_is_not_known_or_not_plain_is_not_ready);
    tcase_add_test(tests, some_operators_never_run_early);
    tcase_add_test(tests, a_failed_allocation_is_a_sentence);
    suite_add_tcase(suite, tests);
    return suite;
}
