/*
 * npy.c - numpy's file format, both ways.
 *
 *     \x93NUMPY | major minor | length of the header, 2 bytes (v1) or 4 | header | elements
 *     header: a Python dictionary, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
 *
 * The dictionary is read by a scanner that knows just what numpy writes there: three keys in any
 * order, texts, True and False, a tuple of whole numbers. Everything is checked against the file's
 * size before it is used, as files come from anywhere. Objects (pickles) and records are refused.
 */
#include "command/npy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/file.h"
#include "base/number.h"
#include "base/utf8.h"

#define MAGIC "\x93NUMPY"
#define MAGIC_BYTES 6
#define ALIGNMENT 64 /* of the elements in the file, as numpy does it */
#define TEXT_BYTES_MAX ((size_t)1 << 24)

static const struct {
    char kind;
    size_t n_bytes;
    enum percept_dtype dtype;
} types[] = {
    {'f', 4, PERCEPT_FLOAT},    {'f', 8, PERCEPT_DOUBLE}, {'f', 2, PERCEPT_FLOAT16}, {'b', 1, PERCEPT_BOOL},
    {'i', 1, PERCEPT_INT8},     {'i', 2, PERCEPT_INT16},  {'i', 4, PERCEPT_INT32},   {'i', 8, PERCEPT_INT64},
    {'u', 1, PERCEPT_UINT8},    {'u', 2, PERCEPT_UINT16}, {'u', 4, PERCEPT_UINT32},  {'u', 8, PERCEPT_UINT64},
    {'V', 2, PERCEPT_BFLOAT16},
};

#define N_TYPES (sizeof types / sizeof *types)

struct header {
    struct bytes descr;
    bool by_columns;
    int rank;
    int64_t dims[PERCEPT_RANK_MAX];
    unsigned seen;  /* one bit per key */
    char kind;      /* of `types`, or S or U */
    size_t n_bytes; /* of an element in the file */
    enum percept_dtype dtype;
};

/* --- the dictionary ----------------------------------------------------------------------------------------------- */

static void skip_space(struct bytes *at)
{
    while (at->at < at->end && isspace(*at->at))
        at->at++;
}

static bool take(struct bytes *at, char c)
{
    skip_space(at);
    if (at->at >= at->end || *at->at != (uint8_t)c)
        return false;
    at->at++;
    return true;
}

static bool take_text(struct bytes *at, struct bytes *text)
{
    skip_space(at);
    if (at->at >= at->end || (*at->at != '\'' && *at->at != '"'))
        return false;
    const uint8_t *from = at->at + 1;
    const uint8_t *end = memchr(from, *at->at, (size_t)(at->end - from));
    if (!end)
        return false;
    *text = (struct bytes){from, end};
    at->at = end + 1;
    return true;
}

static bool take_word(struct bytes *at, const char *word)
{
    skip_space(at);
    size_t n = strlen(word);
    if (bytes_size(*at) < n || memcmp(at->at, word, n) != 0)
        return false;
    at->at += n;
    return true;
}

static bool take_bool(struct bytes *at, bool *value)
{
    *value = take_word(at, "True");
    return *value || take_word(at, "False");
}

static bool take_shape(struct bytes *at, struct header *header, struct percept_err *err)
{
    if (!take(at, '('))
        return false;
    while (!take(at, ')')) {
        int64_t dim;
        skip_space(at);
        const uint8_t *end = number_read_int64(*at, &dim);
        if (!end || dim < 0)
            return false;
        if (header->rank == PERCEPT_RANK_MAX)
            return err_set(err, ERR_UNSUPPORTED, "the array has more than %d axes", PERCEPT_RANK_MAX);
        header->dims[header->rank++] = dim;
        at->at = end < at->end && *end == 'L' ? end + 1 : end; /* Python 2 wrote 3L */
        if (!take(at, ',')) {
            if (!take(at, ')'))
                return false;
            break;
        }
    }
    return true;
}

static bool take_entry(struct bytes *at, struct header *header, struct percept_err *err)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    struct bytes key;
    unsigned which = 0;
    if (!take_text(at, &key) || !take(at, ':'))
        return false;
    while (which < 3 && !bytes_is(key, keys[which]))
        which++;
    if (which == 3 || header->seen & 1u << which)
        return false;
    header->seen |= 1u << which;
    if (which == 0)
        return take_text(at, &header->descr) ||
               err_set(err, ERR_UNSUPPORTED, "the array holds records; plain numbers can be read");
    return which == 1 ? take_bool(at, &header->by_columns) : take_shape(at, header, err);
}

