/*
 * form.c - see form.h. What is printed for people has no control characters, whatever labels and names hold; what is
 * printed for programs is what the daemon would reply, with the file's name in front: a member of each JSON object, a
 * column of the CSV, whose head is there once.
 */
#include "command/form.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/file.h"
#include "serve/generate.h"

/* The first of a media type is what its files are called. */
static const struct {
    const char *extension, *media_type;
} rows[] = {
    {".png", "image/png"},  {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".svg", "image/svg+xml"},
    {".txt", "text/plain"}, {".csv", "text/csv"},   {".wav", "audio/wav"},   {".json", "application/json"},
};

#define N_ROWS (sizeof rows / sizeof *rows)

/* NULL: it has none, or one of no form. */
static const char *type_of_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < N_ROWS; i++)
        if (strcasecmp(dot, rows[i].extension) == 0)
            return rows[i].media_type;
    return NULL;
}

static const char *extension_of(const struct encoder *encoder)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].media_type, encoder->media_type) == 0)
            return rows[i].extension;
    return "";
}

/* --- texts that a model makes ------------------------------------------------------------------------------------- */

static struct bytes made(const struct job *job)
{
    const struct generation *generation = job->generation;
    return bytes_of(generation->n_text ? generation->text : "", generation->n_text);
}

static bool write_made(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct text text = {.arena = job->arena};
    (void)results;
    text_bytes(&text, made(job).at, bytes_size(made(job)));
    text_add(&text, "\n");
    job->reply = bytes_of(text.at, text.n_bytes);
    return !text.failed || err_memory(err, "a text", text.n_bytes);
}

static bool write_made_json(struct job *job, const struct percept_tensor *results, struct percept_err *err)
{
    struct text text = {.arena = job->arena};
    (void)results;
    text_add(&text, "{\"model_name\":");
    text_json(&text, job->served->name);
    text_add(&text, ",\"text_output\":");
    text_json_bytes(&text, made(job));
    text_printf(&text, ",\"finish_reason\":\"%s\"}\n", job->generation->finish == FINISH_STOP ? "stop" : "length");
    job->reply = bytes_of(text.at, text.n_bytes);
    return !text.failed || err_memory(err, "a text", text.n_bytes);
}

static const struct encoder made_forms[] = {
    {.name = "made", .media_type = "text/plain", .write = write_made},
    {.name = "made as JSON", .media_type = "application/json", .write = write_made_json},
};

/* --- which there are ---------------------------------------------------------------------------------------------- */

static const struct encoder *find(const struct served *served, const char *media_type)
{
    if (served->manifest->generate.given) {
        for (size_t i = 0; i < sizeof made_forms / sizeof *made_forms; i++)
            if (strcmp(made_forms[i].media_type, media_type) == 0)
                return &made_forms[i];
        return NULL;
    }
    return encoder_find(served, bytes_of_text(media_type));
}

/* --- the choice --------------------------------------------------------------------------------------------------- */

/* What the model's results can be, as names of files. */
static const char *list_of(const struct served *served, char *text, size_t n)
{
    size_t used = 0;
    for (size_t i = 0; i < N_ROWS && used < n; i++)
        if (find(served, rows[i].media_type))
            used += (size_t)snprintf(text + used, n - used, "%s%s", used ? ", " : "", rows[i].extension);
    return text;
}

static bool choose_type(struct form *form, const char *option, const char *type, const struct served *served,
                        struct percept_err *err)
{
    char list[120] = "";
    form->encoder = type ? find(served, type) : NULL;
    form->chosen = true;
    return form->encoder || err_set(err, ERR_CONFIG, "%s: results of model '%s' can be: %s", option, served->name,
                                    list_of(served, list, sizeof list));
}

/* What most want of this model. */
static void choose_default(struct form *form, const struct served *served)
{
    static const char *const types[] = {"image/png", "audio/wav", "text/plain", "application/json"};
    form->encoder = NULL;
    for (int i = form->output ? 0 : 2; i < 4 && !form->encoder; i++)
        form->encoder = find(served, types[i]);
}

