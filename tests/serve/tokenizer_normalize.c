/* tokenizer_normalize.c - each normalizer, read back through a vocabulary of code points. */
#include "looks.h"
#include "pieces.h"
#include "serve/tokenizer_parts.h"

#include <stdio.h>

#include <check.h>

Suite *serve_tokenizer_normalize_suite(void);

static void expect(const char *normalizer, const char *from, const char *to)
{
    char json[512];
    struct arena arena = {0};
    snprintf(json, sizeof json, "{\"normalizer\":%s,\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}",
             normalizer);
    const struct tokenizer *tokenizer = pieces_read(json);
    ck_assert_msg(tokenizer, "%s: %s", json, pieces_err.text);
    struct tokenizer_row row = {.arena = &arena};
    struct tokenizer_run run = {.tokenizer = tokenizer, .row = &row, .err = &pieces_err};
    struct bytes normal;
    ck_assert(tokenizer_normalize(&run, bytes_of_text(from), &normal));
    ck_assert_msg(bytes_is(normal, to), "%s of '%s': '" BYTES_FMT "', not '%s'", normalizer, from, BYTES_ARG(normal),
                  to);
    arena_free(&arena);
}

#define BERT(more) "{\"type\":\"BertNormalizer\"" more "}"

START_TEST(bert_cleans_splits_and_folds)
{
    expect(BERT(""), "\u00c9t\u00c9 \u4e2dA", "ete  \u4e2d a");
    expect(BERT(",\"lowercase\":false"), "\u00c9A", "\u00c9A");
    expect(BERT(",\"lowercase\":false,\"strip_accents\":true"), "\u00c9A", "EA");
    expect(BERT(",\"strip_accents\":false"), "\u00c9A", "\u00e9a");
    expect(BERT(",\"strip_accents\":null,\"handle_chinese_chars\":false"), "\u00c9\u4e2d", "e\u4e2d");
    expect(BERT(""), "a\tb\r\u00a0c\x01\xef\xbf\xbd\u200b.\x0b", "a b  c.");
    expect(BERT(",\"clean_text\":false"), "a\tb\u200b", "a\tb\u200b");
    expect(BERT(",\"strip_accents\":false"), "\u0130\u03a3\u00df", "i\u0307\u03c3\u00df");
}
END_TEST

START_TEST(the_others_do_one_thing_each)
{
    expect("{\"type\":\"NFC\"}", "e\u0301\u212b", "\u00e9\u00c5");
    expect("{\"type\":\"NFD\"}", "\u00e9\ufb01", "e\u0301\ufb01");
    expect("{\"type\":\"NFKC\"}", "e\u0301\ufb01\u3000", "\u00e9fi ");
    expect("{\"type\":\"NFKD\"}", "\u00e9\ufb01", "e\u0301fi");
    expect("{\"type\":\"Lowercase\"}", "\u0391\u03a3 \u0130", "\u03b1\u03c3 i\u0307");
    expect("{\"type\":\"StripAccents\"}", "e\u0301\u00e9\u0903", "e\u00e9");
    expect("{\"type\":\"Strip\"}", " \u3000a b\n", " \u3000a b\n");
    expect("{\"type\":\"Strip\",\"strip_left\":true}", " \u3000a b\n", "a b\n");
    expect("{\"type\":\"Strip\",\"strip_right\":true}", " a b\n\u3000", " a b");
    expect("{\"type\":\"Strip\",\"strip_left\":true}", " \n", "");
    expect("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "a", "_a");
    expect("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "");
    expect("{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"b\"}", "aaaxa", "baxa");
    expect("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"}]}", "\u00e9", "e");
    expect("null", "\u00c9", "\u00c9");
}
END_TEST

static const char *const each[] = {
    BERT(""),
    BERT(",\"strip_accents\":false"),
    BERT(",\"lowercase\":false,\"strip_accents\":true"),
    "{\"type\":\"NFKC\"}",
    "{\"type\":\"Lowercase\"}",
    "{\"type\":\"StripAccents\"}",
    "{\"type\":\"Prepend\",\"prepend\":\"_\"}",
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"bb\"}",
};

/* A text is normalized whole or not at all. */
START_TEST(memory_and_time_that_are_short_are_told)
{
    enum { N = 30000 };
    static char text[N + 1];
    struct bytes whole, normal;
    char json[512];
    for (int i = 0; i < N; i += 3)
        memcpy(text + i, i % 2 ? "a\u00e9" : "\u4e2d", 3);
    snprintf(json, sizeof json, "{\"normalizer\":%s,\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}}", each[_i]);
    const struct tokenizer *tokenizer = pieces_read(json);
    struct arena arena = {0}, small = {0};
    struct tokenizer_row row = {.arena = &arena};
    struct tokenizer_run run = {.tokenizer = tokenizer, .row = &row, .err = &pieces_err};
    ck_assert(tokenizer_normalize(&run, bytes_of_text(text), &whole));
    bool made = false;
    row.arena = &small;
    for (size_t limit = 1000; !made; limit += 5000, arena_free(&small)) {
        ck_assert_uint_lt(limit, 2000000);
        small.limit_bytes = limit;
        pieces_err = (struct percept_err){0};
        made = tokenizer_normalize(&run, bytes_of_text(text), &normal);
        ck_assert(made ? bytes_equal(normal, whole) : pieces_err.code == ERR_MEMORY);
    }
    small.limit_bytes = 0;
    struct watch watch = looks_until(0);
    row.watch = &watch;
    if (tokenizer_normalize(&run, bytes_of_text(text), &normal))
        ck_assert(strstr(each[_i], "Prepend") != NULL); /* copied at once */
    else
        ck_assert_int_eq(pieces_err.code, ERR_TIMEOUT);
    arena_free(&small);
    arena_free(&arena);
}
END_TEST

Suite *serve_tokenizer_normalize_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_normalize");
    TCase *tests = tcase_create("tokenizer_normalize");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, bert_cleans_splits_and_folds);
    tcase_add_test(tests, the_others_do_one_thing_each);
    tcase_add_loop_test(tests, memory_and_time_that_are_short_are_told, 0, sizeof each / sizeof *each);
    suite_add_tcase(suite, tests);
    return suite;
}
