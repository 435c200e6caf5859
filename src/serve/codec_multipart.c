/*
 * codec_multipart.c - a form with files (multipart/form-data: RFC 7578, whose syntax is RFC 2046's) as browsers and
 * curl -F send it: each part feeds the input that it is named like, or the only one that can be fed; several parts of
 * an input are several items of one request, in their order.
 *
 *     --BOUNDARY CRLF
 *     Content-Disposition: form-data; name="image"; filename="a.jpg" CRLF
 *     Content-Type: image/jpeg CRLF
 *     CRLF
 *     bytes CRLF
 *     --BOUNDARY-- CRLF
 *
 * Parts stay where they are in the body. What a part's Content-Type says is of no account: pictures are told by how
 * they begin, where browsers guess from the ending of a name. Every count and length is bounded before it is used, and
 * the search for boundaries looks at the watch. Runs on a worker; touches its job alone.
 */
#include "base/err.h"
#include "serve/codec_parts.h"
#include "serve/parameters.h"

#include <stdio.h>

#define PARTS_MAX 4096 /* of a form */
#define LINES_MAX 16   /* of a part's head */
#define HEAD_MAX 4096  /* bytes of it */
#define NAME_MAX_BYTES 256
#define WINDOW 65536 /* bytes that are searched between two looks at the watch */

struct part {
    int input;
    struct percept_string content;
};

struct form {
    struct job *job;
    char delimiter[2 + 2 + PARAMETERS_BOUNDARY_MAX]; /* CR LF -- BOUNDARY */
    size_t n_delimiter;
    const uint8_t *at, *end;
    struct part *parts;
    int n_parts, n_room;
    struct percept_err *err;
};

static bool refuse(const struct form *form, const char *why)
{
    return err_set(form->err, ERR_INVALID, "part %d of the form: %s", form->n_parts + 1, why);
}

/* --- the form ----------------------------------------------------------------------------------------------------- */

static bool read_boundary(struct form *form)
{
    char *to = form->delimiter;
    memcpy(to, "\r\n--", 4);
    int n = parameters_find(form->job->content_type, "boundary", to + 4, PARAMETERS_BOUNDARY_MAX);
    if (n < 1)
        return err_set(form->err, ERR_INVALID,
                       "Content-Type: multipart/form-data needs a boundary of 1 to %d characters; curl -F and browsers "
                       "make one",
                       PARAMETERS_BOUNDARY_MAX);
    for (int i = 0; i < n; i++)
        if ((uint8_t)to[4 + i] < ' ' || (uint8_t)to[4 + i] > '~')
            return err_set(form->err, ERR_INVALID, "Content-Type: the boundary has a character that is not printable");
    form->n_delimiter = 4 + (size_t)n;
    return true;
}

/* The next delimiter, or NULL: there is none, or the watch is over. */
static const uint8_t *find_delimiter(const struct form *form, const uint8_t *at)
{
    while (at < form->end && watch_spend(&form->job->watch, WINDOW / 16)) {
        size_t left = (size_t)(form->end - at), n = WINDOW + form->n_delimiter - 1;
        const uint8_t *found = memmem(at, left < n ? left : n, form->delimiter, form->n_delimiter);
        if (found)
            return found;
        at += left < WINDOW ? left : WINDOW;
    }
    return NULL;
}

static bool lacks_end(const struct form *form)
{
    if (watch_over(&form->job->watch))
        return watch_refuse(&form->job->watch, form->err);
    return err_set(
        form->err, ERR_INVALID,
        "the form ends before its last boundary, '%.*s--'; is the body complete, and is the boundary the one "
        "of Content-Type?",
        (int)form->n_delimiter - 2, form->delimiter + 2);
}

/* Behind a delimiter: to the next line; *last: it was the form's end. */
static bool end_delimiter(struct form *form, bool *last)
{
    *last = form->end - form->at >= 2 && form->at[0] == '-' && form->at[1] == '-';
    if (*last)
        return true;
    while (form->at < form->end && parameters_blank(*form->at))
        form->at++;
    if (form->end - form->at < 2 || form->at[0] != '\r' || form->at[1] != '\n')
        return refuse(form, "its boundary is not followed by a line end");
    form->at += 2;
    return true;
}

/* The first one may be without its line end, when the body begins with it. */
static bool begin(struct form *form, bool *last)
{
    const size_t n = form->n_delimiter - 2;
    if ((size_t)(form->end - form->at) >= n && memcmp(form->at, form->delimiter + 2, n) == 0) {
        form->at += n;
        return end_delimiter(form, last);
    }
    const uint8_t *found = find_delimiter(form, form->at);
    if (!found)
        return lacks_end(form);
    form->at = found + form->n_delimiter;
    return end_delimiter(form, last);
}

/* --- a part ------------------------------------------------------------------------------------------------------- */

/* A line of a part's head, without its end. */
static bool read_line(struct form *form, const uint8_t *head, struct bytes *line)
{
    const size_t left = (size_t)(form->end - form->at), most = HEAD_MAX - (size_t)(form->at - head);
    const uint8_t *found = memmem(form->at, left < most ? left : most, "\r\n", 2);
    if (!found)
        return refuse(form, left < most ? "it ends within its head" : "its head is longer than 4096 bytes");
    *line = (struct bytes){form->at, found};
    form->at = found + 2;
    return true;
}

