/*
 * literal.c - see literal.h. Python's reader is one of its own, JSON's builds a tree from json.h's cursor. Both count
 * elements and depth before they take memory.
 */
#include "serve/literal.h"

#include "base/err.h"
#include "base/number.h"
#include "base/utf8.h"
#include "serve/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct python {
    const uint8_t *begin, *at, *end;
    struct arena *arena;
    struct percept_err *err;
    int depth, n_elements;
};

static bool fail(const struct python *python, const char *what)
{
    return err_set(python->err, ERR_CONFIG, "%s at byte %zu", what, (size_t)(python->at - python->begin));
}

static uint8_t peek(struct python *python)
{
    while (python->at < python->end && (*python->at == ' ' || *python->at == '\n' || *python->at == '\t'))
        python->at++;
    return python->at < python->end ? *python->at : 0;
}

static bool take(struct python *python, uint8_t byte)
{
    if (peek(python) != byte)
        return false;
    python->at++;
    return true;
}

/* A new last element; NULL: there are too many, or memory is short. */
static struct literal *append(struct arena *arena, int *n_elements, struct literal *outer, struct literal *last)
{
    struct literal *one = ++*n_elements <= LITERAL_MAX_ELEMENTS ? arena_alloc(arena, sizeof *one) : NULL;
    if (!one)
        return NULL;
    *one = (struct literal){.kind = LITERAL_NOTHING};
    if (last)
        last->next = one;
    else
        outer->first = one;
    outer->n++;
    return one;
}

static struct literal *add(struct python *python, struct literal *outer, struct literal *last)
{
    struct literal *one = append(python->arena, &python->n_elements, outer, last);
    if (!one)
        fail(python, "there are too many elements");
    return one;
}

/* --- Python's texts and numbers ----------------------------------------------------------------------------------- */

static bool read_hex(struct python *python, int n_digits, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < n_digits; i++) {
        const uint8_t c = python->at < python->end ? *python->at : 0;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0)
            return fail(python, "a digit is missing");
        *code = *code << 4 | (uint32_t)digit;
        python->at++;
    }
    return true;
}

/* Behind the backslash. */
static bool read_escape(struct python *python, uint32_t *code)
{
    static const char letters[] = "\\'\"nrt", codes[] = "\\'\"\n\r\t";
    const char letter = python->at < python->end ? (char)*python->at : '\0';
    const char *at = letter ? strchr(letters, letter) : NULL;
    if (at) {
        *code = (uint8_t)codes[at - letters];
        python->at++;
        return true;
    }
    if (letter != 'x' && letter != 'u' && letter != 'U')
        return fail(python, "this escape is not read");
    python->at++;
    if (!read_hex(python, letter == 'x' ? 2 : letter == 'u' ? 4 : 8, code))
        return false;
    return (*code && *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff)) ||
           fail(python, "this escape is no character");
}

/* The quote that ends the text, or NULL. */
static const uint8_t *end_of_text(const struct python *python, uint8_t quote)
{
    const uint8_t *at = python->at;
    while (at < python->end && *at != quote)
        at += *at == '\\' ? 2 : 1;
    return at < python->end ? at : NULL;
}

/* At the quote. A text is never longer than it is written. */
static const char *read_text(struct python *python)
{
    const uint8_t quote = *python->at++;
    const uint8_t *end = end_of_text(python, quote);
    char *text = end ? arena_alloc(python->arena, (size_t)(end - python->at) + 1) : NULL;
    size_t used = 0;
    if (!text) {
        fail(python, end ? "memory is short" : "a text does not end");
        return NULL;
    }
    while (python->at < end) {
        uint32_t code;
        const uint8_t *next = utf8_read(python->at, end, &code);
        if (!next || code < 0x20) {
            fail(python, "this is no character of a text");
            return NULL;
        }
        python->at = next;
        if (code == '\\' && !read_escape(python, &code))
            return NULL;
        used += utf8_write(text + used, code);
    }
    text[used] = '\0';
    python->at = end + 1;
    return text;
}

static bool read_number(struct python *python, double *number)
{
    const bool signed_ = *python->at == '-';
    const uint8_t *end = number_read_double((struct bytes){python->at, python->end}, number);
    const uint8_t first = python->at + signed_ < python->end ? python->at[signed_] : 0;
    if (!end || first < '0' || first > '9' || !isfinite(*number))
        return fail(python, "a number, a text, a list or a dict is missing");
    python->at = end;
    return true;
}

