/* pieces.c - see pieces.h. */
#include "pieces.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct percept_err pieces_err;
static struct arena arena;

void pieces_free(void)
{
    arena_free(&arena);
}

const struct tokenizer *pieces_read(const char *json)
{
    const char *text = arena_text(&arena, json, strlen(json));
    return tokenizer_json_read(bytes_of_text(text), &arena, &pieces_err);
}

const char *pieces_cut_most(const struct tokenizer *tokenizer, struct bytes text, int64_t most, struct watch *watch)
{
    struct tokenizer_row row = {
        .ids = arena_array(&arena, (size_t)most, sizeof *row.ids), .most = most, .arena = &arena, .watch = watch};
    if (!tokenizer_cut(tokenizer, text, &row, &pieces_err))
        return pieces_err.text;
    const size_t room = 24 * (size_t)row.n + 1;
    char *ids = arena_alloc(&arena, room);
    for (size_t i = 0, used = 0; i < (size_t)row.n; i++)
        used += (size_t)snprintf(ids + used, room - used, "%s%lld", i ? " " : "", (long long)row.ids[i]);
    return ids;
}

const char *pieces_cut(const struct tokenizer *tokenizer, const char *text)
{
    return pieces_cut_most(tokenizer, bytes_of_text(text), 20 * (int64_t)strlen(text) + 2, NULL);
}

const char *pieces_say(const struct tokenizer *tokenizer, const char *ids)
{
    struct unicode_text text = {.arena = &arena};
    for (char *end; *ids; ids = *end ? end + 1 : end)
        ck_assert(tokenizer_say(tokenizer, strtoll(ids, &end, 10), text.n == 0, &text, &pieces_err));
    return arena_text(&arena, text.at, text.n);
}

void pieces_expect(const char *json, const char *text, const char *ids)
{
    const struct tokenizer *tokenizer = pieces_read(json);
    ck_assert_msg(tokenizer, "%s: %s", json, pieces_err.text);
    const char *got = pieces_cut(tokenizer, text);
    ck_assert_msg(strcmp(got, ids) == 0, "%s with %s: %s, not %s", text, json, got, ids);
}

void pieces_expect_refused(const char *json, const char *part)
{
    ck_assert_msg(!pieces_read(json), "%s", json);
    ck_assert_msg(strstr(pieces_err.text, part), "%s: %s", json, pieces_err.text);
}
