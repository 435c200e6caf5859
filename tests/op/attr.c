/* attr.c - attributes: defaults, types, ranges, and sentences that name node and attribute. */
#include "op/attr.h"

#include <check.h>

#include "harness.h"

/* A node with one attribute of each kind. */
static struct node_ctx attributed(struct harness *h)
{
    harness_begin(h, "Relu", 13);
    harness_int(h, "i", 7);
    harness_float(h, "f", 1.5F);
    harness_text(h, "s", "VALID");
    harness_int_list(h, "is", 2, DIMS(4, 5));
    harness_float_list(h, "fs", 1, (float[]){2.5F});
    float one = 1;
    harness_tensor(h, "t", &(struct tensor){.dtype = PERCEPT_FLOAT, .data = &one});
    harness_floats(h, 1, DIMS(1), &one);
    ck_assert(harness_check(h));
    return h->ctx;
}

START_TEST(present_attributes_are_read)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    static const char *const choices[] = {"SAME", "VALID", NULL};
    int64_t i;
    float f;
    bool b;
    int n, choice;
    const int64_t *is;
    const float *fs;
    const struct tensor *t;
    ck_assert(attr_int(&ctx, "i", 1, &i, NULL) && i == 7);
    ck_assert(attr_int_in(&ctx, "i", 1, 7, 7, &i, NULL) && i == 7);
    ck_assert(attr_bool(&ctx, "i", false, &b, NULL) && b);
    ck_assert(attr_float(&ctx, "f", 0, &f, NULL) && f == 1.5F);
    ck_assert(attr_choice(&ctx, "s", 0, choices, &choice, NULL) && choice == 1);
    ck_assert(attr_ints(&ctx, "is", &is, &n, NULL) && n == 2 && is[1] == 5);
    ck_assert(attr_floats(&ctx, "fs", &fs, &n, NULL) && n == 1 && fs[0] == 2.5F);
    ck_assert(attr_tensor(&ctx, "t", &t, NULL) && t && *(const float *)t->data == 1);
    ck_assert(attr_has(&ctx, "is") && !attr_has(&ctx, "none"));
    harness_end(&h);
}
END_TEST

START_TEST(absent_attributes_give_the_default)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    static const char *const choices[] = {"SAME", "VALID", NULL};
    int64_t i;
    float f;
    bool b;
    int n, choice;
    const int64_t *is = DIMS(1);
    const float *fs;
    const struct tensor *t;
    struct graph *g;
    ck_assert(attr_int(&ctx, "x", -3, &i, NULL) && i == -3);
    ck_assert(attr_int_in(&ctx, "x", -3, 0, 9, &i, NULL) && i == -3);
    ck_assert(attr_bool(&ctx, "x", true, &b, NULL) && b);
    ck_assert(attr_float(&ctx, "x", 0.5F, &f, NULL) && f == 0.5F);
    ck_assert(attr_choice(&ctx, "x", 1, choices, &choice, NULL) && choice == 1);
    ck_assert(attr_ints(&ctx, "x", &is, &n, NULL) && n == 0 && !is);
    ck_assert(attr_floats(&ctx, "x", &fs, &n, NULL) && n == 0 && !fs);
    ck_assert(attr_tensor(&ctx, "x", &t, NULL) && !t);
    ck_assert(attr_graph(&ctx, "x", &g, NULL) && !g);
    harness_end(&h);
}
END_TEST

START_TEST(texts_are_read_alone_and_in_lists)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    harness_text_list(&h, "ss", 2, (const char *const[]){"one", ""});
    ctx.node->attrs = h.attrs;
    ctx.node->n_attr = h.node.n_attr;
    struct percept_err err = {0};
    struct percept_string s;
    const struct percept_string *ss;
    int n;
    ck_assert(attr_text(&ctx, "s", "none", &s, NULL) && s.n_bytes == 5 && memcmp(s.at, "VALID", 5) == 0);
    ck_assert(attr_text(&ctx, "x", "none", &s, NULL) && s.n_bytes == 4 && memcmp(s.at, "none", 4) == 0);
    ck_assert(attr_texts(&ctx, "ss", &ss, &n, NULL) && n == 2 && ss[0].n_bytes == 3 && ss[1].n_bytes == 0);
    ck_assert(attr_texts(&ctx, "x", &ss, &n, NULL) && n == 0 && !ss);
    ck_assert(!attr_texts(&ctx, "s", &ss, &n, &err));
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 's' is a string; it must be strings");
    ck_assert(!attr_text(&ctx, "i", "", &s, &err));
    harness_end(&h);
}
END_TEST

START_TEST(wrong_types_are_refused_and_nothing_is_written)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    struct percept_err err = {0};
    int64_t i = 99;
    float f = 99;
    int n = 99;
    const int64_t *is;
    const float *fs;
    const struct tensor *t;
    ck_assert(!attr_int(&ctx, "f", 1, &i, &err) && i == 99);
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 'f' is a float; it must be an int");
    ck_assert(!attr_float(&ctx, "i", 1, &f, &err) && f == 99);
    ck_assert(!attr_ints(&ctx, "i", &is, &n, &err) && n == 99);
    ck_assert(!attr_floats(&ctx, "i", &fs, &n, &err) && n == 99);
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 'i' is an int; it must be floats");
    ck_assert(!attr_tensor(&ctx, "s", &t, &err));
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 's' is a string; it must be a tensor");
    ck_assert_int_eq(err.code, ERR_MODEL);
    harness_end(&h);
}
END_TEST

START_TEST(values_out_of_range_tell_the_range)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    struct percept_err err = {0};
    int64_t i = 99;
    ck_assert(!attr_int_in(&ctx, "i", 0, 8, 10, &i, &err) && i == 99);
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 'i' is 7; 8 to 10 would work");
    harness_end(&h);
}
END_TEST

START_TEST(unknown_choices_list_the_known_ones)
{
    struct harness h;
    struct node_ctx ctx = attributed(&h);
    struct percept_err err = {0};
    static const char *const choices[] = {"NOTSET", "SAME_UPPER", NULL};
    int choice = 99;
    ck_assert(!attr_choice(&ctx, "s", 0, choices, &choice, &err) && choice == 99);
    ck_assert_str_eq(err.text, "node 'n' (Relu): attribute 's' is 'VALID'; known are NOTSET, SAME_UPPER");
    harness_end(&h);
}
END_TEST

Suite *op_attr_suite(void)
{
    Suite *suite = suite_create("op/attr");
    TCase *tcase = tcase_create("attr");
    tcase_add_test(tcase, present_attributes_are_read);
    tcase_add_test(tcase, absent_attributes_give_the_default);
    tcase_add_test(tcase, texts_are_read_alone_and_in_lists);
    tcase_add_test(tcase, wrong_types_are_refused_and_nothing_is_written);
    tcase_add_test(tcase, values_out_of_range_tell_the_range);
    tcase_add_test(tcase, unknown_choices_list_the_known_ones);
    suite_add_tcase(suite, tcase);
    return suite;
}