/* --- Python's values ---------------------------------------------------------------------------------------------- */

static bool read_python(struct python *python, struct literal *one);

/* Behind the bracket. */
static bool read_list(struct python *python, struct literal *list, uint8_t close)
{
    struct literal *last = NULL;
    bool comma = false;
    list->kind = LITERAL_LIST;
    while (!take(python, close)) {
        if (last && !comma)
            return fail(python, "a comma is missing");
        last = add(python, list, last);
        if (!last || !read_python(python, last))
            return false;
        comma = take(python, ',');
    }
    if (close != ')' || list->n != 1 || comma)
        return true;
    const struct literal inner = *last; /* (x) is x */
    const struct literal *next = list->next;
    *list = inner;
    list->next = next;
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct literal *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static bool keys_differ(struct arena *arena, const struct literal *map)
{
    const struct literal **sorted = arena_array(arena, (size_t)map->n + 1, sizeof *sorted);
    int n = 0;
    for (const struct literal *one = map->first; sorted && one; one = one->next)
        sorted[n++] = one;
    if (n)
        qsort(sorted, (size_t)n, sizeof *sorted, by_key);
    for (int i = 1; i < n; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            return false;
    return sorted != NULL;
}

static bool read_key(struct python *python, struct literal *one)
{
    const uint8_t first = peek(python);
    double number;
    if (first == '\'' || first == '"')
        return (one->key = read_text(python)) != NULL;
    if (!first || !read_number(python, &number))
        return fail(python, "a key is missing");
    if (number != floor(number) || fabs(number) > 1e9)
        return fail(python, "a key is no text and no whole number");
    one->key_is_number = true;
    one->key = arena_printf(python->arena, "%.0f", number);
    return one->key || fail(python, "memory is short");
}

static bool read_dict(struct python *python, struct literal *map)
{
    struct literal *last = NULL;
    bool comma = false;
    map->kind = LITERAL_MAP;
    while (!take(python, '}')) {
        if (last && !comma)
            return fail(python, "a comma is missing");
        last = add(python, map, last);
        if (!last || !read_key(python, last))
            return false;
        if (!take(python, ':'))
            return fail(python, "a colon is missing");
        if (!read_python(python, last))
            return false;
        comma = take(python, ',');
    }
    return keys_differ(python->arena, map) || fail(python, "a key comes twice");
}

static bool read_word(struct python *python, struct literal *one)
{
    static const struct {
        const char *word;
        enum literal_kind kind;
        bool truth;
    } words[] = {{"True", LITERAL_BOOL, true}, {"False", LITERAL_BOOL, false}, {"None", LITERAL_NOTHING, false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const size_t n = strlen(words[i].word);
        if ((size_t)(python->end - python->at) >= n && memcmp(python->at, words[i].word, n) == 0) {
            python->at += n;
            one->kind = words[i].kind;
            one->truth = words[i].truth;
            return true;
        }
    }
    one->kind = LITERAL_NUMBER;
    return read_number(python, &one->number);
}

static bool read_python(struct python *python, struct literal *one)
{
    const uint8_t first = peek(python);
    if (!first)
        return fail(python, "a value is missing");
    if (first == '\'' || first == '"') {
        one->kind = LITERAL_TEXT;
        return (one->text = read_text(python)) != NULL;
    }
    if (first != '[' && first != '(' && first != '{')
        return read_word(python, one);
    if (++python->depth > LITERAL_DEPTH_MAX)
        return fail(python, "it is too deep");
    python->at++;
    const bool good = first == '{' ? read_dict(python, one) : read_list(python, one, first == '[' ? ']' : ')');
    python->depth--;
    return good;
}

const struct literal *literal_python(struct bytes text, struct arena *arena, struct percept_err *err)
{
    struct python python = {.begin = text.at, .at = text.at, .end = text.end, .arena = arena, .err = err};
    struct literal *root = bytes_size(text) <= LITERAL_MAX_BYTES ? arena_alloc(arena, sizeof *root) : NULL;
    if (!root)
        return err_null(err, ERR_CONFIG, "it is longer than 4 MiB, or memory is short");
    *root = (struct literal){.kind = LITERAL_NOTHING};
    if (!read_python(&python, root))
        return NULL;
    if (peek(&python) || python.at != python.end) {
        fail(&python, "something follows");
        return NULL;
    }
    return root;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

struct tree {
    struct json json;
    int n_elements;
};

static bool build(struct tree *tree, struct literal *one);

static const char *string_of(struct tree *tree, struct bytes bytes)
{
    if (memchr(bytes.at ? (const void *)bytes.at : "", '\0', bytes_size(bytes))) {
        json_fail(&tree->json, "a text has a NUL");
        return NULL;
    }
    const char *text = arena_text(tree->json.arena, bytes.at, bytes_size(bytes));
    if (!text)
        json_fail(&tree->json, "memory is short");
    return text;
}

static struct literal *add_to(struct tree *tree, struct literal *outer, struct literal *last)
{
    struct literal *one = append(tree->json.arena, &tree->n_elements, outer, last);
    if (!one)
        json_fail(&tree->json, "there are too many elements");
    return one;
}

static bool build_map(struct tree *tree, struct literal *map)
{
    struct json_keys keys = {0};
    struct literal *last = NULL;
    struct bytes key;
    map->kind = LITERAL_MAP;
    if (!json_open(&tree->json, '{'))
        return false;
    while (json_key(&tree->json, &keys, &key)) {
        last = add_to(tree, map, last);
        if (!last || !(last->key = string_of(tree, key)) || !build(tree, last))
            return false;
    }
    return !tree->json.failed;
}

static bool build_list(struct tree *tree, struct literal *list)
{
    struct literal *last = NULL;
    int64_t n = 0;
    list->kind = LITERAL_LIST;
    if (!json_open(&tree->json, '['))
        return false;
    while (json_item(&tree->json, &n)) {
        last = add_to(tree, list, last);
        if (!last || !build(tree, last))
            return false;
    }
    return !tree->json.failed;
}

static bool build(struct tree *tree, struct literal *one)
{
    struct bytes text;
    switch (json_peek(&tree->json)) {
    case '{':
        return build_map(tree, one);
    case '[':
        return build_list(tree, one);
    case '"':
        one->kind = LITERAL_TEXT;
        return json_text(&tree->json, "a text", &text) && (one->text = string_of(tree, text)) != NULL;
    case 't':
    case 'f':
        one->kind = LITERAL_BOOL;
        return json_bool(&tree->json, "true or false", &one->truth);
    case 'n':
        return json_skip(&tree->json);
    default:
        one->kind = LITERAL_NUMBER;
        return json_real(&tree->json, "a value", &one->number);
    }
}

const struct literal *literal_json(struct bytes text, struct arena *arena, struct percept_err *err)
{
    struct percept_err unheard;
    struct tree tree = {.json = json_of(text, arena, err ? err : &unheard)};
    struct literal *root = bytes_size(text) <= LITERAL_MAX_BYTES ? arena_alloc(arena, sizeof *root) : NULL;
    if (!root)
        return err_null(err, ERR_CONFIG, "it is longer than 4 MiB, or memory is short");
    *root = (struct literal){.kind = LITERAL_NOTHING};
    return build(&tree, root) && json_finish(&tree.json) ? root : NULL;
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

const struct literal *literal_get(const struct literal *map, const char *key)
{
    const struct literal *one = map && map->kind == LITERAL_MAP ? map->first : NULL;
    while (one && strcmp(one->key, key) != 0)
        one = one->next;
    return one;
}

bool literal_whole(const struct literal *literal, int64_t least, int64_t most, int64_t *value)
{
    if (!literal || literal->kind != LITERAL_NUMBER || literal->number != floor(literal->number) ||
        literal->number < (double)least || literal->number > (double)most)
        return false;
    *value = (int64_t)literal->number;
    return true;
}

/* "17" -> 17, below n; -1. */
static int index_of(const char *key, int n)
{
    const size_t length = strlen(key);
    if (!length || length > 6 || strspn(key, "0123456789") != length || (length > 1 && *key == '0'))
        return -1;
    const int index = (int)strtol(key, NULL, 10);
    return index < n ? index : -1;
}

const char *const *literal_texts(const struct literal *literal, struct arena *arena, int *n)
{
    if (!literal || (literal->kind != LITERAL_LIST && literal->kind != LITERAL_MAP))
        return NULL;
    const char **texts = arena_array(arena, (size_t)literal->n + 1, sizeof *texts);
    int i = 0;
    for (const struct literal *one = literal->first; texts && one; one = one->next, i++) {
        const int index = literal->kind == LITERAL_LIST ? i : index_of(one->key, literal->n);
        if (index < 0 || one->kind != LITERAL_TEXT)
            return NULL;
        texts[index] = one->text; /* keys differ, so that each has its own */
    }
    *n = literal->n;
    return texts;
}
