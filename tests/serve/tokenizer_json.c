/* tokenizer_json.c - what is served of tokenizer.json, and what is refused; every cut and many flips of a file. */
#include "pieces.h"

#include <stdio.h>
#include <stdlib.h>

#include <check.h>

Suite *serve_tokenizer_json_suite(void);

#define WORDS                                                                                                          \
    "\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"[CLS]\":2,\"[SEP]\":3}}"
#define TEMPLATE(single)                                                                                               \
    "{\"type\":\"TemplateProcessing\",\"special_tokens\":{\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[2],\"tokens\":[\"[CLS]" \
    "\"]},"                                                                                                            \
    "\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":[3],\"tokens\":[\"[SEP]\"]}},\"single\":[" single "],\"pair\":[]}"
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define TEXT "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"

/* A file with most of what there is. */
static const char whole[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":9},\"padding\":null,"
    "\"added_tokens\":[{\"id\":4,\"content\":\"<m>\",\"single_word\":false,\"lstrip\":true,\"rstrip\":false,"
    "\"normalized\":false,\"special\":true}],"
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Replace\",\"pattern\":{"
    "\"String\":\"b\"},\"content\":\"a\"}]},"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":true}"
    ","
    "\"post_processor\":" TEMPLATE(SPECIAL("[CLS]") "," TEXT "," SPECIAL(
        "[SEP]")) ","
                  "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\u2581\",\"prepend_scheme\":\"first\"},"
                  "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":\"?\",\"continuing_subword_prefix\":null,"
                  "\"end_of_word_suffix\":null,"
                  "\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"?\":0,\"a\":1,\"[CLS]\":2,\"[SEP]\":3,"
                  "\"\u2581\":5,\"\u2581a\":6},\"merges\":[\"\u2581 a\"]}}";

START_TEST(tokens_around_a_text_are_read)
{
    static const struct {
        const char *processor;
        int64_t start, end;
    } cases[] = {
        {"null", -1, -1},
        {TEMPLATE(SPECIAL("[CLS]") "," TEXT "," SPECIAL("[SEP]")), 2, 3},
        {TEMPLATE(TEXT), -1, -1},
        {TEMPLATE(TEXT "," SPECIAL("[SEP]")), -1, 3},
        {"{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}", 2, 3},
        {"{\"type\":\"RobertaProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2],\"trim_offsets\":true,\"add_"
         "prefix_space\":false}",
         2, 3},
        {"{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"}," TEMPLATE(SPECIAL("[CLS]") "," TEXT) "]}", 2,
         -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[1024];
        snprintf(json, sizeof json, "{\"post_processor\":%s," WORDS "}", cases[i].processor);
        const struct tokenizer *tokenizer = pieces_read(json);
        ck_assert_msg(tokenizer, "%s: %s", json, pieces_err.text);
        ck_assert_int_eq(tokenizer_start(tokenizer), cases[i].start);
        ck_assert_int_eq(tokenizer_end(tokenizer), cases[i].end);
        ck_assert_str_eq(pieces_cut(tokenizer, "a"), "1");
    }
}
END_TEST

