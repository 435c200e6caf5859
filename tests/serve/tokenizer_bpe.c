/* tokenizer_bpe.c - merges by rank, from the left; prefixes, suffixes, bytes for what is unknown. */
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

Suite *serve_tokenizer_bpe_suite(void);

#define MODEL(more)                                                                                                    \
    "{\"model\":{\"type\":\"BPE\"" more                                                                                \
    ",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"abc\":5,\"aa\":6,\"aaa\":7,"                              \
    "\"?\":8,\"<0xC3>\":9,\"<0xA9>\":10},\"merges\":[\"b c\",\"a b\",[\"a\",\"bc\"],\"a a\",\"aa a\"]}}"

START_TEST(merges_of_low_rank_come_first_from_the_left)
{
    pieces_expect(MODEL(""), "abc", "5");
    pieces_expect(MODEL(""), "abab", "3 3");
    pieces_expect(MODEL(""), "aaaa", "6 6");
    pieces_expect(MODEL(""), "aaaaa", "6 7");
    pieces_expect(MODEL(""), "bca", "4 0");
}
END_TEST

START_TEST(what_is_unknown_is_left_out_or_a_token)
{
    pieces_expect(MODEL(""), "azb", "3");
    pieces_expect(MODEL(",\"unk_token\":\"?\""), "azzb", "0 8 8 1");
    pieces_expect(MODEL(",\"unk_token\":\"?\",\"fuse_unk\":true"), "azzbz", "0 8 1 8");
    pieces_expect(MODEL(",\"unk_token\":\"?\",\"byte_fallback\":true"), "a\xc3\xa9z", "0 9 10 8");
    pieces_expect(MODEL(",\"unk_token\":\"?\",\"byte_fallback\":true"), "z\xc3\xa9", "9 10 8");
    pieces_expect_refused(MODEL(",\"unk_token\":\"!\""), "model.unk_token '!' is no token");
}
END_TEST

START_TEST(a_whole_word_may_come_before_merges)
{
    static const char json[] =
        "{\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},"
        "\"merges\":[]}}";
    pieces_expect(json, "ab", "2");
    pieces_expect(json, "aba", "0 1 0");
}
END_TEST

START_TEST(words_may_have_a_prefix_and_a_suffix)
{
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</w>\","
        "\"continuing_subword_prefix\":\"@\",\"vocab\":{\"a\":0,\"a</w>\":1,\"@b\":2,\"@b</w>\":3,\"ab\":4,\"ab</"
        "w>\":5},"
        "\"merges\":[\"a @b\",\"a @b</w>\"]}}";
    pieces_expect(json, "a ab abb abbb", "1 5 4 3 4 2 3");
}
END_TEST

START_TEST(merges_that_make_no_token_are_refused)
{
    static const char *const merges[][2] = {
        {"[\"a z\"]", "model.merges: a merge has 'z', which is no token"},
        {"[\"a b\"]", "model.merges: a merge makes 'ab', which is no token"},
        {"[\"ab\"]", "is not two tokens with a space between"},
        {"[\"a b c\"]", "is not two tokens"},
        {"[[\"a\"]]", "merge 0 is not two tokens"},
        {"[[\"a\",\"b\",\"c\"]]", "merge 0 is not two tokens"},
        {"[3]", "merge"},
    };
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":%s}}",
                 merges[i][0]);
        pieces_expect_refused(json, merges[i][1]);
    }
    pieces_expect_refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", "BPE without 'merges'");
}
END_TEST

START_TEST(a_long_word_takes_no_long_time)
{
    const size_t n = 1 << 20;
    uint8_t *text = malloc(n + 1);
    memset(text, 'a', n + 1);
    struct watch watch = {0};
    const struct tokenizer *tokenizer = pieces_read(MODEL(""));
    const char *ids = pieces_cut_most(tokenizer, bytes_of(text, n), 4, &watch);
    ck_assert_str_eq(ids, "6 6 6 6");
    ids = pieces_cut_most(tokenizer, bytes_of(text, n + 1), 4, &watch);
    ck_assert_str_eq(ids, "the text has 1048577 bytes that the tokenizer does not split; at most 1048576 are taken");
    free(text);
}
END_TEST

Suite *serve_tokenizer_bpe_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_bpe");
    TCase *tests = tcase_create("tokenizer_bpe");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, merges_of_low_rank_come_first_from_the_left);
    tcase_add_test(tests, what_is_unknown_is_left_out_or_a_token);
    tcase_add_test(tests, a_whole_word_may_come_before_merges);
    tcase_add_test(tests, words_may_have_a_prefix_and_a_suffix);
    tcase_add_test(tests, merges_that_make_no_token_are_refused);
    tcase_add_test(tests, a_long_word_takes_no_long_time);
    suite_add_tcase(suite, tests);
    return suite;
}
