/* pbtxt.c - the text format as people write it, and what is none: told with line and column. */
#include "serve/pbtxt.h"

#include "base/err.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

Suite *serve_pbtxt_suite(void);

static struct arena arena;
static struct percept_err err;

static void begin(void)
{
    err = (struct percept_err){0};
}

static void end(void)
{
    arena_free(&arena);
}

/* A copy of exactly its size, so that reading past it shows. */
static const struct pbtxt *read_bytes(const void *at, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, at, n);
    const struct pbtxt *root = pbtxt_read(bytes_of(copy, n), &arena, &err);
    free(copy);
    return root;
}

static const struct pbtxt *read_good(const char *text)
{
    const struct pbtxt *root = read_bytes(text, strlen(text));
    ck_assert_msg(root != NULL, "%s: %s", text, err.text);
    return root;
}

static void print(const struct pbtxt *message, char *to, size_t n_bytes)
{
    for (const struct pbtxt *field = message->first; field; field = field->next) {
        size_t used = strlen(to);
        snprintf(to + used, n_bytes - used, "%s%s", used && to[used - 1] != '{' ? " " : "", field->name);
        used = strlen(to);
        if (field->kind == PBTXT_MESSAGE) {
            snprintf(to + used, n_bytes - used, "{");
            print(field, to, n_bytes);
            used = strlen(to);
            snprintf(to + used, n_bytes - used, "}");
        } else {
            snprintf(to + used, n_bytes - used, field->kind == PBTXT_STRING ? "='%s'" : "=%s", field->text);
        }
    }
}

static const struct {
    const char *text, *is;
} good[] = {
    {"", ""},
    {"# only a comment", ""},
    {"name: \"m\"", "name='m'"},
    {"\xef\xbb\xbfname : 'm' # why\n\n", "name='m'"},
    {"a: 1, b: 2; c: 3 d: TYPE_FP32", "a=1 b=2 c=3 d=TYPE_FP32"},
    {"a { b { c: 1 } } d: { }", "a{b{c=1}} d{}"},
    {"a < b: 1 > c: < d: 2; >", "a{b=1} c{d=2}"},
    {"dims: [ 3, -1,224 ] dims: 5", "dims=3 dims=-1 dims=224 dims=5"},
    {"dims: []", ""},
    {"input [ { name: 'a' }, < name: 'b' > ]", "input{name='a'} input{name='b'}"},
    {"input: [ { name: 'a' } ];", "input{name='a'}"},
    {"s: 'a' \"b\"\n 'c'", "s='abc'"},
    {"s: ['a' 'b', 'c']", "s='ab' s='c'"},
    {"s: 'a\\n\\t\\x41\\101\\'\\\"\\\\\\?'", "s='a\n\tAA'\"\\?'"},
    {"s: '\\u00e4\\U0001F600\xc3\xa4'", "s='\xc3\xa4\xf0\x9f\x98\x80\xc3\xa4'"},
    {"s: '\\303\\244'", "s='\xc3\xa4'"},
    {"s: '#'", "s='#'"},
    {"a: - 5 b: 1.5e-3 c: 0x1E d: -inf", "a=-5 b=1.5e-3 c=0x1E d=-inf"},
};

