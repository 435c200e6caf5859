/* tokenizer_vocab.c - tokens by hash. */
#include "pieces.h"
#include "serve/tokenizer_parts.h"

#include <stdio.h>

#include <check.h>

Suite *serve_tokenizer_vocab_suite(void);

START_TEST(tokens_are_found_and_others_are_not)
{
    static struct bytes tokens[20000];
    static char names[20000][8];
    struct arena arena = {0};
    struct tokenizer_vocab vocab = {.n = 20000, .tokens = tokens};
    for (int i = 0; i < vocab.n; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        tokens[i] = i == 7 ? (struct bytes){0} : bytes_of_text(names[i]);
    }
    ck_assert(tokenizer_vocab_index(&vocab, &arena, &pieces_err));
    ck_assert_uint_eq(vocab.longest, 5);
    for (int i = 0; i < vocab.n; i++)
        ck_assert_int_eq(tokenizer_vocab_find(&vocab, bytes_of_text(names[i])), i == 7 ? -1 : i);
    ck_assert_int_eq(tokenizer_vocab_find(&vocab, bytes_of_text("20000")), -1);
    ck_assert_int_eq(tokenizer_vocab_find(&vocab, bytes_of_text("")), -1);
    ck_assert_int_eq(tokenizer_vocab_find(&vocab, bytes_of_text("123456")), -1);
    arena_free(&arena);
}
END_TEST

START_TEST(equal_tokens_are_refused)
{
    struct bytes tokens[] = {bytes_of_text("a"), bytes_of_text("b"), bytes_of_text("a")};
    struct arena arena = {0};
    struct tokenizer_vocab vocab = {.n = 3, .tokens = tokens};
    ck_assert(!tokenizer_vocab_index(&vocab, &arena, &pieces_err));
    ck_assert_str_eq(pieces_err.text, "the token 'a' has two ids, 0 and 2");
    arena_free(&arena);
}
END_TEST

Suite *serve_tokenizer_vocab_suite(void)
{
    Suite *suite = suite_create("serve_tokenizer_vocab");
    TCase *tests = tcase_create("tokenizer_vocab");
    tcase_add_checked_fixture(tests, NULL, pieces_free);
    tcase_add_test(tests, tokens_are_found_and_others_are_not);
    tcase_add_test(tests, equal_tokens_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
