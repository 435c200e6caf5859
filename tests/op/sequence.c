/* sequence.c - tests of src/op/sequence.c: lists of tensors and optionals, one operator at a time; in bodies and
 * whole networks they are tested in tests/engine/control.c. */
#include <check.h>
#include <string.h>

#include "harness.h"

static struct harness made, h;

/* A sequence of n vectors of one number each, 10, 11, ... */
static struct sequence tens(int n)
{
    harness_begin(&made, n ? "SequenceConstruct" : "SequenceEmpty", 11);
    for (int i = 0; i < n; i++)
        harness_floats(&made, 1, DIMS(1), (float[]){10 + (float)i});
    ck_assert_msg(harness_run(&made), "%s", made.err.text);
    return *(const struct sequence *)harness_out(&made, 0)->data;
}

static void add_list(enum percept_dtype dtype, const struct sequence *list)
{
    harness_input(&h, dtype, 0, NULL, list);
}

/* Output 0 of `h` is a sequence; its elements in order, as SequenceAt gives them. */
static void expect_list(int n, const float *want)
{
    const struct sequence list = *(const struct sequence *)harness_out(&h, 0)->data;
    ck_assert_int_eq(list.n, n);
    for (int i = 0; i < n; i++) {
        struct harness at;
        harness_begin(&at, "SequenceAt", 11);
        harness_input(&at, DTYPE_SEQUENCE, 0, NULL, &list);
        harness_int64s(&at, 0, NULL, DIMS(i - (i % 2 ? n : 0)));
        ck_assert_msg(harness_run(&at), "%s", at.err.text);
        harness_expect_floats(&at, 0, 1, DIMS(1), &want[i], 0);
        harness_end(&at);
    }
}

static void begin_edit(const char *op, int n)
{
    const struct sequence list = tens(n);
    harness_begin(&h, op, 11);
    add_list(DTYPE_SEQUENCE, &list);
}

static void end_edit(void)
{
    harness_end(&h);
    harness_end(&made);
}

