/*
 * unicode.c - the door to utf8proc.
 *
 * Opened when the first model comes whose manifest needs it, as the libraries for sounds are: linked, its tables of 300
 * kB would be mapped at every start. Normal forms are made from its tables for one code point, not by its function for
 * whole texts: that sorts marks by exchanging neighbours, which takes a client's megabyte of marks hours. Here runs of
 * marks are sorted by counting, and a text is taken in chunks between code points that nothing composes with.
 */
#include "serve/unicode.h"

#include "base/err.h"
#include "base/utf8.h"

#include <dlfcn.h>
#include <pthread.h>
#include <utf8proc.h>

#define CHUNK 4096        /* code points after which a chunk may end */
#define DECOMPOSED 32     /* most of one code point; Unicode's longest has 18 */
#define N_CLASSES 256     /* of combining */
#define DECOMPOSE_UNITS 8 /* one code point, in watch_spend's units */

static struct {
    __typeof__(&utf8proc_get_property) property;
    __typeof__(&utf8proc_decompose_char) decompose;
    __typeof__(&utf8proc_normalize_utf32) compose;
    bool there;
} library;

static void open_library(void)
{
    void *handle = dlopen("libutf8proc.so.2", RTLD_LAZY | RTLD_LOCAL);
    handle = handle ? handle : dlopen("libutf8proc.so.3", RTLD_LAZY | RTLD_LOCAL);
    if (!handle)
        return;
    *(void **)&library.property = dlsym(handle, "utf8proc_get_property");
    *(void **)&library.decompose = dlsym(handle, "utf8proc_decompose_char");
    *(void **)&library.compose = dlsym(handle, "utf8proc_normalize_utf32");
    library.there = library.property && library.decompose && library.compose;
}

bool unicode_open(struct percept_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_library);
    return library.there || err_set(err, ERR_UNSUPPORTED,
                                    "what the manifest does with texts needs libutf8proc.so.2, which is not installed "
                                    "here (Debian's libutf8proc2)");
}

/* --- kinds of code points ----------------------------------------------------------------------------------------- */

static int category(uint32_t code)
{
    return library.property((utf8proc_int32_t)code)->category;
}

static bool between(uint32_t code, int first, int last)
{
    const int at = category(code);
    return at >= first && at <= last;
}

bool unicode_is_letter(uint32_t code)
{
    return between(code, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LO);
}

bool unicode_is_number(uint32_t code)
{
    return between(code, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO);
}

bool unicode_is_digit(uint32_t code)
{
    return category(code) == UTF8PROC_CATEGORY_ND;
}

bool unicode_is_mark(uint32_t code)
{
    return between(code, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME);
}

bool unicode_is_nonspacing(uint32_t code)
{
    return category(code) == UTF8PROC_CATEGORY_MN;
}

