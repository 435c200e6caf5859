/* tokenizer_wordpiece.c - the longest piece first; a word that cannot be cut is unknown. */
#include "pieces.h"

#include <check.h>

Suite *serve_tokenizer_wordpiece_suite(void);

#define MODEL(more)                                                                                                    \
    "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\"" more \
    ",\"vocab\":{\"[UNK]\":0,\"un\":1,\"##aff\":2,\"##able\":3,\"##ab\":4,\"##le\":5,\"a\":6,\"##a\":7,\"\u00e9\":8,"  \
    "\"##\u00e9\":9,\"##leé\":10}}}"

START_TEST(the_longest_piece_comes_first)
{
    pieces_expect(MODEL(""), "unaffable", "1 2 3");
    pieces_expect(MODEL(""), "unable a", "1 3 6");
    pieces_expect(MODEL(""), "unab", "1 4");
    pieces_expect(MODEL(""), "unableé é", "1 3 9 8");
    pieces_expect(MODEL(""), "aé", "6 9");
}
END_TEST

START_TEST(a_word_that_cannot_be_cut_is_unknown)
{
    pieces_expect(MODEL(""), "unaffablez un", "0 1");
    pieces_expect(MODEL(""), "z", "0");
    pieces_expect(MODEL(",\"max_input_chars_per_word\":3"), "aaa aaaa aéa aéaé", "6 7 7 0 6 9 7 0");
    pieces_expect("{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":{\"a\":0}}}", "b",
                  "the vocabulary does not have 'b', and no unknown token");
}
END_TEST

START_TEST(other_prefixes_serve)
{
    pieces_expect("{\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"\",\"vocab\":{\"a\":0,\"b\":1}}}",
                  "abba", "0 1 1 0");
}
END_TEST

START_TEST(word_level_knows_whole_words)
{
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"},\"model\":{\"type\":\"WordLevel\","
                               "\"unk_token\":\"?\",\"vocab\":{\"?\":7,\"one\":1,\"two\":2}}}";
    pieces_expect(json, "two one onetwo", "2 1 7");
}
END_TEST

START_TEST(nobody_waits_for_what_is_over)
{
    const int cancel = 1;
    struct watch watch = {.cancel = &cancel};
    const struct tokenizer *tokenizer = pieces_read(MODEL(""));
    ck_assert_str_eq(pieces_cut_most(tokenizer, bytes_of_text("un"), 9, NULL), "1");
    pieces_cut_most(tokenizer, bytes_of_text("un"), 9, &watch);
    ck_assert_int_eq(pieces_err.code, ERR_CANCELLED);
}
END_TEST

Suite *serve_tokenizer_wordpiece_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_wordpiece");
    TCase *tests = tcase_create("tokenizer_wordpiece");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, the_longest_piece_comes_first);
    tcase_add_test(tests, a_word_that_cannot_be_cut_is_unknown);
    tcase_add_test(tests, other_prefixes_serve);
    tcase_add_test(tests, word_level_knows_whole_words);
    tcase_add_test(tests, nobody_waits_for_what_is_over);
    suite_add_tcase(suite, tests);
    return suite;
}
