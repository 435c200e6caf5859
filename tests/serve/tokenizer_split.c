/* tokenizer_split.c - each splitter, its pieces looked up as whole words. */
#include "pieces.h"
#include "serve/tokenizer_parts.h"

#include <stdio.h>

#include <check.h>

Suite *serve_tokenizer_split_suite(void);

/* The words of the vocabulary are the pieces that are expected, in order: so the ids count from 0. */
static void expect(const char *splitter, const char *text, const char *const *words)
{
    char json[4096], ids[256] = "";
    size_t used = (size_t)snprintf(
        json, sizeof json,
        "{\"pre_tokenizer\":%s,\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":99", splitter);
    for (size_t i = 0, n = 0; words[i]; i++) {
        used += (size_t)snprintf(json + used, sizeof json - used, ",\"%s\":%zu", words[i], i);
        n += (size_t)snprintf(ids + n, sizeof ids - n, "%s%zu", i ? " " : "", i);
    }
    snprintf(json + used, sizeof json - used, "}}}");
    pieces_expect(json, text, ids);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TYPE(name, more) "{\"type\":\"" name "\"" more "}"
#define SPLIT(behavior, more) TYPE("Split", ",\"pattern\":{\"String\":\"-\"},\"behavior\":\"" behavior "\"" more)

START_TEST(space_and_signs_part_words)
{
    expect(TYPE("BertPreTokenizer", ""), " it's  a-b\u3000c\u00bf ",
           WORDS("it", "'", "s", "a", "-", "b", "c", "\u00bf"));
    expect(TYPE("Whitespace", ""), "a_b1 c!?-d \u0928\u093f\u203f",
           WORDS("a_b1", "c", "!?-", "d", "\u0928\u093f\u203f"));
    expect(TYPE("WhitespaceSplit", ""), " a,b\u00a0c\nd ", WORDS("a,b", "c", "d"));
    expect(TYPE("Punctuation", ""), "a, b$.", WORDS("a", ",", " b", "$", "."));
    expect(TYPE("Digits", ""), "ab12\u0663c", WORDS("ab", "12\u0663", "c"));
    expect(TYPE("Digits", ",\"individual_digits\":true"), "ab12", WORDS("ab", "1", "2"));
    expect(TYPE("CharDelimiterSplit", ",\"delimiter\":\"x\""), "axxb cx", WORDS("a", "b c"));
}
END_TEST

START_TEST(what_is_found_goes_where_it_is_said)
{
    expect(SPLIT("Removed", ""), "a-b--c-", WORDS("a", "b", "c"));
    expect(SPLIT("Isolated", ""), "a-b", WORDS("a", "-", "b"));
    expect(SPLIT("MergedWithPrevious", ""), "a-b--", WORDS("a-", "b-", "-"));
    expect(SPLIT("MergedWithNext", ""), "--a-b", WORDS("-", "-a", "-b"));
    expect(SPLIT("Contiguous", ""), "a--b", WORDS("a", "--", "b"));
    expect(SPLIT("Removed", ",\"invert\":true"), "ab-c", WORDS("-"));
    expect(SPLIT("MergedWithNext", ",\"invert\":true"), "ab-c", WORDS("ab-", "c"));
}
END_TEST

START_TEST(gpt_2_splits_by_its_expression)
{
    expect(
        TYPE("ByteLevel", ",\"add_prefix_space\":false"), "I'll  go 12x!?\n\n \u00e9'S",
        WORDS("I", "'ll", "\u0120", "\u0120go", "\u012012", "x", "!?", "\u010a\u010a", "\u0120\u00c3\u00a9", "'", "S"));
    expect(TYPE("ByteLevel", ""), "a b", WORDS("\u0120a", "\u0120b"));
    expect(TYPE("ByteLevel", ""), " a", WORDS("\u0120a"));
    expect(TYPE("ByteLevel", ",\"use_regex\":false"), "a b", WORDS("\u0120a\u0120b"));
    expect(TYPE("ByteLevel", ",\"add_prefix_space\":false"), "a  ", WORDS("a", "\u0120\u0120"));
}
END_TEST

START_TEST(llama_3_splits_by_its_expression)
{
#define EXPRESSION(digits)                                                                                             \
    TYPE("Split",                                                                                                      \
         ",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{" \
         "N}]?\\\\p{L}+|"                                                                                              \
         "\\\\p{N}" digits "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}")
    expect(EXPRESSION("{1,3}"), "I'LL (see) 1234 x\u00e9",
           WORDS("I", "'LL", " (", "see", ")", " ", "123", "4", " x\u00e9"));
    expect(EXPRESSION(""), "12 !?", WORDS("1", "2", " !?"));
    const struct tokenizer *tokenizer = pieces_read(
        "{\"pre_tokenizer\":" EXPRESSION("") ",\"model\":{\"type\":\"WordLevel\",\"vocab\":"
                                             "{\"a\":0,\"!\\n\\n\":1,\" \\n\":2,\"  \":3,\" b\":4,\"'\u017f\":5}}}");
    ck_assert_msg(tokenizer, "%s", pieces_err.text);
    ck_assert_str_eq(pieces_cut(tokenizer, "a!\n\n \n   b'\u017f  "), "0 1 2 3 4 5 3");
    pieces_expect_refused("{\"pre_tokenizer\":" EXPRESSION("{1,4}") "}", "is not served");
}
END_TEST

START_TEST(metaspace_makes_space_visible)
{
    static const char always[] = TYPE("Metaspace", ",\"replacement\":\"\u2581\"");
    expect(always, "a  b", WORDS("\u2581a", "\u2581", "\u2581b"));
    expect(always, " a", WORDS("\u2581a"));
    expect(TYPE("Metaspace", ",\"replacement\":\"_\",\"prepend_scheme\":\"never\""), "a b", WORDS("a", "_b"));
    expect(TYPE("Metaspace", ",\"replacement\":\"_\",\"add_prefix_space\":false"), "a b", WORDS("a", "_b"));
    expect(TYPE("Metaspace", ",\"replacement\":\"_\",\"split\":false"), "a b", WORDS("_a_b"));
    expect(TYPE("Sequence", ",\"pretokenizers\":[" SPLIT("Removed", "") "," TYPE(
                                "Metaspace", ",\"replacement\":\"_\",\"prepend_scheme\":\"first\"") "]"),
           "a-b", WORDS("_a", "b"));
}
END_TEST

START_TEST(bytes_are_characters_and_back)
{
    for (int byte = 0; byte < 256; byte++)
        ck_assert_int_eq(tokenizer_split_byte(tokenizer_split_code((uint8_t)byte)), byte);
    for (uint32_t code = 0, n = 0; code < 0x400; code++) {
        n += tokenizer_split_byte(code) >= 0;
        ck_assert_uint_le(n, 256);
    }
    ck_assert_int_eq(tokenizer_split_byte(' '), -1);
    ck_assert_uint_eq(tokenizer_split_code(' '), 0x120);
    ck_assert_uint_eq(tokenizer_split_code(0xad), 0x143);
}
END_TEST

Suite *serve_tokenizer_split_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_split");
    TCase *tests = tcase_create("tokenizer_split");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, space_and_signs_part_words);
    tcase_add_test(tests, what_is_found_goes_where_it_is_said);
    tcase_add_test(tests, gpt_2_splits_by_its_expression);
    tcase_add_test(tests, llama_3_splits_by_its_expression);
    tcase_add_test(tests, metaspace_makes_space_visible);
    tcase_add_test(tests, bytes_are_characters_and_back);
    suite_add_tcase(suite, tests);
    return suite;
}