START_TEST(tensors_go_in_anywhere)
{
    static const struct {
        int n, at; /* 99: left out */
        float want[4];
    } cases[] = {{0, 99, {5}},         {0, 0, {5}},          {2, 99, {10, 11, 5}},
                 {2, 2, {10, 11, 5}},  {2, 0, {5, 10, 11}},  {2, 1, {10, 5, 11}},
                 {2, -1, {10, 5, 11}}, {2, -2, {5, 10, 11}}, {3, -1, {10, 11, 5, 12}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_edit("SequenceInsert", cases[i].n);
        harness_floats(&h, 1, DIMS(1), (float[]){5});
        if (cases[i].at != 99)
            harness_input(&h, PERCEPT_INT32, 0, NULL, &cases[i].at);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        expect_list(cases[i].n + 1, cases[i].want);
        end_edit();
    }
}
END_TEST

START_TEST(tensors_are_taken_out)
{
    static const struct {
        int n, at;
        float want[3];
    } cases[] = {{1, 99, {0}}, {3, 99, {10, 11}}, {3, 0, {11, 12}}, {3, 1, {10, 12}}, {3, -3, {11, 12}}, {1, 0, {0}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_edit("SequenceErase", cases[i].n);
        if (cases[i].at != 99)
            harness_int64s(&h, 1, DIMS(1), DIMS(cases[i].at));
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        expect_list(cases[i].n - 1, cases[i].want);
        end_edit();
    }
}
END_TEST

/* Lists that grow from one share memory: neither sees the other's. */
START_TEST(what_a_list_holds_never_changes)
{
    const struct sequence both = tens(2);
    float want[] = {10, 11, 7};
    for (int turn = 0; turn < 3; turn++) {
        harness_begin(&h, "SequenceInsert", 11);
        add_list(DTYPE_SEQUENCE, &both);
        want[2] = 7 + (float)turn;
        harness_floats(&h, 1, DIMS(1), &want[2]);
        ck_assert(harness_run(&h));
        const struct sequence three = *(const struct sequence *)harness_out(&h, 0)->data;
        struct harness longer;
        harness_begin(&longer, "SequenceInsert", 11);
        harness_input(&longer, DTYPE_SEQUENCE, 0, NULL, &three);
        harness_floats(&longer, 1, DIMS(1), (float[]){99});
        ck_assert(harness_run(&longer));
        expect_list(3, want);
        ck_assert_int_eq(both.n, 2);
        harness_end(&longer);
        harness_end(&h);
    }
    harness_end(&made);
}
END_TEST

START_TEST(positions_outside_are_refused)
{
    static const struct {
        const char *op;
        int n;
        int64_t at;
        const char *words;
    } cases[] = {{"SequenceAt", 2, 2, "position 2 is outside [-2, 1] of a sequence of 2"},
                 {"SequenceAt", 0, 0, "position 0 is outside [0, -1]"},
                 {"SequenceErase", 2, -3, "position -3 is outside [-2, 1]"},
                 {"SequenceErase", 0, 99, "position -1 is outside [0, -1]"},
                 {"SequenceInsert", 2, 3, "position 3 is outside [-2, 2]"},
                 {"SequenceInsert", 2, INT64_MIN, "is outside [-2, 2]"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_edit(cases[i].op, cases[i].n);
        if (strcmp(cases[i].op, "SequenceInsert") == 0)
            harness_floats(&h, 1, DIMS(1), (float[]){5});
        if (cases[i].at != 99)
            harness_int64s(&h, 0, NULL, &cases[i].at);
        harness_expect_failure(&h, ERR_DATA, cases[i].words);
        end_edit();
    }
}
END_TEST

START_TEST(only_tensors_of_its_type_go_into_a_list)
{
    begin_edit("SequenceInsert", 2);
    harness_int64s(&h, 1, DIMS(1), DIMS(5));
    harness_expect_failure(&h, ERR_DATA, "a tensor of int64 does not go into a sequence of float32");
    end_edit();
    begin_edit("SequenceInsert", 0); /* an empty one is of floats unless it says otherwise */
    harness_int64s(&h, 1, DIMS(1), DIMS(5));
    harness_expect_failure(&h, ERR_DATA, "int64");
    end_edit();
    harness_begin(&h, "SequenceConstruct", 11);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_input(&h, PERCEPT_DOUBLE, 1, DIMS(1), (double[]){1});
    harness_expect_failure(&h, ERR_DATA, "a tensor of float64 does not go");
    harness_end(&h);
    begin_edit("SequenceInsert", 1);
    add_list(DTYPE_SEQUENCE, &(struct sequence){0});
    harness_expect_failure(&h, ERR_MODEL, "input 1 is sequence; a tensor would work");
    end_edit();
    harness_begin(&h, "SequenceLength", 11);
    harness_floats(&h, 1, DIMS(1), (float[]){1});
    harness_expect_failure(&h, ERR_MODEL, "input 0 is a tensor; a sequence would work");
    harness_end(&h);
    harness_begin(&h, "SequenceEmpty", 11);
    harness_int(&h, "dtype", 14);
    harness_expect_failure(&h, ERR_UNSUPPORTED, "attribute 'dtype' is 14");
    harness_end(&h);
}
END_TEST

START_TEST(strings_are_kept_with_their_bytes)
{
    char text[] = "abcde";
    const struct percept_string strings[] = {{text, 3}, {text + 3, 2}, {NULL, 0}};
    harness_begin(&made, "SequenceConstruct", 11);
    harness_input(&made, PERCEPT_STRING, 1, DIMS(3), strings);
    ck_assert_msg(harness_run(&made), "%s", made.err.text);
    memset(text, 'x', sizeof text);
    harness_begin(&h, "SequenceAt", 11);
    add_list(DTYPE_SEQUENCE, harness_out(&made, 0)->data);
    harness_int64s(&h, 0, NULL, DIMS(0));
    ck_assert(harness_run(&h));
    const struct percept_string *got = harness_out(&h, 0)->data;
    ck_assert(got[0].n_bytes == 3 && memcmp(got[0].at, "abc", 3) == 0);
    ck_assert(got[1].n_bytes == 2 && memcmp(got[1].at, "de", 2) == 0);
    ck_assert_uint_eq(got[2].n_bytes, 0);
    end_edit();
}
END_TEST

START_TEST(lengths_are_counted)
{
    for (int n = 0; n < 4; n++) {
        begin_edit("SequenceLength", n);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(&h, 0, PERCEPT_INT64, 0, NULL, DIMS(n));
        end_edit();
    }
}
END_TEST

/* --- splitting and joining ---------------------------------------------------------------------------------------- */

static const float counted[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* What SequenceAt gives of h's output. */
static void expect_part(int64_t at, int rank, const int64_t *dims, const float *want)
{
    struct harness part;
    harness_begin(&part, "SequenceAt", 11);
    harness_input(&part, DTYPE_SEQUENCE, 0, NULL, harness_out(&h, 0)->data);
    harness_int64s(&part, 0, NULL, &at);
    ck_assert_msg(harness_run(&part), "%s", part.err.text);
    harness_expect_floats(&part, 0, rank, dims, want, 0);
    harness_end(&part);
}

static void begin_split(int64_t axis, int64_t keepdims, int rank, int64_t n, const int64_t *split)
{
    harness_begin(&h, "SplitToSequence", 11);
    harness_int(&h, "axis", axis);
    harness_int(&h, "keepdims", keepdims);
    harness_floats(&h, 2, DIMS(3, 4), counted);
    if (rank >= 0)
        harness_int64s(&h, rank, &n, split);
}

static int64_t parts(void)
{
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    return ((const struct sequence *)harness_out(&h, 0)->data)->n;
}

START_TEST(a_tensor_is_split_by_ones_by_a_length_and_by_a_list)
{
    begin_split(0, 1, -1, 0, NULL);
    ck_assert_int_eq(parts(), 3);
    expect_part(2, 2, DIMS(1, 4), counted + 8);
    harness_end(&h);
    begin_split(1, 0, -1, 0, NULL);
    ck_assert_int_eq(parts(), 4);
    expect_part(-1, 1, DIMS(3), (float[]){3, 7, 11});
    harness_end(&h);
    harness_begin(&h, "SplitToSequence", 11); /* more parts than a list has room for at first */
    harness_floats(&h, 2, DIMS(40, 1), (float[40]){[0] = 7, [9] = 1, [39] = 3});
    ck_assert_int_eq(parts(), 40);
    expect_part(0, 2, DIMS(1, 1), (float[]){7});
    expect_part(8, 2, DIMS(1, 1), (float[]){0});
    expect_part(9, 2, DIMS(1, 1), (float[]){1});
    expect_part(39, 2, DIMS(1, 1), (float[]){3});
    harness_end(&h);
    harness_begin(&h, "SplitToSequence", 11); /* of as many axes as there can be */
    harness_int(&h, "keepdims", 0);
    harness_floats(&h, 8, DIMS(2, 1, 1, 1, 1, 1, 1, 3), counted);
    ck_assert_int_eq(parts(), 2);
    expect_part(1, 7, DIMS(1, 1, 1, 1, 1, 1, 3), counted + 3);
    harness_end(&h);
    begin_split(-1, 0, 0, 1, DIMS(3)); /* keepdims says nothing where lengths are given; the last part is short */
    ck_assert_int_eq(parts(), 2);
    expect_part(0, 2, DIMS(3, 3), (float[]){0, 1, 2, 4, 5, 6, 8, 9, 10});
    expect_part(1, 2, DIMS(3, 1), (float[]){3, 7, 11});
    harness_end(&h);
    begin_split(1, 1, 1, 3, DIMS(1, 0, 3));
    ck_assert_int_eq(parts(), 3);
    expect_part(1, 2, DIMS(3, 0), NULL);
    expect_part(2, 2, DIMS(3, 3), (float[]){1, 2, 3, 5, 6, 7, 9, 10, 11});
    harness_end(&h);
}
END_TEST

START_TEST(parts_that_do_not_fit_are_refused)
{
    static const struct {
        int rank;
        int64_t n, split[2];
        const char *words;
    } cases[] = {{0, 1, {0}, "parts of 0 elements"},       {0, 1, {-2}, "parts of -2 elements"},
                 {1, 2, {1, 1}, "leave 1 of the axis' 3"}, {1, 2, {2, 2}, "part 1 of 2 elements does not fit"},
                 {1, 2, {-1, 4}, "part 0 of -1 elements"}, {1, 0, {0}, "leave 3 of the axis' 3"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_split(0, 1, cases[i].rank, cases[i].n, cases[i].split);
        harness_expect_failure(&h, ERR_DATA, cases[i].words);
        harness_end(&h);
    }
}
END_TEST

/* The operator on what SequenceConstruct made of two tensors. */
static void begin_join(int64_t axis, int64_t new_axis, const int64_t *first, const int64_t *second)
{
    harness_begin(&made, "SequenceConstruct", 11);
    harness_floats(&made, 2, first, counted);
    harness_floats(&made, 2, second, counted + 6);
    ck_assert(harness_run(&made));
    harness_begin(&h, "ConcatFromSequence", 11);
    harness_int(&h, "axis", axis);
    harness_int(&h, "new_axis", new_axis);
    add_list(DTYPE_SEQUENCE, harness_out(&made, 0)->data);
}

START_TEST(tensors_are_joined_along_an_axis_or_a_new_one)
{
    begin_join(0, 0, DIMS(2, 3), DIMS(1, 3));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(3, 3), counted, 0);
    end_edit();
    begin_join(-1, 0, DIMS(2, 2), DIMS(2, 1));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 2, DIMS(2, 3), (float[]){0, 1, 6, 2, 3, 7}, 0);
    end_edit();
    begin_join(2, 1, DIMS(2, 2), DIMS(2, 2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 2, 2), (float[]){0, 6, 1, 7, 2, 8, 3, 9}, 0);
    end_edit();
    begin_join(-3, 1, DIMS(2, 2), DIMS(2, 2));
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 3, DIMS(2, 2, 2), (float[]){0, 1, 2, 3, 6, 7, 8, 9}, 0);
    end_edit();
}
END_TEST

START_TEST(what_cannot_be_joined_is_refused)
{
    begin_join(0, 0, DIMS(2, 3), DIMS(2, 2));
    harness_expect_failure(&h, ERR_DATA, "shapes [2,3] and [2,2] do not join along axis 0");
    end_edit();
    begin_join(0, 1, DIMS(2, 3), DIMS(1, 3));
    harness_expect_failure(&h, ERR_DATA, "do not join");
    end_edit();
    begin_join(2, 0, DIMS(2, 2), DIMS(2, 2));
    harness_expect_failure(&h, ERR_MODEL, "axis 2 is outside [-2, 1]");
    end_edit();
    const struct sequence none = tens(0);
    harness_begin(&h, "ConcatFromSequence", 11);
    harness_int(&h, "axis", 0);
    add_list(DTYPE_SEQUENCE, &none);
    harness_expect_failure(&h, ERR_DATA, "the sequence is empty");
    end_edit();
    harness_begin(&h, "ConcatFromSequence", 11);
    add_list(DTYPE_SEQUENCE, &(struct sequence){0});
    harness_expect_failure(&h, ERR_MODEL, "'axis' is missing");
    harness_end(&h);
}
END_TEST

static void *no_memory(struct run_env *env, size_t n_bytes)
{
    (void)env;
    (void)n_bytes;
    return NULL;
}

START_TEST(short_memory_is_a_sentence)
{
    static const char *const ops[] = {"SequenceConstruct", "SplitToSequence", "Optional"};
    for (int i = 0; i < 3; i++) {
        harness_begin(&h, ops[i], 15);
        harness_floats(&h, 1, DIMS(2), counted);
        h.env.lasting = no_memory;
        harness_expect_failure(&h, ERR_MEMORY, "more memory than a session may have");
        harness_end(&h);
    }
}
END_TEST

/* --- optionals ---------------------------------------------------------------------------------------------------- */

static void begin_optional(const char *op, bool full)
{
    harness_begin(&made, "Optional", 15);
    if (full)
        harness_floats(&made, 1, DIMS(2), counted);
    ck_assert_msg(harness_run(&made), "%s", made.err.text);
    harness_begin(&h, op, 18);
    add_list(DTYPE_OPTIONAL, harness_out(&made, 0)->data);
}

START_TEST(optionals_tell_what_they_hold_and_give_it)
{
    for (uint8_t full = 0; full < 2; full++) {
        begin_optional("OptionalHasElement", full);
        ck_assert_msg(harness_run(&h), "%s", h.err.text);
        harness_expect(&h, 0, PERCEPT_BOOL, 0, NULL, &full);
        end_edit();
    }
    begin_optional("OptionalGetElement", true);
    ck_assert_msg(harness_run(&h), "%s", h.err.text);
    harness_expect_floats(&h, 0, 1, DIMS(2), counted, 0);
    end_edit();
    begin_optional("OptionalGetElement", false);
    harness_expect_failure(&h, ERR_DATA, "the optional is empty");
    end_edit();
    begin_optional("Optional", true);
    harness_expect_failure(&h, ERR_MODEL, "its input is an optional");
    end_edit();
}
END_TEST

START_TEST(a_tensor_is_an_optional_that_is_there)
{
    harness_begin(&h, "OptionalHasElement", 18);
    harness_floats(&h, 1, DIMS(2), counted);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_BOOL, 0, NULL, (uint8_t[]){1});
    harness_end(&h);
    harness_begin(&h, "OptionalHasElement", 18);
    ck_assert(harness_run(&h));
    harness_expect(&h, 0, PERCEPT_BOOL, 0, NULL, (uint8_t[]){0});
    harness_end(&h);
    harness_begin(&h, "OptionalGetElement", 18);
    harness_floats(&h, 1, DIMS(2), counted);
    ck_assert(harness_run(&h));
    harness_expect_floats(&h, 0, 1, DIMS(2), counted, 0);
    harness_end(&h);
}
END_TEST

Suite *op_sequence_suite(void);
Suite *op_sequence_suite(void)
{
    Suite *suite = suite_create("op_sequence");
    TCase *tests = tcase_create("sequence");
    tcase_add_test(tests, tensors_go_in_anywhere);
    tcase_add_test(tests, tensors_are_taken_out);
    tcase_add_test(tests, what_a_list_holds_never_changes);
    tcase_add_test(tests, positions_outside_are_refused);
    tcase_add_test(tests, only_tensors_of_its_type_go_into_a_list);
    tcase_add_test(tests, strings_are_kept_with_their_bytes);
    tcase_add_test(tests, lengths_are_counted);
    tcase_add_test(tests, a_tensor_is_split_by_ones_by_a_length_and_by_a_list);
    tcase_add_test(tests, parts_that_do_not_fit_are_refused);
    tcase_add_test(tests, tensors_are_joined_along_an_axis_or_a_new_one);
    tcase_add_test(tests, what_cannot_be_joined_is_refused);
    tcase_add_test(tests, short_memory_is_a_sentence);
    tcase_add_test(tests, optionals_tell_what_they_hold_and_give_it);
    tcase_add_test(tests, a_tensor_is_an_optional_that_is_there);
    suite_add_tcase(suite, tests);
    return suite;
}
