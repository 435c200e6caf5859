/* tokenizer_unigram.c - the best way through a piece; unknown characters become one. */
#include "pieces.h"

#include <check.h>

Suite *serve_tokenizer_unigram_suite(void);

#define MODEL(more)                                                                                                    \
    "{\"model\":{\"type\":\"Unigram\"" more                                                                            \
    ",\"vocab\":[[\"<unk>\",0],[\"a\",-2],[\"b\",-2],[\"ab\",-3.5],[\"abc\",-9],"                                      \
    "[\"c\",-3],[\"<0xC3>\",-20],[\"<0xA9>\",-20],[\"bc\",-4.5]]}}"
#define UNKNOWN ",\"unk_id\":0"

START_TEST(the_way_with_the_largest_sum_is_taken)
{
    pieces_expect(MODEL(UNKNOWN), "ab", "3");
    pieces_expect(MODEL(UNKNOWN), "abc", "1 8"); /* -6.5 either way: the first that was found */
    pieces_expect(MODEL(UNKNOWN), "cab", "5 3");
    pieces_expect(MODEL(UNKNOWN), "bcbc", "8 8");
}
END_TEST

START_TEST(unknown_characters_become_one)
{
    pieces_expect(MODEL(UNKNOWN), "azzb", "1 0 2");
    pieces_expect(MODEL(UNKNOWN), "zéz", "0");
    pieces_expect(MODEL(UNKNOWN), "<unk>", "0");
    pieces_expect(MODEL(UNKNOWN ",\"byte_fallback\":true"), "aéb", "1 6 7 2");
    pieces_expect(MODEL(UNKNOWN ",\"byte_fallback\":true"), "zéb", "0 2");
    pieces_expect(MODEL(""), "a", "1");
    pieces_expect(MODEL(""), "az", "the vocabulary does not have 'z', and no unknown token");
}
END_TEST

START_TEST(scores_are_judged)
{
    pieces_expect_refused(MODEL(",\"unk_id\":9"), "model.unk_id is 9; there are 9 tokens");
    pieces_expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1e999]]}}", "score");
    pieces_expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1,2]]}}", "more than a score");
    pieces_expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", "");
    pieces_expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",1],[\"a\",2]]}}",
                          "'a' has two ids, 0 and 1");
    pieces_expect_refused("{\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":1}}}", "expected an array");
}
END_TEST

Suite *serve_tokenizer_unigram_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_unigram");
    TCase *tests = tcase_create("tokenizer_unigram");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, the_way_with_the_largest_sum_is_taken);
    tcase_add_test(tests, unknown_characters_become_one);
    tcase_add_test(tests, scores_are_judged);
    suite_add_tcase(suite, tests);
    return suite;
}
