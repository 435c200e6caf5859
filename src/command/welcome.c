/*
 * welcome.c - the first screen. Its examples work when they are pasted into a shell: a picture of
 * eight by eight pixels comes along in base64, text is text, and tensors are zeros that `yes` and
 * `head` spell out, however many there are. Models that fail are named with their reason, for that
 * is what somebody who has just started us wants to know.
 *
 * Thread: the loop's. Not for logs: nothing of this is printed when standard error is no terminal.
 */
#include "command/welcome.h"

#include <inttypes.h>
#include <stdio.h>

#include "command/command.h"
#include "serve/codec.h"
#include "serve/scan.h"

#define FREE_AXIS 24

/* A white "1" on black, one bit per pixel. */
static const char picture[] = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAIAQAAAADsdIMmAAAAFElEQVR42mNgYJBgsABiELRhYAAA"
                              "BlwA1TWxzs8AAAAASUVORK5CYII=";

void welcome_progress(struct catalog *catalog)
{
    int n = 0, done = 0;
    const char *name = "";
    for (struct served *served = catalog_first(catalog); served; served = served->next) {
        n++;
        done += served->state != SERVED_LOADING;
        if (served->state == SERVED_LOADING && !*name)
            name = served->name;
    }
    /* The cursor waits at the line's beginning, so that a line of the log takes this one's place.
     */
    fprintf(stderr, "\r\033[Kloading %d/%d  %.60s\r", done, n, name);
    fflush(stderr);
}

void welcome_progress_end(void)
{
    fputs("\033[K", stderr);
}

/* --- the list of models ------------------------------------------------------------------------------------------- */

static void add_model(struct text *text, const struct served *served)
{
    text_printf(text, "  %-20s", served->name);
    if (served->version != 1)
        text_printf(text, " version %" PRId64, served->version);
    if (served->state == SERVED_FAILED) {
        text_printf(text, " FAILED: %s\n", text_escaped(text->arena, served->reason));
        return;
    }
    if (!served->model) {
        text_add(text, " loading\n");
        return;
    }
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    for (int i = 0; i < n; i++) {
        char shape[200];
        command_shape_text(inputs[i].rank, inputs[i].dims, inputs[i].dim_names, shape, sizeof shape);
        text_printf(text, "%s %s %s%s", i ? "," : "", text_escaped(text->arena, inputs[i].name),
                    percept_dtype_name(inputs[i].dtype), text_escaped(text->arena, shape));
    }
    enum manifest_kind kind = codec_kind(served);
    text_printf(text, "%s  (%.1f ms)\n",
                kind == MANIFEST_IMAGE   ? ", or a picture"
                : kind == MANIFEST_AUDIO ? ", or a sound"
                : kind == MANIFEST_TEXT  ? ", or text"
                                         : "",
                served->load_ms);
}

/* --- things to try ------------------------------------------------------------------------------------------------ */

/* Zeros for the input; what cannot be written in JSON gives NULL. */
static const char *zero_of(enum percept_dtype dtype)
{
    switch (dtype) {
    case PERCEPT_STRING:
        return "\"a\"";
    case PERCEPT_BOOL:
        return "false";
    case PERCEPT_UNDEFINED:
    case PERCEPT_FLOAT16:
    case PERCEPT_BFLOAT16:
        return NULL;
    default:
        return "0";
    }
}

/* A name that a shell's single quotes and a JSON text take as it is. */
static bool is_plain(const char *name)
{
    for (; *name; name++)
        if (*name < ' ' || *name > '~' || strchr("'\"\\%", *name))
            return false;
    return true;
}

static bool can_be_shown(const struct served *served)
{
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    for (int i = 0; i < n; i++)
        if (!zero_of(inputs[i].dtype) || inputs[i].rank < 0 || !is_plain(inputs[i].name))
            return false;
    return n > 0;
}

static void add_input(struct text *text, const struct percept_io *io, bool first)
{
    int64_t count = 1;
    text_printf(text, "printf '%s{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[", first ? "{\"inputs\":[" : ",",
                io->name, codec_datatype(io->dtype));
    for (int d = 0; d < io->rank; d++) {
        int64_t dim = io->dims[d] >= 0 ? io->dims[d] : d ? FREE_AXIS : 1;
        count *= dim;
        text_printf(text, "%s%" PRId64, d ? "," : "", dim);
    }
    text_printf(text, "],\"data\":['; yes '%s' | head -n %" PRId64 " | paste -sd, -; printf ']}'; ", zero_of(io->dtype),
                count);
}

static void add_tensor_body(struct text *text, const struct served *served)
{
    int n;
    const struct percept_io *inputs = served_inputs(served, &n);
    text_add(text, "{ ");
    for (int i = 0; i < n; i++)
        add_input(text, &inputs[i], i == 0);
    text_add(text, "printf ']}'; } | curl -sw '\\n' --data-binary @-");
}

static void add_example(struct text *text, const struct served *served, enum manifest_kind kind,
                        const struct settings *settings, const char *url)
{
    text_add(text, "  ");
    if (kind == MANIFEST_IMAGE)
        text_printf(text, "echo %s | base64 -d | curl -sw '\\n' --data-binary @- -H 'Content-Type: image/png'",
                    picture);
    else if (kind == MANIFEST_AUDIO)
        text_printf(text,
                    "head -c 64000 /dev/zero | curl -sw '\\n' --data-binary @- -H 'Content-Type: audio/L16;rate=%d'",
                    served->manifest->inputs[0].audio.rate);
    else if (kind == MANIFEST_TEXT)
        text_add(text, "curl -sw '\\n' --data-binary 'hello' -H 'Content-Type: text/plain'");
    else
        add_tensor_body(text, served);
    if (settings->api_key_file)
        text_printf(text, " -H \"X-API-Key: $(grep -vm1 '^#' '%s')\"", settings->api_key_file);
    text_printf(text, " %s/v2/models/%s/infer\n", url, served->name);
}

static void add_examples(struct text *text, struct catalog *catalog, const struct settings *settings, const char *url)
{
    unsigned seen = 0;
    for (struct served *served = catalog_first(catalog); served; served = served->next) {
        if (served->state != SERVED_READY)
            continue;
        enum manifest_kind kind = codec_kind(served);
        if (seen & 1u << kind || (kind == MANIFEST_TENSOR && !can_be_shown(served)))
            continue;
        text_add(text, seen ? "" : "\nTry:\n");
        seen |= 1u << kind;
        add_example(text, served, kind, settings, url);
    }
}

void welcome_add(struct text *text, struct catalog *catalog, const struct settings *settings, const char *places,
                 const char *url)
{
    text_printf(text, "perceptd %s serves at %s  (%d worker%s, kernels %s)\n", percept_version(), places,
                settings->workers, settings->workers == 1 ? "" : "s",
                settings->level ? settings->level : percept_kernels()[0]);
    for (struct served *served = catalog_first(catalog); served; served = served->next)
        add_model(text, served);
    for (const struct omitted *at = catalog_omitted(catalog); at; at = at->next)
        text_printf(text, "  %-20s LEFT OUT: %s\n", text_escaped(text->arena, at->name),
                    text_escaped(text->arena, at->why));
    if (!catalog_first(catalog))
        text_add(text, "  no model yet\n");
    add_examples(text, catalog, settings, url);
    if (!settings->no_page && strncmp(url, "http", 4) == 0) /* browsers have no socket files */
        text_printf(text, "\nIn a browser: %s/\n", url);
    text_add(text, "\nStop with Ctrl-C.\n");
}