static bool read_dictionary(struct bytes at, struct header *header, struct percept_err *err)
{
    err->text[0] = '\0';
    bool good = take(&at, '{');
    while (good && !take(&at, '}'))
        good = take_entry(&at, header, err) && (take(&at, ',') || (skip_space(&at), at.at < at.end));
    if (good && header->seen == 7)
        return true;
    if (!err->text[0])
        err_set(err, ERR_DATA, "the header is not what numpy writes");
    return false;
}

/* "<f4" */
static bool judge_descr(struct header *header, struct percept_err *err)
{
    struct bytes descr = header->descr;
    uint64_t n;
    if (bytes_size(descr) < 3 || !strchr("<>|=", (char)descr.at[0]))
        return err_set(err, ERR_UNSUPPORTED, "elements of type '" BYTES_FMT "' cannot be read", BYTES_ARG(descr));
    struct bytes digits = {descr.at + 2, descr.end};
    if (number_read_uint64(digits, &n) != digits.end || n > TEXT_BYTES_MAX)
        return err_set(err, ERR_UNSUPPORTED, "elements of type '" BYTES_FMT "' cannot be read", BYTES_ARG(descr));
    header->kind = (char)descr.at[1];
    bool is_text = header->kind == 'S' || header->kind == 'U';
    header->n_bytes = header->kind == 'U' ? (size_t)n * 4 : (size_t)n;
    if (descr.at[0] == '>' && header->kind != 'S' && header->n_bytes > 1)
        return err_set(err, ERR_UNSUPPORTED,
                       "elements of type '" BYTES_FMT "' are big-endian; save it with "
                       "array.astype(array.dtype.newbyteorder('<'))",
                       BYTES_ARG(descr));
    header->dtype = is_text ? PERCEPT_STRING : PERCEPT_UNDEFINED;
    for (size_t i = 0; i < N_TYPES && !is_text; i++)
        if (types[i].kind == header->kind && types[i].n_bytes == n)
            header->dtype = types[i].dtype;
    return header->dtype != PERCEPT_UNDEFINED ||
           err_set(err, ERR_UNSUPPORTED,
                   "elements of type '" BYTES_FMT "' cannot be read; bool, int8 to int64, uint8 to uint64, "
                   "float16 to float64, S and U can",
                   BYTES_ARG(descr));
}

/* The header's text, and what follows it. */
static bool split(struct bytes file, struct bytes *dictionary, struct bytes *elements, struct percept_err *err)
{
    size_t n = bytes_size(file);
    if (n < MAGIC_BYTES + 4 || memcmp(file.at, MAGIC, MAGIC_BYTES) != 0)
        return err_set(err, ERR_DATA, "this is no .npy file");
    unsigned major = file.at[MAGIC_BYTES];
    if (major < 1 || major > 3)
        return err_set(err, ERR_UNSUPPORTED, "version %u of .npy is not known; 1 to 3 are", major);
    size_t length_bytes = major == 1 ? 2 : 4;
    size_t from = MAGIC_BYTES + 2 + length_bytes;
    size_t length = 0;
    for (size_t i = 0; i < length_bytes && from <= n; i++)
        length |= (size_t)file.at[MAGIC_BYTES + 2 + i] << (8 * i);
    if (from > n || length > n - from)
        return err_set(err, ERR_DATA, "the file ends within its header");
    *dictionary = bytes_of(file.at + from, length);
    *elements = (struct bytes){file.at + from + length, file.end};
    return true;
}

/* --- elements ----------------------------------------------------------------------------------------------------- */

/* One text: S as it is, U from UTF-32; the NULs that fill it are not part of it. */
static bool read_text(const uint8_t *from, const struct header *header, struct arena *arena,
                      struct percept_string *string)
{
    size_t n = header->n_bytes;
    if (header->kind == 'S') {
        while (n && !from[n - 1])
            n--;
        string->at = arena_text(arena, from, n);
        string->n_bytes = n;
        return string->at;
    }
    char *to = arena_alloc(arena, n + 1);
    string->at = to;
    n -= n % 4;
    while (n && !from[n - 1] && !from[n - 2] && !from[n - 3] && !from[n - 4])
        n -= 4;
    for (size_t i = 0; to && i < n; i += 4) {
        uint32_t code;
        memcpy(&code, from + i, sizeof code);
        bool valid = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
        string->n_bytes += utf8_write(to + string->n_bytes, valid ? code : 0xfffd);
    }
    return to;
}