bool unicode_is_punctuation(uint32_t code)
{
    return between(code, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

bool unicode_is_other(uint32_t code)
{
    return category(code) >= UTF8PROC_CATEGORY_CC;
}

bool unicode_is_space(uint32_t code)
{
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xa0 || code == 0x1680 ||
           (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f ||
           code == 0x3000;
}

/* Signs that are Other_Alphabetic and no marks: letters in circles and squares. */
static bool is_circled(uint32_t code)
{
    return (code >= 0x24b6 && code <= 0x24e9) || (code >= 0x1f130 && code <= 0x1f149) ||
           (code >= 0x1f150 && code <= 0x1f169) || (code >= 0x1f170 && code <= 0x1f189);
}

bool unicode_is_word(uint32_t code)
{
    const int at = category(code);
    return (at >= UTF8PROC_CATEGORY_LU && at <= UTF8PROC_CATEGORY_NL) || at == UTF8PROC_CATEGORY_PC || code == 0x200c ||
           code == 0x200d || is_circled(code);
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

bool unicode_put(struct unicode_text *text, const void *at, size_t n, struct percept_err *err)
{
    if (text->room - text->n < n) {
        const size_t room = 2 * text->room + n + 256;
        uint8_t *grown = arena_grow(text->arena, text->at, text->room, room);
        if (!grown)
            return err_memory(err, "a text", room);
        text->at = grown;
        text->room = room;
    }
    if (n)
        memcpy(text->at + text->n, at, n);
    text->n += n;
    return true;
}

bool unicode_put_code(struct unicode_text *text, uint32_t code, struct percept_err *err)
{
    uint8_t bytes[UTF8_MAX];
    return unicode_put(text, bytes, utf8_write(bytes, code), err);
}

/* --- normal forms ------------------------------------------------------------------------------------------------- */

/* Code points that are decomposed and wait for their order. */
struct chunk {
    struct arena *arena;
    utf8proc_int32_t *at, *spare; /* spare: for sorting */
    size_t n, room;
};

static int options_of(enum unicode_form form)
{
    switch (form) {
    case UNICODE_NFC:
    case UNICODE_NFD:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case UNICODE_NFKC_CASEFOLD:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE;
    default:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    }
}

static bool composes(enum unicode_form form)
{
    return form == UNICODE_NFC || form == UNICODE_NFKC || form == UNICODE_NFKC_CASEFOLD;
}

static bool make_room(struct chunk *chunk, struct percept_err *err)
{
    if (chunk->room - chunk->n >= DECOMPOSED)
        return true;
    const size_t room = 2 * chunk->room + CHUNK + DECOMPOSED, size = sizeof *chunk->at;
    utf8proc_int32_t *grown = arena_grow(chunk->arena, chunk->at, chunk->room * size, room * size);
    chunk->spare = grown ? arena_array(chunk->arena, room, size) : NULL;
    if (!chunk->spare)
        return err_memory(err, "a text", room * size);
    chunk->at = grown;
    chunk->room = room;
    return true;
}

static int class_of(utf8proc_int32_t code)
{
    return library.property(code)->combining_class;
}

/* Marks in the order of their classes, those of one class as they came. */
static void sort_marks(const struct chunk *chunk, size_t from, size_t to)
{
    size_t begins[N_CLASSES + 1] = {0};
    for (size_t i = from; i < to; i++)
        begins[class_of(chunk->at[i]) + 1]++;
    for (int i = 1; i <= N_CLASSES; i++)
        begins[i] += begins[i - 1];
    for (size_t i = from; i < to; i++)
        chunk->spare[from + begins[class_of(chunk->at[i])]++] = chunk->at[i];
    memcpy(chunk->at + from, chunk->spare + from, (to - from) * sizeof *chunk->at);
}

static void order(const struct chunk *chunk)
{
    size_t from = 0;
    for (size_t i = 0; i <= chunk->n; i++) {
        if (i < chunk->n && class_of(chunk->at[i]) > 0)
            continue;
        if (i - from > 1)
            sort_marks(chunk, from, i);
        from = i + 1;
    }
}

static bool flush(struct chunk *chunk, enum unicode_form form, struct unicode_text *to, struct percept_err *err)
{
    order(chunk);
    utf8proc_ssize_t n = (utf8proc_ssize_t)chunk->n;
    if (composes(form))
        n = library.compose(chunk->at, n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (!unicode_put_code(to, (uint32_t)chunk->at[i], err))
            return false;
    chunk->n = 0;
    return true;
}

/* Nothing before it composes with it: no mark, and none of Hangul's later parts. */
static bool stands_alone(uint32_t code)
{
    return code < 0x80 || (code >= 0x400 && !unicode_is_mark(code) && !(code >= 0x1160 && code <= 0x11ff) &&
                           !(code >= 0xff9e && code <= 0xffdc));
}

bool unicode_normalize(enum unicode_form form, struct bytes from, struct unicode_text *to, struct watch *watch,
                       struct percept_err *err)
{
    if (form == UNICODE_AS_IS)
        return unicode_put(to, from.at, bytes_size(from), err);
    struct chunk chunk = {.arena = to->arena};
    for (const uint8_t *at = from.at; at < from.end;) {
        uint32_t code = 0;
        int boundary = 0;
        at = utf8_read(at, from.end, &code);
        if (!watch_spend(watch, DECOMPOSE_UNITS))
            return watch_refuse(watch, err);
        if (chunk.n >= CHUNK && stands_alone(code) && !flush(&chunk, form, to, err))
            return false;
        if (!make_room(&chunk, err))
            return false;
        const utf8proc_ssize_t n =
            library.decompose((utf8proc_int32_t)code, chunk.at + chunk.n, DECOMPOSED, options_of(form), &boundary);
        chunk.n += n > 0 && n <= DECOMPOSED ? (size_t)n : 0;
    }
    return flush(&chunk, form, to, err);
}
