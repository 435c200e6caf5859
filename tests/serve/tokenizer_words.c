/* tokenizer_words.c - words, characters and bytes; what is put before them. Rules of words: codec_text.c. */
#include "pieces.h"
#include "serve/tokenizer_words.h"

#include <check.h>

Suite *serve_tokenizer_words_suite(void);

static const char *const tokens[] = {"?", "caf\u00e9", "fi", "\u00e9", "a"};
static const int sorted[] = {0, 4, 1, 2, 3};

static struct manifest_text text_of(enum manifest_tokenizer tokenizer, enum unicode_form normalize)
{
    return (struct manifest_text){.tokenizer = tokenizer,
                                  .normalize = normalize,
                                  .unknown = 0,
                                  .n_tokens = 5,
                                  .tokens = tokens,
                                  .sorted = sorted};
}

START_TEST(texts_may_be_normalized_first)
{
    static const struct {
        enum manifest_tokenizer tokenizer;
        enum unicode_form normalize;
        const char *text;
        int64_t n, ids[4];
    } cases[] = {
        {TOKENIZER_WORDS, UNICODE_AS_IS, "caf\u00e9 \ufb01", 2, {1, 0}},
        {TOKENIZER_WORDS, UNICODE_NFKC, "cafe\u0301 \ufb01", 2, {1, 2}},
        {TOKENIZER_WORDS, UNICODE_NFKC_CASEFOLD, "CAF\u00c9 FI", 2, {1, 2}},
        {TOKENIZER_CHARACTERS, UNICODE_NFC, "ae\u0301a", 3, {4, 3, 4}},
        {TOKENIZER_CHARACTERS, UNICODE_NFD, "\u00e9", 2, {0, 0}},
    };
    ck_assert(unicode_open(&pieces_err));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct manifest_text text = text_of(cases[i].tokenizer, cases[i].normalize);
        int64_t ids[8];
        struct arena arena = {0};
        struct tokenizer_row row = {.ids = ids, .most = 8, .arena = &arena};
        ck_assert(tokenizer_words_cut(&text, bytes_of_text(cases[i].text), &row, &pieces_err));
        ck_assert_int_eq(row.n, cases[i].n);
        ck_assert_mem_eq(ids, cases[i].ids, (size_t)row.n * sizeof *ids);
        arena_free(&arena);
    }
}
END_TEST

START_TEST(ids_say_their_tokens)
{
    struct arena arena = {0};
    struct unicode_text said = {.arena = &arena};
    struct manifest_text text = text_of(TOKENIZER_WORDS, UNICODE_AS_IS);
    for (int64_t id = -1; id < 7; id += 2)
        ck_assert(tokenizer_words_say(&text, id, said.n == 0, &said, &pieces_err));
    ck_assert(bytes_is(unicode_bytes(&said), "caf\u00e9 \u00e9"));
    text = (struct manifest_text){.tokenizer = TOKENIZER_BYTES};
    ck_assert(tokenizer_words_say(&text, 'x', false, &said, &pieces_err));
    ck_assert(bytes_is(unicode_bytes(&said), "caf\u00e9 \u00e9x"));
    arena_free(&arena);
}
END_TEST

Suite *serve_tokenizer_words_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_words");
    TCase *tests = tcase_create("tokenizer_words");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, texts_may_be_normalized_first);
    tcase_add_test(tests, ids_say_their_tokens);
    suite_add_tcase(suite, tests);
    return suite;
}
