/* words.c - tests of src/op/words.c: StringNormalizer. */
#include "harness.h"

#include <check.h>

static struct harness h;

static void begin(const char *action, int sensitive)
{
    harness_begin(&h, "StringNormalizer", 10);
    harness_text(&h, "case_change_action", action);
    harness_int(&h, "is_case_sensitive", sensitive);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__})

START_TEST(case_is_changed_in_every_script)
{
    begin("LOWER", 1);
    harness_texts(&h, 1, DIMS(4), WORDS("\xc3\x84RGER", "", "\xd0\x9c\xd0\x98\xd0\xa0", "\xc8\xba")); /* Ⱥ grows */
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(4), WORDS("\xc3\xa4rger", "", "\xd0\xbc\xd0\xb8\xd1\x80", "\xe2\xb1\xa5"));
    harness_end(&h);
    begin("UPPER", 0);
    harness_texts(&h, 2, DIMS(1, 2),
                  WORDS("stra\xc3\x9f"
                        "e",
                        "\xf0\x90\x90\xa8")); /* a sharp s has no capital */
    harness_ran(&h);
    harness_expect_texts(&h, 0, 2, DIMS(1, 2),
                         WORDS("STRA\xc3\x9f"
                               "E",
                               "\xf0\x90\x90\x80"));
    harness_end(&h);
}
END_TEST

START_TEST(stop_words_go)
{
    begin("NONE", 1);
    harness_text_list(&h, "stopwords", 2, WORDS("the", "A"));
    harness_texts(&h, 1, DIMS(4), WORDS("the", "The", "a", "A"));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(2), WORDS("The", "a"));
    harness_end(&h);
    begin("NONE", 0); /* compared without their case, given out with it */
    harness_text_list(&h, "stopwords", 2, WORDS("tHe", "\xc3\x84"));
    harness_texts(&h, 1, DIMS(4), WORDS("THE", "Cat", "\xc3\xa4", "S\xc3\x84T"));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(2), WORDS("Cat", "S\xc3\x84T"));
    harness_end(&h);
    begin("UPPER", 1); /* compared as they came */
    harness_text_list(&h, "stopwords", 1, WORDS("the"));
    harness_texts(&h, 2, DIMS(1, 3), WORDS("the", "The", "cat"));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 2, DIMS(1, 2), WORDS("THE", "CAT"));
    harness_end(&h);
}
END_TEST

START_TEST(where_no_word_is_left_there_is_an_empty_one)
{
    for (int rank = 1; rank <= 2; rank++) {
        begin("LOWER", 0);
        harness_text_list(&h, "stopwords", 1, WORDS("the"));
        harness_texts(&h, rank, rank == 1 ? DIMS(2) : DIMS(1, 2), WORDS("The", "the"));
        harness_ran(&h);
        harness_expect_texts(&h, 0, rank, DIMS(1, 1), WORDS(""));
        harness_end(&h);
    }
}
END_TEST

START_TEST(the_locale_c_knows_ascii_and_turkic_ones_are_refused)
{
    begin("LOWER", 0);
    harness_text(&h, "locale", "C");
    harness_texts(&h, 1, DIMS(1), WORDS("\xc3\x84RGER"));
    harness_ran(&h);
    harness_expect_texts(&h, 0, 1, DIMS(1), WORDS("\xc3\x84rger"));
    harness_end(&h);
    begin("LOWER", 0);
    harness_text(&h, "locale", "tr_TR.UTF-8");
    harness_texts(&h, 1, DIMS(1), WORDS("I"));
    harness_expect_failure(&h, ERR_UNSUPPORTED, "'tr_TR.UTF-8', whose dotless i");
    harness_end(&h);
}
END_TEST

START_TEST(what_is_not_utf8_is_the_senders_fault)
{
    static const char *const broken[] = {"\xff", "a\xc3", "\xed\xa0\x80"};
    for (int i = 0; i < 3; i++) {
        begin("LOWER", 0);
        harness_texts(&h, 1, DIMS(2), WORDS("fine", broken[i]));
        harness_expect_failure(&h, ERR_DATA, "element 1 is not UTF-8");
        harness_end(&h);
        begin("NONE", 1); /* nobody looks into it */
        harness_texts(&h, 1, DIMS(1), &broken[i]);
        harness_ran(&h);
        harness_expect_texts(&h, 0, 1, DIMS(1), &broken[i]);
        harness_end(&h);
    }
}
END_TEST

START_TEST(shapes_that_onnx_does_not_have_are_refused)
{
    static const struct {
        int rank;
        int64_t dims[3];
    } shapes[] = {{0, {0}}, {1, {0}}, {2, {2, 1}}, {3, {1, 1, 1}}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        begin("NONE", 1);
        harness_texts(&h, shapes[i].rank, shapes[i].dims, WORDS("a", "b"));
        harness_expect_failure(&h, ERR_INVALID, "[C] and [1,C] of at least one would work");
        harness_end(&h);
    }
}
END_TEST

Suite *op_words_suite(void)
{
    Suite *suite = suite_create("op/words");
    TCase *tcase = tcase_create("words");
    tcase_add_test(tcase, case_is_changed_in_every_script);
    tcase_add_test(tcase, stop_words_go);
    tcase_add_test(tcase, where_no_word_is_left_there_is_an_empty_one);
    tcase_add_test(tcase, the_locale_c_knows_ascii_and_turkic_ones_are_refused);
    tcase_add_test(tcase, what_is_not_utf8_is_the_senders_fault);
    tcase_add_test(tcase, shapes_that_onnx_does_not_have_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