START_TEST(what_is_written_is_read)
{
    char text[200] = "";
    print(read_good(good[_i].text), text, sizeof text);
    ck_assert_str_eq(text, good[_i].is);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"name", "line 1, column 5: expected ':', '{' or '[', found the end"},
    {"\n  name 5", "line 2, column 8: expected ':', '{' or '[', found '5'"},
    {"name:", "line 1, column 6: expected a value, found the end"},
    {"name: }", "line 1, column 7: expected a value, found '}'"},
    {"a {", "line 1, column 4: expected '}', found the end"},
    {"a < b: 1 }", "line 1, column 10: expected a field's name, found '}'"},
    {"}", "expected a field's name, found '}'"},
    {"5: 1", "expected a field's name, found '5'"},
    {"a: 1,, b: 2", "line 1, column 6: expected a field's name"},
    {"a: [1, 2", "expected ',' or ']', found the end"},
    {"a: [1, ]", "line 1, column 8: expected a value"},
    {"a: [1 2]", "line 1, column 7: expected ',' or ']'"},
    {"a: [[1]]", "line 1, column 5: expected a value, found '['"},
    {"a [1]", "line 1, column 4: expected a ':' before the list, or '{', found '1'"},
    {"[my.ext]: 1", "a name in brackets is an extension's"},
    {"s: 'a", "a string is not closed"},
    {"s: 'a\n'", "line 1, column 6: a string is not closed in its line"},
    {"s: 'a\\", "a string is not closed"},
    {"s: '\\q'", "there is no such escape"},
    {"s: '\\x'", "there is no such escape"},
    {"s: '\\777'", "there is no such escape"},
    {"s: '\\u12'", "this escape is no code point"},
    {"s: '\\ud800'", "this escape is no code point"},
    {"s: '\\U00110000'", "this escape is no code point"},
    {"s: '\\0'", "has a NUL in it"},
    {"s: '\xff'", "not UTF-8"},
    {"s: '\xc3'", "not UTF-8"},
    {"s: '\\303'", "not UTF-8"},
    {"a: \xc3\xa4", "expected a value, found the byte 0xc3"},
    {"\xff\xfe"
     "a",
     "it is UTF-16 or UTF-32; store it as UTF-8"},
};

START_TEST(what_is_no_text_of_fields_is_refused_with_its_place)
{
    ck_assert_ptr_null(read_bytes(bad[_i].text, strlen(bad[_i].text)));
    ck_assert_int_eq(err.code, ERR_CONFIG);
    ck_assert_msg(strstr(err.text, bad[_i].says) != NULL, "%s: %s", bad[_i].text, err.text);
}
END_TEST

START_TEST(a_nul_is_nothing_that_is_written)
{
    static const char *const texts[] = {"a: 1\0b: 2", "a: '\0'  ", "\0a: 1   "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ck_assert_ptr_null(read_bytes(texts[i], 9));
        ck_assert_int_eq(err.code, ERR_CONFIG);
    }
    read_good("a: 1 # a comment may have any byte: \xff\x01");
}
END_TEST

START_TEST(depth_is_bounded)
{
    enum { DEEP = 10000 };
    char *text = malloc(4 * DEEP + 1);
    for (int open = 0; open < 2; open++) {
        for (int depth = PBTXT_DEPTH_MAX; depth <= DEEP; depth += DEEP - PBTXT_DEPTH_MAX) {
            size_t n = 0;
            for (int i = 0; i < depth; i++)
                n += (size_t)sprintf(text + n, "a{");
            for (int i = 0; i < depth && !open; i++)
                text[n++] = '}';
            const struct pbtxt *root = read_bytes(text, n);
            ck_assert_msg((root != NULL) == (depth == PBTXT_DEPTH_MAX && !open), "%d: %s", depth, err.text);
        }
        ck_assert_ptr_nonnull(strstr(err.text, "messages lie more than 32 deep"));
    }
    free(text);
}
END_TEST

START_TEST(the_number_of_fields_is_bounded)
{
    const size_t n = 3 * (PBTXT_FIELDS_MAX + 1);
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i += 3)
        memcpy(text + i, "a{}", 3);
    ck_assert_ptr_nonnull(read_bytes(text, n - 3));
    ck_assert_ptr_null(read_bytes(text, n));
    ck_assert_ptr_nonnull(strstr(err.text, "there are more than 65536 fields"));
    ck_assert_uint_lt(arena.used_bytes, 32 << 20);
    free(text);
}
END_TEST

START_TEST(a_field_knows_its_place)
{
    const struct pbtxt *root = read_good("a: 1\n\tb {\n  c: [ 1,\n 2 ]\n}");
    const struct pbtxt *b = root->first->next, *second = b->first->next;
    ck_assert_int_eq(b->line, 2);
    ck_assert_int_eq(b->column, 2);
    ck_assert_int_eq(second->line, 4);
    ck_assert_int_eq(second->column, 2);
    ck_assert_str_eq(second->name, "c");
}
END_TEST