static bool read_element(const uint8_t *from, const struct header *header, struct arena *arena, void *to)
{
    if (header->dtype == PERCEPT_STRING)
        return read_text(from, header, arena, to);
    memcpy(to, from, header->n_bytes);
    if (header->dtype == PERCEPT_BOOL)
        *(uint8_t *)to = *(uint8_t *)to != 0;
    return true;
}

/* Where in the file the element lies that is i-th in row-major order. */
static size_t column_place(const struct header *header, size_t i)
{
    size_t place = 0;
    for (int d = header->rank - 1; d >= 0; d--) {
        size_t dim = (size_t)header->dims[d];
        size_t stride = 1;
        for (int k = 0; k < d; k++)
            stride *= (size_t)header->dims[k];
        place += i % dim * stride;
        i /= dim;
    }
    return place;
}

static bool read_elements(struct bytes elements, const struct header *header, struct arena *arena, void **data,
                          struct percept_err *err)
{
    size_t count = 1, n_bytes, size = percept_dtype_bytes(header->dtype);
    bool fits = true;
    for (int d = 0; d < header->rank; d++)
        fits = fits && arena_multiply(count, (size_t)header->dims[d], &count);
    fits = fits && arena_multiply(count, header->n_bytes, &n_bytes);
    if (!fits || n_bytes > bytes_size(elements))
        return err_set(err, ERR_DATA, "the file ends within its elements");
    if (n_bytes < bytes_size(elements))
        return err_set(err, ERR_DATA, "the file has %zu bytes after its last element", bytes_size(elements) - n_bytes);
    if (header->n_bytes == 0 && count > TEXT_BYTES_MAX) /* texts of no length take no room in the file */
        return err_set(err, ERR_DATA, "the array has too many empty texts");
    uint8_t *to = arena_array(arena, count ? count : 1, size);
    if (!to)
        return err_memory(err, "an array", n_bytes);
    for (size_t i = 0; i < count; i++) {
        size_t place = header->by_columns ? column_place(header, i) : i;
        if (!read_element(elements.at + place * header->n_bytes, header, arena, to + i * size))
            return err_memory(err, "an array", n_bytes);
    }
    *data = to;
    return true;
}

bool npy_decode(struct bytes file, struct arena *arena, struct percept_tensor *tensor, struct percept_err *err)
{
    struct percept_err own;
    struct bytes dictionary = {0}, elements = {0};
    struct header header = {.rank = 0};
    struct percept_tensor made = {.rank = 0};
    if (!err)
        err = &own;
    if (!split(file, &dictionary, &elements, err) || !read_dictionary(dictionary, &header, err) ||
        !judge_descr(&header, err) || !read_elements(elements, &header, arena, &made.data, err))
        return false;
    made.dtype = header.dtype;
    made.rank = header.rank;
    memcpy(made.dims, header.dims, sizeof made.dims);
    *tensor = made;
    return true;
}

