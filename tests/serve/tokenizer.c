/* tokenizer.c - added tokens, and ids back to texts. */
#include "pieces.h"

#include <check.h>

Suite *serve_tokenizer_suite(void);

#define ADDED(more, decoder)                                                                                           \
    "{\"added_tokens\":[{\"id\":3,\"content\":\"<m>\",\"special\":true" more "},{\"id\":4,\"content\":\"<m>>\"}],"     \
    "\"normalizer\":{\"type\":\"Lowercase\"},\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"decoder\":" decoder         \
    ",\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2}}}"

START_TEST(added_tokens_are_found_before_all_else)
{
    pieces_expect(ADDED("", "null"), "a<m>b <m>>A<M>", "1 3 2 4 1 0 0 0");
    pieces_expect(ADDED(",\"normalized\":true", "null"), "a<M>b", "1 3 2");
    pieces_expect(ADDED(",\"lstrip\":true,\"rstrip\":true", "null"), "<m>", "3");
    ck_assert_int_eq(tokenizer_size(pieces_read(ADDED("", "null"))), 5);
}
END_TEST

START_TEST(space_beside_an_added_token_is_taken_in)
{
#define SPACED(more)                                                                                                   \
    "{\"added_tokens\":[{\"id\":2,\"content\":\"<m>\"" more                                                            \
    "}],\"model\":{\"type\":\"BPE\",\"vocab\":{\" \":0,\"a\":1},"                                                      \
    "\"merges\":[]}}"
    pieces_expect(SPACED(""), "a <m> a", "1 0 2 0 1");
    pieces_expect(SPACED(",\"lstrip\":true"), "a  <m> a", "1 2 0 1");
    pieces_expect(SPACED(",\"rstrip\":true"), "a <m>\u3000 a", "1 0 2 1");
    pieces_expect(SPACED(",\"lstrip\":true,\"rstrip\":true"), "<m> <m>", "2 2");
}
END_TEST

START_TEST(no_more_ids_are_made_than_are_wanted)
{
    const struct tokenizer *tokenizer = pieces_read(ADDED("", "null"));
    ck_assert_str_eq(pieces_cut_most(tokenizer, bytes_of_text("a b<m>a"), 2, NULL), "1 2");
    ck_assert_str_eq(pieces_cut_most(tokenizer, bytes_of_text("a b<m>a"), 3, NULL), "1 2 3");
    ck_assert_str_eq(pieces_cut_most(tokenizer, bytes_of_text("a"), 0, NULL), "");
}
END_TEST

START_TEST(words_are_said_as_their_decoder_does)
{
    ck_assert_str_eq(pieces_say(pieces_read(ADDED("", "null")), "1 2 3 4 1 77 -1"), "a b <m>> a");
    static const char wordpiece[] = "{\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\"},\"model\":{\"type\":"
                                    "\"WordPiece\",\"vocab\":{\"a\":0,\"##b\":1,\".\":2,\"'\":3,\"s\":4}}}";
    ck_assert_str_eq(pieces_say(pieces_read(wordpiece), "0 1 0 2 3 4"), "ab a. ' s");
    static const char bytes[] = "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[],"
                                "\"vocab\":{\"\u0120a\":0,\"\u00c3\":1,\"\u00a9\":2}}}";
    ck_assert_str_eq(pieces_say(pieces_read(bytes), "0 1 2"), " a\u00e9");
    static const char llama[] = "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
                                "\"String\":\"\u2581\"},\"content\":\" \"},"
                                "{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
                                "\",\"start\":1,\"stop\":0}]},"
                                "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\u2581a\":0,\"<0xC3>\":1,\"<"
                                "0xA9>\":2,\"b\u2581\u2581\":3}}}";
    ck_assert_str_eq(pieces_say(pieces_read(llama), "0 1 2 3 0"), " a\u00e9b   a");
    static const char suffix[] = "{\"decoder\":{\"type\":\"BPEDecoder\",\"suffix\":\"</"
                                 "w>\"},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"a</w>\":0,\"b\":1}}}";
    ck_assert_str_eq(pieces_say(pieces_read(suffix), "1 0 1 0"), "ba ba ");
}
END_TEST

Suite *serve_tokenizer_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer");
    TCase *tests = tcase_create("tokenizer");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, added_tokens_are_found_before_all_else);
    tcase_add_test(tests, space_beside_an_added_token_is_taken_in);
    tcase_add_test(tests, no_more_ids_are_made_than_are_wanted);
    tcase_add_test(tests, words_are_said_as_their_decoder_does);
    suite_add_tcase(suite, tests);
    return suite;
}