static const struct {
    const char *word;
    bool is_signed, is_unsigned;
    int64_t value;
} numbers[] = {
    {"0", true, true, 0},
    {"-0", true, false, 0},
    {"17", true, true, 17},
    {"0x7f", true, true, 127},
    {"0XFF", true, true, 255},
    {"017", true, true, 15},
    {"-0x10", true, false, -16},
    {"9223372036854775807", true, true, INT64_MAX},
    {"9223372036854775808", false, true, INT64_MIN},
    {"-9223372036854775808", true, false, INT64_MIN},
    {"-9223372036854775809", false, false, 0},
    {"18446744073709551615", false, true, -1},
    {"18446744073709551616", false, false, 0},
    {"0x10000000000000000", false, false, 0},
    {"99999999999999999999999", false, false, 0},
    {"0x", false, false, 0},
    {"08", false, false, 0},
    {"12a", false, false, 0},
    {"1.0", false, false, 0},
    {"true", false, false, 0},
    {"'1'", false, false, 0},
    {"{}", false, false, 0},
};

START_TEST(whole_numbers_are_read_in_three_bases)
{
    char text[64];
    int64_t whole = 77;
    uint64_t natural = 77;
    snprintf(text, sizeof text, "a: %s", numbers[_i].word);
    const struct pbtxt *field = read_good(text)->first;
    ck_assert_int_eq(pbtxt_int64(field, &whole), numbers[_i].is_signed);
    ck_assert_int_eq(pbtxt_uint64(field, &natural), numbers[_i].is_unsigned);
    ck_assert_int_eq(whole, numbers[_i].is_signed ? numbers[_i].value : 77);
    ck_assert_uint_eq(natural, numbers[_i].is_unsigned ? (uint64_t)numbers[_i].value : 77);
}
END_TEST

START_TEST(fractions_and_truths_are_read)
{
    static const char *const no_doubles[] = {"a: nine", "a: '1'", "a: 1x", "a: {}", "a: -x"};
    double number;
    bool flag;
    const struct pbtxt *field = read_good("a: 1.5f b: -2e3 c: .5 d: -inf e: nan")->first;
    const double values[] = {1.5, -2000, 0.5, -INFINITY};
    for (int i = 0; i < 4; i++, field = field->next)
        ck_assert(pbtxt_double(field, &number) && number == values[i]);
    ck_assert(pbtxt_double(field, &number) && isnan(number));
    for (size_t i = 0; i < sizeof no_doubles / sizeof *no_doubles; i++)
        ck_assert(!pbtxt_double(read_good(no_doubles[i])->first, &number));
    field = read_good("a: true b: false c: True d: f e: 1 f: 0")->first;
    for (int i = 0; i < 6; i++, field = field->next)
        ck_assert(pbtxt_bool(field, &flag) && flag == (i % 2 == 0));
    ck_assert(!pbtxt_bool(read_good("a: yes")->first, &flag));
    ck_assert(!pbtxt_bool(read_good("a: 'true'")->first, &flag));
}
END_TEST

START_TEST(short_memory_is_told)
{
    for (size_t nth = 1; nth < 4; nth++) {
        struct arena own = {0};
        arena_fail_at(nth, true);
        struct pbtxt *root = pbtxt_read(bytes_of_text("a: 'text' b { c: 1 }"), &own, &err);
        arena_fail_at(0, false);
        ck_assert(root || err.code == ERR_MEMORY);
        arena_free(&own);
    }
    struct arena tight = {.limit_bytes = 200};
    ck_assert_ptr_null(pbtxt_read(bytes_of_text("a: 'text' b { c: 1 } d { e: 'and more of it' }"), &tight, &err));
    ck_assert_int_eq(err.code, ERR_MEMORY);
    arena_free(&tight);
}
END_TEST

Suite *serve_pbtxt_suite(void)
{
    Suite *suite = suite_create("serve/pbtxt");
    TCase *tests = tcase_create("pbtxt");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_loop_test(tests, what_is_written_is_read, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(tests, what_is_no_text_of_fields_is_refused_with_its_place, 0, sizeof bad / sizeof *bad);
    tcase_add_test(tests, a_nul_is_nothing_that_is_written);
    tcase_add_test(tests, depth_is_bounded);
    tcase_add_test(tests, the_number_of_fields_is_bounded);
    tcase_add_test(tests, a_field_knows_its_place);
    tcase_add_loop_test(tests, whole_numbers_are_read_in_three_bases, 0, sizeof numbers / sizeof *numbers);
    tcase_add_test(tests, fractions_and_truths_are_read);
    tcase_add_test(tests, short_memory_is_told);
    suite_add_tcase(suite, tests);
    return suite;
}
