/* tokenizer.c - any bytes as a tokenizer.json, and what it makes of a text; ids go back to a text. */
#include "base/err.h"
#include "serve/tokenizer.h"
#include "serve/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define IDS_MOST 512

static const char text[] =
    "Hi, w\xc3\xb6rld's 12\n \xe2\x96\x81 <m> [CLS] e\xcc\x81\xcc\xa3\xe4\xb8\xad\xef\xb7\xba  x";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena arena = {.limit_bytes = (size_t)256 << 20};
    struct percept_err err;
    int64_t ids[IDS_MOST];
    const struct tokenizer *tokenizer = tokenizer_json_read(bytes_of(data, n), &arena, &err);
    struct tokenizer_row row = {.ids = ids, .most = IDS_MOST, .arena = &arena};
    struct unicode_text said = {.arena = &arena};
    if (tokenizer && tokenizer_cut(tokenizer, bytes_of_text(text), &row, &err))
        for (int64_t i = 0; i < row.n; i++)
            tokenizer_say(tokenizer, ids[i], i == 0, &said, &err);
    arena_free(&arena);
    return 0;
}