bool npy_read(const char *path, struct arena *arena, struct percept_tensor *tensor, struct percept_err *err)
{
    struct bytes file;
    if (!file_read(path, 0, &file, NULL, err))
        return false;
    bool good = npy_decode(file, arena, tensor, err);
    arena_buffer_free((void *)(uintptr_t)file.at);
    return good || err_prefix(err, "%s: ", path);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* The code points of a text, written as UTF-32 to `to` if that is not NULL; SIZE_MAX if it is not
 * UTF-8. */
static size_t code_points(struct percept_string text, uint8_t *to)
{
    size_t n = 0;
    uint32_t code;
    for (const uint8_t *at = (const uint8_t *)text.at, *end = at + text.n_bytes; at < end; n++) {
        at = utf8_read(at, end, &code);
        if (!at)
            return SIZE_MAX;
        if (to)
            memcpy(to + 4 * n, &code, sizeof code);
    }
    return n;
}

/* U as long as the longest text, or S where a text is not UTF-8. */
static size_t text_descr(const struct percept_tensor *tensor, size_t count, char *descr, size_t n)
{
    const struct percept_string *strings = tensor->data;
    size_t most = 1, most_points = 1;
    for (size_t i = 0; i < count; i++) {
        size_t points = most_points == SIZE_MAX ? SIZE_MAX : code_points(strings[i], NULL);
        most_points = points > most_points ? points : most_points;
        most = strings[i].n_bytes > most ? strings[i].n_bytes : most;
    }
    const bool bytes = most_points == SIZE_MAX;
    snprintf(descr, n, "%s%zu", bytes ? "|S" : "<U", bytes ? most : most_points);
    return bytes ? most : 4 * most_points;
}

static void write_texts(const struct percept_tensor *tensor, size_t count, const char *descr, size_t element,
                        uint8_t *to)
{
    const struct percept_string *strings = tensor->data;
    for (size_t i = 0; i < count; i++, to += element)
        if (descr[1] == 'U')
            code_points(strings[i], to);
        else if (strings[i].n_bytes)
            memcpy(to, strings[i].at, strings[i].n_bytes);
}

static bool descr_of(const struct percept_tensor *tensor, size_t count, char *descr, size_t n, size_t *n_bytes)
{
    if (tensor->dtype == PERCEPT_STRING) {
        *n_bytes = text_descr(tensor, count, descr, n);
        return true;
    }
    for (size_t i = 0; i < N_TYPES; i++) {
        if (types[i].dtype == tensor->dtype) {
            *n_bytes = types[i].n_bytes;
            bool plain = *n_bytes == 1 || types[i].kind == 'V';
            snprintf(descr, n, "%c%c%zu", plain ? '|' : '<', types[i].kind, *n_bytes);
            return true;
        }
    }
    return false;
}

/* Everything before the elements, filled with blanks to a multiple of 64. At most 512 bytes. */
static size_t write_header(const struct percept_tensor *tensor, const char *descr, uint8_t *to)
{
    char text[448];
    int at = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int d = 0; d < tensor->rank; d++)
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%" PRId64 "%s", d ? " " : "", tensor->dims[d],
                       d + 1 < tensor->rank || tensor->rank == 1 ? "," : "");
    at += snprintf(text + at, sizeof text - (size_t)at, "), }");
    size_t n = (size_t)at;
    size_t before = MAGIC_BYTES + 4;
    size_t total = (before + n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    size_t length = total - before;
    memcpy(to, MAGIC "\x01\x00", MAGIC_BYTES + 2);
    to[MAGIC_BYTES + 2] = (uint8_t)(length & 0xff);
    to[MAGIC_BYTES + 3] = (uint8_t)(length >> 8);
    memcpy(to + before, text, n);
    memset(to + before + n, ' ', length - n - 1);
    to[total - 1] = '\n';
    return total;
}

bool npy_encode(const struct percept_tensor *tensor, struct arena *arena, struct bytes *file, struct percept_err *err)
{
    uint8_t header[512];
    char descr[32];
    size_t count = 1, element, n_bytes = 0, total = 0;
    bool fits = tensor->rank >= 0 && tensor->rank <= PERCEPT_RANK_MAX;
    for (int d = 0; fits && d < tensor->rank; d++)
        fits = tensor->dims[d] >= 0 && arena_multiply(count, (size_t)tensor->dims[d], &count);
    if (!fits || !descr_of(tensor, count, descr, sizeof descr, &element))
        return err_set(err, ERR_UNSUPPORTED, "a tensor of type %s cannot be written as .npy",
                       percept_dtype_name(tensor->dtype));
    size_t before = write_header(tensor, descr, header);
    uint8_t *to = NULL;
    if (arena_multiply(count, element, &n_bytes) && !__builtin_add_overflow(before, n_bytes, &total))
        to = arena_alloc(arena, total);
    if (!to)
        return err_memory(err, "a file", total);
    memcpy(to, header, before);
    if (tensor->dtype == PERCEPT_STRING)
        write_texts(tensor, count, descr, element, to + before);
    else if (n_bytes)
        memcpy(to + before, tensor->data, n_bytes);
    *file = bytes_of(to, total);
    return true;
}

bool npy_write(const char *path, const struct percept_tensor *tensor, struct percept_err *err)
{
    struct arena arena = {0};
    struct bytes file;
    bool good = npy_encode(tensor, &arena, &file, err) && file_write(path, file.at, bytes_size(file), err);
    arena_free(&arena);
    return good;
}