static bool split_line(struct bytes line, struct bytes *name, struct bytes *value)
{
    const uint8_t *colon = memchr(line.at, ':', bytes_size(line));
    if (!colon)
        return false;
    *name = (struct bytes){line.at, colon};
    *value = parameters_trim((struct bytes){colon + 1, line.end});
    return true;
}

static bool is_plain(struct bytes coding)
{
    return parameters_same(coding, "binary") || parameters_same(coding, "8bit") || parameters_same(coding, "7bit");
}

/* Its head, up to the empty line; the name of its field, in a buffer. */
static bool read_head(struct form *form, char *name, int *n_name)
{
    const uint8_t *head = form->at;
    *n_name = -1;
    for (int i = 0; i <= LINES_MAX; i++) {
        struct bytes line = {0}, key, value;
        if (!read_line(form, head, &line))
            return false;
        if (!bytes_size(line))
            return *n_name >= 0 || refuse(form, "it has no Content-Disposition with a name of at most 256 bytes");
        if (!split_line(line, &key, &value))
            return refuse(form, "a line of its head has no ':'");
        if (parameters_same(key, "Content-Disposition"))
            *n_name = parameters_find(value, "name", name, NAME_MAX_BYTES);
        else if (parameters_same(key, "Content-Transfer-Encoding") && !is_plain(value))
            return refuse(form, "it has a Content-Transfer-Encoding; send its bytes as they are");
    }
    return refuse(form, "its head has more than 16 lines");
}

/* The input of this name that the body feeds; or the only one that takes media, whatever the name. */
static bool find_input(const struct form *form, struct bytes name, int *input)
{
    int n, described = 0;
    const struct percept_io *io = served_own_inputs(form->job->served, &n);
    *input = -1;
    for (int i = 0; i < n; i++) {
        if (!codec_is_body(form->job, i))
            continue;
        if (bytes_is(name, io[i].name)) {
            *input = i;
            return codec_parts_described(form->job, i) ||
                   err_set(form->err, ERR_INVALID,
                           "part '" BYTES_FMT
                           "' of the form: input '%s' takes neither a picture nor a text; send V2 JSON",
                           BYTES_ARG(name), io[i].name);
        }
        if (codec_parts_described(form->job, i)) {
            described++;
            *input = i;
        }
    }
    return described == 1 ||
           err_set(form->err, ERR_INVALID, "part '" BYTES_FMT "' of the form: model '%s' has no input of that name",
                   BYTES_ARG(name), form->job->served->name);
}

static struct part *add_part(struct form *form)
{
    if (form->n_parts == PARTS_MAX)
        return err_null(form->err, ERR_TOO_LARGE, "the form has more than %d parts", PARTS_MAX);
    if (form->n_parts == form->n_room) {
        int room = form->n_room ? form->n_room * 2 : 8;
        struct part *grown = arena_grow(form->job->arena, form->parts, (size_t)form->n_room * sizeof *grown,
                                        (size_t)room * sizeof *grown);
        if (!grown) {
            err_memory(form->err, "a form's parts", (size_t)room * sizeof *grown);
            return NULL;
        }
        form->parts = grown;
        form->n_room = room;
    }
    return &form->parts[form->n_parts++];
}

static bool read_part(struct form *form, bool *last)
{
    char name[NAME_MAX_BYTES];
    int n_name, input;
    if (!read_head(form, name, &n_name) || !find_input(form, bytes_of(name, (size_t)n_name), &input))
        return false;
    /* An empty part's delimiter begins with the line end of its head. */
    const uint8_t *content = form->at, *found = find_delimiter(form, content - 2);
    if (!found)
        return lacks_end(form);
    struct part *part = add_part(form);
    if (!part)
        return false;
    const size_t size = found > content ? (size_t)(found - content) : 0;
    *part = (struct part){.input = input, .content = {.at = (const char *)content, .n_bytes = size}};
    form->at = found + form->n_delimiter;
    return end_delimiter(form, last);
}

/* --- into inputs -------------------------------------------------------------------------------------------------- */

static bool fill_input(const struct form *form, int input)
{
    int n_inputs;
    int64_t n = 0;
    const struct manifest_input *described = codec_parts_described(form->job, input);
    const char *name = served_own_inputs(form->job->served, &n_inputs)[input].name;
    struct percept_string *items = arena_array(form->job->arena, (size_t)form->n_parts + 1, sizeof *items);
    if (!items)
        return err_memory(form->err, "a form's parts", (size_t)form->n_parts * sizeof *items);
    for (int i = 0; i < form->n_parts; i++)
        if (form->parts[i].input == input)
            items[n++] = form->parts[i].content;
    return n ? codec_parts_fill(form->job, input, described, items, n, form->err)
             : err_set(form->err, ERR_INVALID, "the form has no part for input '%s'", name);
}

static bool fill_inputs(const struct form *form)
{
    int n;
    served_own_inputs(form->job->served, &n);
    if (!codec_begin(form->job, false, form->err))
        return false;
    for (int i = 0; i < n; i++)
        if (codec_is_needed(form->job, i) && !fill_input(form, i))
            return false;
    return true;
}

bool codec_multipart_decode(struct job *job, struct percept_err *err)
{
    struct form form = {.job = job, .at = job->body.at, .end = job->body.end, .err = err};
    bool last;
    job->predictions = true;
    if (!read_boundary(&form) || !begin(&form, &last))
        return false;
    while (!last)
        if (!read_part(&form, &last))
            return false;
    return fill_inputs(&form);
}