bool form_choose(struct form *form, const struct options *options, const struct served *served, bool many,
                 struct percept_err *err)
{
    const char *output = options->output;
    const size_t n = output ? strlen(output) : 0;
    *form = (struct form){.output = output, .titled = many};
    form->folder = output && (many || file_is_folder(output) || output[n - 1] == '/');
    form->print = options->json ? FORM_JSON : options->csv ? FORM_CSV : FORM_LINES;
    if (options->json && options->csv)
        return err_set(err, ERR_CONFIG, "--json and --csv are two forms; choose one");
    if (form->folder && many && file_exists(output) && !file_is_folder(output))
        return err_set(err, ERR_CONFIG, "--output '%s': results of several files need a folder, and this is none",
                       output);
    if (options->json)
        return choose_type(form, "--json", "application/json", served, err);
    if (options->csv)
        return choose_type(form, "--csv", "text/csv", served, err);
    if (output && !form->folder)
        return choose_type(form, output, type_of_name(output), served, err);
    choose_default(form, served);
    return true;
}

static bool is_picture(const char *media_type)
{
    return strcmp(media_type, "image/png") == 0 || strcmp(media_type, "image/jpeg") == 0;
}

const struct encoder *form_of(const struct form *form, const struct served *served, const char *name)
{
    const char *type = type_of_name(name);
    if (form->chosen || !type || !is_picture(type) || !is_picture(form->encoder->media_type))
        return form->encoder;
    return find(served, type);
}

const char *form_path(const struct form *form, const struct encoder *encoder, const char *name, struct arena *arena)
{
    if (!form->folder)
        return form->output;
    const char *type = type_of_name(name);
    const bool own = type && is_picture(type) && strcmp(type, encoder->media_type) == 0;
    const char *whole = own ? name : arena_printf(arena, "%s%s", name, extension_of(encoder));
    return whole ? file_join(arena, form->output, whole) : NULL;
}

/* --- printing ----------------------------------------------------------------------------------------------------- */

/* Lines, each indented where the file's name stands above them. */
static void print_lines(struct text *text, const struct form *form, const char *path, struct bytes reply)
{
    if (form->titled) {
        text_visible(text, path);
        text_add(text, "\n");
    }
    while (reply.at < reply.end) {
        const uint8_t *end = memchr(reply.at, '\n', bytes_size(reply));
        const struct bytes line = {reply.at, end ? end : reply.end};
        const char *one = arena_text(text->arena, line.at, bytes_size(line));
        text_add(text, form->titled ? "  " : "");
        text_visible(text, one ? one : "");
        text_add(text, "\n");
        text->failed |= !one;
        reply.at = end ? end + 1 : reply.end;
    }
}

/* The end of a table's row, behind its CR LF: those within quotes are a cell's. */
static const uint8_t *row_end(struct bytes table)
{
    bool quoted = false;
    for (const uint8_t *at = table.at; at < table.end; at++) {
        quoted ^= *at == '"';
        if (*at == '\n' && !quoted)
            return at + 1;
    }
    return table.end;
}

static void add_cell(struct text *text, const char *value)
{
    text_add(text, "\"");
    for (const char *at = value; *at; at++)
        text_bytes(text, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    text_add(text, "\",");
}

static void print_table(struct text *text, const char *path, struct bytes table, bool first)
{
    const uint8_t *end = row_end(table);
    if (first) {
        text_add(text, "file,");
        text_bytes(text, table.at, (size_t)(end - table.at));
    }
    for (table.at = end; table.at < table.end; table.at = end) {
        end = row_end(table);
        add_cell(text, path);
        text_bytes(text, table.at, (size_t)(end - table.at));
    }
}

void form_print(struct text *text, const struct form *form, const char *path, struct bytes reply, bool first)
{
    if (form->print == FORM_CSV) {
        print_table(text, path, reply, first);
    } else if (form->print == FORM_JSON && bytes_size(reply)) {
        reply.end -= reply.end[-1] == '\n';
        text_add(text, "{\"file\":");
        text_json(text, path);
        text_add(text, ",");
        text_bytes(text, reply.at + 1, bytes_size(reply) - 1);
        text_add(text, "\n");
    } else {
        print_lines(text, form, path, reply);
    }
}

void form_print_failure(struct text *text, const struct form *form, const char *path, const struct percept_err *err)
{
    if (form->print != FORM_JSON)
        return;
    text_add(text, "{\"file\":");
    text_json(text, path);
    text_add(text, ",\"error\":");
    text_json(text, err->text);
    text_add(text, "}\n");
}
