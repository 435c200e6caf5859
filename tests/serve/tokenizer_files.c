/* tokenizer_files.c - vocab.txt as BERT has it; vocab.json and merges.txt as GPT-2 has them. */
#include "folder.h"
#include "pieces.h"
#include "serve/tokenizer_files.h"

#include <check.h>

Suite *serve_tokenizer_files_suite(void);

static struct arena arena;

static void begin(void)
{
    folder_begin("tokenizer");
}

static void end(void)
{
    folder_end();
    arena_free(&arena);
}

static const char *const pieces[] = {"[PAD]", "[UNK]", "ete", "un", "##able", "!", "\u00e9"};
static const char *const bytes[] = {"a", "b", "\u0120", "\u0120a", "ab", "\u00c3", "\u00a9"};

static const struct tokenizer *bpe(const char *merges, bool lowercase)
{
    struct file_place place;
    const struct tokenizer_files files = {bytes, 7, -1, lowercase, UNICODE_NFC, "merges.txt"};
    folder_text("merges.txt", merges);
    ck_assert(file_place_open(&place, folder_at("merges.txt"), NULL, &pieces_err));
    const struct tokenizer *tokenizer = tokenizer_files_bpe(&files, &place, &arena, &pieces_err);
    file_place_close(&place);
    return tokenizer;
}

START_TEST(vocab_txt_has_berts_rules)
{
    struct tokenizer_files files = {pieces, 7, -1, true, UNICODE_AS_IS, NULL};
    const struct tokenizer *tokenizer = tokenizer_files_wordpiece(&files, &arena, &pieces_err);
    ck_assert_str_eq(pieces_cut(tokenizer, "\u00c9T\u00c9 unable! x"), "2 3 4 5 1");
    ck_assert_str_eq(pieces_say(tokenizer, "2 3 4 5"), "ete unable!");
    files.lowercase = false;
    files.unknown = 0;
    tokenizer = tokenizer_files_wordpiece(&files, &arena, &pieces_err);
    ck_assert_str_eq(pieces_cut(tokenizer, "\u00e9 Un"), "6 0");
    files.normalize = UNICODE_NFKC_CASEFOLD;
    ck_assert(!tokenizer_files_wordpiece(&files, &arena, &pieces_err));
}
END_TEST

START_TEST(merges_txt_has_gpt_2s_rules)
{
    const struct tokenizer *tokenizer = bpe("#version: 0.2\n\u0120 a\na b\n", false);
    ck_assert_msg(tokenizer, "%s", pieces_err.text);
    ck_assert_str_eq(pieces_cut(tokenizer, "ab ab e\u0301"), "4 3 1 2 5 6");
    ck_assert_str_eq(pieces_cut(bpe("", true), "AB"), "0 1");
    ck_assert_str_eq(pieces_say(tokenizer, "4 3 1 5 6"), "ab ab\u00e9");
}
END_TEST

START_TEST(merges_of_other_files_are_refused)
{
    ck_assert(!bpe("#version\na z\n", false));
    ck_assert_str_eq(pieces_err.text, "'merges.txt': line 2: a merge has 'z', which is no token");
    ck_assert(!bpe("ab\n", false));
    ck_assert_str_eq(pieces_err.text, "'merges.txt': line 1 is not two tokens with a space between");
    ck_assert(!bpe("a b c\n", false));
}
END_TEST

Suite *serve_tokenizer_files_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_files");
    TCase *tests = tcase_create("tokenizer_files");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, vocab_txt_has_berts_rules);
    tcase_add_test(tests, merges_txt_has_gpt_2s_rules);
    tcase_add_test(tests, merges_of_other_files_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