START_TEST(what_is_not_served_is_refused_by_its_place)
{
    static const char *const cases[][2] = {
        {"{", "failed to parse the file: "},
        {"{}", "there is no 'model'"},
        {"[]", "expected an object"},
        {"{\"model\":{\"type\":\"Marian\"}}", "model: the type 'Marian' is not served"},
        {"{\"model\":{\"vocab\":{}}}", "model: the type '' is not served"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "model.vocab has no tokens"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},\"merges\":[]}}", "model: 'merges' is not served"},
        {"{\"model\":{\"type\":\"BPE\",\"dropout\":0.1}}", "model.dropout is not served"},
        {"{\"model\":{\"type\":\"WordPiece\",\"max_input_chars_per_word\":1000000}}", "is 1000000; at most 1024"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":1000000000}}}", "is 1000000000; at most 16777215"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":16777215}}}", "has ids to 16777215 for 1 tokens"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}", "id"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"a\":1}}}", "'a' has two ids, 0 and 1"},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"b\":0}}}", "the id 0 is that of 'b' and of another"},
        {"{\"post_tokenizer\":1," WORDS "}", "'post_tokenizer' is not served"},
        {"{\"normalizer\":{\"type\":\"Nmt\"}," WORDS "}", "normalizer: 'Nmt' is not served"},
        {"{\"normalizer\":{\"type\":\"Precompiled\"}," WORDS "}", "normalizer: 'Precompiled' is not served"},
        {"{\"normalizer\":{\"type\":\"NFC\",\"x\":1}," WORDS "}", "normalizer: NFC with 'x' is not served"},
        {"{\"normalizer\":{\"type\":\"Sequence\",\"x\":1}," WORDS "}", "normalizer: a Sequence with 'x' is not served"},
        {"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}," WORDS "}",
         "looks for nothing"},
        {"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"\"}," WORDS "}",
         "the expression ' {2,}' is not served"},
        {"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," WORDS "}",
         "pre_tokenizer: 'UnicodeScripts' is not served"},
        {"{\"pre_tokenizer\":{\"type\":\"Punctuation\",\"behavior\":\"x\"}," WORDS "}", "behavior 'x' is not served"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}," WORDS "}",
         "replacement must be one character"},
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false,\"prepend_"
         "scheme\":\"always\"}," WORDS "}",
         "add_prefix_space is false"},
        {"{\"pre_tokenizer\":3," WORDS "}", "pre_tokenizer: expected an object"},
        {"{\"decoder\":{\"type\":\"CTC\"}," WORDS "}", "decoder: 'CTC' is not served"},
        {"{\"post_processor\":{\"type\":\"X\"}," WORDS "}", "post_processor: 'X' is not served"},
        {"{\"post_processor\":" TEMPLATE(SPECIAL("[CLS]") "," SPECIAL("[CLS]") "," TEXT) "," WORDS "}",
         "at most one token before it"},
        {"{\"post_processor\":" TEMPLATE(TEXT "," TEXT) "," WORDS "}", "the text once"},
        {"{\"post_processor\":" TEMPLATE(TEXT "," SPECIAL("[X]")) "," WORDS "}",
         "a token that special_tokens does not"},
        {"{\"added_tokens\":[{\"id\":9,\"content\":\"a\"}]," WORDS "}", "'a' has the id 9, but 1 in model.vocab"},
        {"{\"added_tokens\":[{\"id\":1,\"content\":\"b\"}]," WORDS "}", "the id 1 is that of 'b' and of another"},
        {"{\"added_tokens\":[{\"id\":9000000,\"content\":\"b\"}]," WORDS "}",
         "the id 9000000 of 'b' is far from the others"},
        {"{\"added_tokens\":[{\"id\":9,\"content\":\"\"}]," WORDS "}", "a token needs an id and content"},
        {"{\"added_tokens\":[{\"id\":9,\"content\":\"b\",\"single_word\":true}]," WORDS "}",
         "single_word of 'b' is not served"},
        {"{\"added_tokens\":[{\"id\":9,\"content\":\"b\"},{\"id\":8,\"content\":\"b\"}]," WORDS "}",
         "added tokens: the token 'b' has two ids"},
        {"{" WORDS "} x", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        pieces_expect_refused(cases[i][0], cases[i][1]);
}
END_TEST

START_TEST(deep_files_are_refused)
{
    char json[4000] = "{\"normalizer\":";
    for (int i = 0; i < 60; i++)
        strcat(json, "{\"type\":\"Sequence\",\"normalizers\":[");
    pieces_expect_refused(json, "");
    strcpy(json, "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}");
    for (int i = 0; i < 16; i++)
        strcat(json, ",{\"type\":\"NFC\"}");
    strcat(json, "]}," WORDS "}");
    pieces_expect_refused(json, "normalizer has more than 16 parts");
}
END_TEST

START_TEST(a_whole_file_serves_and_no_part_of_it_does)
{
    pieces_expect(whole, "b b <m>\ufdfa", "6 6 4 0 5 0 5 0 5 0");
    char *cut = malloc(sizeof whole);
    for (size_t n = 0; n + 1 < sizeof whole; n++) {
        memcpy(cut, whole, n);
        cut[n] = '\0';
        ck_assert_msg(!pieces_read(cut), "%s", cut);
    }
    free(cut);
}
END_TEST

START_TEST(damaged_files_are_refused_or_served)
{
    uint64_t random = 1;
    char *damaged = malloc(sizeof whole);
    for (int i = 0; i < 3000; i++) {
        memcpy(damaged, whole, sizeof whole);
        for (int k = 0; k < 1 + i % 3; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            damaged[(random >> 33) % (sizeof whole - 1)] = (char)(random >> 24 | 1);
        }
        const struct tokenizer *tokenizer = pieces_read(damaged);
        if (tokenizer)
            pieces_cut(tokenizer, "a b <m> \u00e9");
        pieces_free();
    }
    free(damaged);
}
END_TEST

Suite *serve_tokenizer_json_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_json");
    TCase *tests = tcase_create("tokenizer_json");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, tokens_around_a_text_are_read);
    tcase_add_test(tests, what_is_not_served_is_refused_by_its_place);
    tcase_add_test(tests, deep_files_are_refused);
    tcase_add_test(tests, a_whole_file_serves_and_no_part_of_it_does);
    tcase_add_test(tests, damaged_files_are_refused_or_served);
    suite_add_tcase(suite, tests);
    return suite;
}
