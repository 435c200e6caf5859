/*
 * manifest.c - reads manifest.json, and knows its schema. The door to jansson for this layer.
 *
 * The rows of manifest.def say which keys there are, what they hold and where it goes. From them
 * come the tables that one small reader walks for every section, and the JSON Schema text, so the
 * two cannot drift. A key that is not in a row is refused, since a mistyped key would otherwise be
 * silently without effect; "$comment" is for people. Places are lists of stack structs and become text
 * only when something is wrong with them.
 *
 * fit.c compares with the model: a manifest that does not fit is found out at load, not by
 * the first request. What it cannot know (free dimensions) it lets pass.
 *
 * Threads: a loader's; a manifest is not changed afterwards. Files named in it are read from
 * beneath its folder only.
 */
#include "serve/manifest.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"
#include "serve/labels.h"
#include "serve/lines.h"
#include "serve/stages.h"
#include "serve/tokenizer.h"
#include "serve/tokenizer_files.h"
#include "serve/tokenizer_json.h"

#include <float.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "manifest.json"
#define FILE_MAX_BYTES ((size_t)1 << 20)
#define NOWHERE SIZE_MAX
#define VERSIONS_HIGHEST 999999999999999 /* that a double can tell from the next one */
#define VERSIONS_MOST 1000
#define LABELS_MOST 100
#define TOKENIZER_FILE_MOST ((size_t)64 << 20)
#define GENERATE_MOST 1024 /* tokens, where the manifest does not say */
#define SKIPPED_MOST 64

enum key_type { TEXT, WHOLE, LONG, FLOAT, REAL, FLAG, THREE, CHOICE, OWN };

struct key {
    const char *name;
    enum key_type type;
    size_t at; /* in the section's target */
    double low, high;
    const char *choices;
};

#define KEY(key, type, at, low, high, choices, sentence) {#key, type, at, low, high, choices},

static const struct key top_keys[] = {
#define TOP KEY
#include "serve/manifest.def"
    {0}};
static const struct key image_keys[] = {
#define IMAGE KEY
#include "serve/manifest.def"
    {0}};
static const struct key text_keys[] = {
#define TEXTS KEY
#include "serve/manifest.def"
    {0}};
static const struct key audio_keys[] = {
#define AUDIO KEY
#include "serve/manifest.def"
    {0}};
static const struct key tensor_keys[] = {
#define TENSOR KEY
#include "serve/manifest.def"
    {0}};
static const struct key constant_keys[] = {
#define CONSTANT KEY
#include "serve/manifest.def"
    {0}};
static const struct key task_keys[] = {
#define TASK KEY
#include "serve/manifest.def"
    {0}};
static const struct key batching_keys[] = {
#define BATCHING KEY
#include "serve/manifest.def"
    {0}};
static const struct key accuracy_keys[] = {
#define ACCURACY KEY
#include "serve/manifest.def"
    {0}};
static const struct key warmup_keys[] = {
#define WARMUP KEY
#include "serve/manifest.def"
    {0}};
static const struct key sequence_keys[] = {
#define SEQUENCE KEY
#include "serve/manifest.def"
    {0}};
static const struct key generate_keys[] = {
#define GENERATE KEY
#include "serve/manifest.def"
    {0}};
static const struct key encoder_keys[] = {
#define ENCODER KEY
#include "serve/manifest.def"
    {0}};
static const struct key stage_keys[] = {
#define STAGE KEY
#include "serve/manifest.def"
    {0}};
static const struct key state_keys[] = {
#define STATE KEY
#include "serve/manifest.def"
    {0}};
static const struct key control_keys[] = {
#define CONTROL KEY
#include "serve/manifest.def"
    {0}};

static const struct {
    const char *name;
    const struct key *keys;
} sections[] = {
    {"", top_keys},          {"image", image_keys},       {"text", text_keys},         {"audio", audio_keys},
    {"tensor", tensor_keys}, {"task", task_keys},         {"batching", batching_keys}, {"accuracy", accuracy_keys},
    {"warmup", warmup_keys}, {"sequence", sequence_keys}, {"generate", generate_keys}, {"encoder", encoder_keys},
    {"stage", stage_keys},   {"state", state_keys},       {"control", control_keys},   {"constant", constant_keys},
};

/* The schema: a comma, every row's opening, its sentence. "$comment", which every section may
 * have, is before the first. */
#define SCHEMA_TEXT(low, high, choices) "{\"type\":\"string\""
#define SCHEMA_FLAG(low, high, choices) "{\"type\":\"boolean\""
#define SCHEMA_WHOLE(low, high, choices) "{\"type\":\"integer\",\"minimum\":" #low ",\"maximum\":" #high
#define SCHEMA_LONG SCHEMA_WHOLE
#define SCHEMA_FLOAT(low, high, choices) "{\"type\":\"number\",\"minimum\":" #low ",\"maximum\":" #high
#define SCHEMA_REAL SCHEMA_FLOAT
#define SCHEMA_THREE(low, high, choices)                                                                               \
    "{\"type\":\"array\",\"items\":{\"type\":\"number\",\"minimum\":" #low ",\"maximum\":" #high choices               \
    "},\"oneOf\":[{\"minItems\":1,\"maxItems\":1},{\"minItems\":3,\"maxItems\":3}]"
#define SCHEMA_CHOICE(low, high, choices) "{\"type\":\"string\",\"pattern\":\"^(" choices ")$\""
#define SCHEMA_OWN(low, high, choices) choices

#define ROW(key, type, at, low, high, choices, sentence)                                                               \
    ",\n\"" #key "\":" SCHEMA_##type(low, high, choices) ",\"description\":\"" sentence "\"}"
#define CLOSED "{\"type\":\"object\",\"additionalProperties\":false,"
#define ANY "\"properties\":{\"$comment\":{\"type\":\"string\"}"

static const char schema_text[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\n"
    "\"title\":\"manifest.json of a model served by perceptd\",\n"
    "\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"manifest\"],\n" ANY
#define TOP ROW
#include "serve/manifest.def"
    "},\n\"$defs\":{\n\"image\":" CLOSED "\"required\":[\"kind\"]," ANY
#define IMAGE ROW
#include "serve/manifest.def"
    "}},\n\"text\":" CLOSED "\"required\":[\"kind\",\"max_length\"]," ANY
#define TEXTS ROW
#include "serve/manifest.def"
    "}},\n\"audio\":" CLOSED "\"required\":[\"kind\"]," ANY
#define AUDIO ROW
#include "serve/manifest.def"
    "}},\n\"tensor\":" CLOSED "\"required\":[\"kind\"]," ANY
#define TENSOR ROW
#include "serve/manifest.def"
    "}},\n\"constant\":" CLOSED "\"required\":[\"kind\"]," ANY
#define CONSTANT ROW
#include "serve/manifest.def"
    "}},\n\"task\":" CLOSED "\"required\":[\"kind\"]," ANY
#define TASK ROW
#include "serve/manifest.def"
    "}},\n\"batching\":" CLOSED ANY
#define BATCHING ROW
#include "serve/manifest.def"
    "}},\n\"accuracy\":" CLOSED ANY
#define ACCURACY ROW
#include "serve/manifest.def"
    "}},\n\"warmup\":" CLOSED ANY
#define WARMUP ROW
#include "serve/manifest.def"
    "}},\n\"sequence\":" CLOSED ANY
#define SEQUENCE ROW
#include "serve/manifest.def"
    "}},\n\"generate\":" CLOSED "\"required\":[\"input\",\"output\"]," ANY
#define GENERATE ROW
#include "serve/manifest.def"
    "}},\n\"encoder\":" CLOSED "\"required\":[\"inputs\"]," ANY
#define ENCODER ROW
#include "serve/manifest.def"
    "}},\n\"stage\":" CLOSED "\"required\":[\"model\",\"inputs\",\"outputs\"]," ANY
#define STAGE ROW
#include "serve/manifest.def"
    "}},\n\"state\":" CLOSED "\"required\":[\"input\",\"output\"]," ANY
#define STATE ROW
#include "serve/manifest.def"
    "}},\n\"control\":" CLOSED "\"required\":[\"input\",\"kind\"]," ANY
#define CONTROL ROW
#include "serve/manifest.def"
    "}}}}\n";

const char *manifest_schema(void)
{
    return schema_text;
}

#define N_SECTIONS ((int)(sizeof sections / sizeof *sections))

const char *manifest_section(int section)
{
    return section >= 0 && section < N_SECTIONS ? sections[section].name : NULL;
}

const char *manifest_key(int section, int key)
{
    if (!manifest_section(section) || key < 0)
        return NULL;
    const struct key *keys = sections[section].keys;
    for (int i = 0; i < key; i++)
        if (!keys[i].name)
            return NULL;
    return keys[key].name;
}

/* Where we are in the file; `index` of an array where key is NULL. */
struct place {
    const struct place *outer;
    const char *key;
    size_t index;
};

struct reader {
    const char *path; /* of the file */
    struct arena *arena;
    struct file_place place; /* of the manifest: its texts lie beneath */
    struct manifest *manifest;
    struct percept_err *err;
};

static void print_place(const struct place *place, char *text, size_t n_bytes)
{
    if (!place) {
        *text = '\0';
        return;
    }
    print_place(place->outer, text, n_bytes);
    size_t used = strlen(text);
    if (place->key)
        snprintf(text + used, n_bytes - used, "%s%s", used ? "." : "", place->key);
    else
        snprintf(text + used, n_bytes - used, "[%zu]", place->index);
}

static bool refuse(const struct reader *reader, const struct place *place, enum err_code code, const char *format, ...)
    __attribute__((cold, format(printf, 4, 5)));

static bool refuse(const struct reader *reader, const struct place *place, enum err_code code, const char *format, ...)
{
    char where[160], what[240];
    print_place(place, where, sizeof where);
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return err_set(reader->err, code, "%s: %s%s%s", reader->path, where, *where ? ": " : "", what);
}

#define WRONG(reader, place, ...) refuse(reader, place, ERR_CONFIG, __VA_ARGS__)

static bool later(const struct reader *reader, const struct place *place, const char *what)
{
    return refuse(reader, place, ERR_UNSUPPORTED, "'%s' is known but not served by this version of perceptd", what);
}

static char *copy(const struct reader *reader, json_t *value)
{
    char *text = arena_text(reader->arena, json_string_value(value), json_string_length(value));
    if (!text)
        err_memory(reader->err, "a manifest", json_string_length(value));
    return text;
}

static bool whole(const struct reader *reader, const struct place *place, json_t *value, double low, double high,
                  int64_t *number)
{
    if (!json_is_integer(value) || (double)json_integer_value(value) < low)
        return WRONG(reader, place, "expected a whole number of at least %.0f", low);
    if ((double)json_integer_value(value) > high)
        return WRONG(reader, place, "expected a whole number of at most %.0f", high);
    *number = json_integer_value(value);
    return true;
}

static bool real(const struct reader *reader, const struct place *place, json_t *value, double low, double high,
                 double *number)
{
    if (!json_is_number(value) || json_number_value(value) < low || json_number_value(value) > high)
        return WRONG(reader, place, "expected a number from %g to %g", low, high);
    *number = json_number_value(value);
    return true;
}

/* The index of a word among "a|b|c"; -1: none of them. */
static int choice_of(const char *choices, const char *word)
{
    size_t n = strlen(word);
    for (int i = 0;; i++) {
        size_t length = strcspn(choices, "|");
        if (n == length && memcmp(choices, word, n) == 0)
            return i;
        if (!choices[length])
            return -1;
        choices += length + 1;
    }
}

static bool choice(const struct reader *reader, const struct place *place, const struct key *key, json_t *value,
                   int *index)
{
    int i = json_is_string(value) ? choice_of(key->choices, json_string_value(value)) : -1;
    if (i < 0)
        return WRONG(reader, place, "expected one of %s", key->choices);
    if (i >= (int)key->high)
        return later(reader, place, json_string_value(value));
    *index = i;
    return true;
}

static bool three(const struct reader *reader, const struct place *place, const struct key *key, json_t *value,
                  float numbers[3])
{
    size_t n = json_is_array(value) ? json_array_size(value) : 0;
    if (n != 1 && n != 3)
        return WRONG(reader, place, "expected an array of one number or three");
    for (size_t i = 0; i < 3; i++) {
        const struct place inner = {.outer = place, .index = i < n ? i : 0};
        double number;
        if (!real(reader, &inner, json_array_get(value, inner.index), key->low, key->high, &number))
            return false;
        numbers[i] = (float)number;
    }
    return true;
}

static void store(const struct key *key, void *target, const void *value, size_t n_bytes)
{
    if (key->at != NOWHERE)
        memcpy((char *)target + key->at, value, n_bytes);
}

static bool read_number(const struct reader *reader, const struct place *place, const struct key *key, json_t *value,
                        void *target)
{
    if (key->type == WHOLE || key->type == LONG) {
        int64_t number;
        if (!whole(reader, place, value, key->low, key->high, &number))
            return false;
        const int small = (int)number;
        if (key->type == LONG)
            store(key, target, &number, sizeof number);
        else
            store(key, target, &small, sizeof small);
        return true;
    }
    double number;
    if (!real(reader, place, value, key->low, key->high, &number))
        return false;
    const float single = (float)number;
    if (key->type == REAL)
        store(key, target, &number, sizeof number);
    else
        store(key, target, &single, sizeof single);
    return true;
}

static bool read_value(const struct reader *reader, const struct place *place, const struct key *key, json_t *value,
                       void *target)
{
    switch (key->type) {
    case TEXT: {
        if (!json_is_string(value))
            return WRONG(reader, place, "expected a string");
        const char *text = copy(reader, value);
        store(key, target, &text, sizeof text);
        return text != NULL;
    }
    case FLAG: {
        if (!json_is_boolean(value))
            return WRONG(reader, place, "expected true or false");
        const bool flag = json_is_true(value);
        store(key, target, &flag, sizeof flag);
        return true;
    }
    case CHOICE: {
        int index;
        if (!choice(reader, place, key, value, &index))
            return false;
        store(key, target, &index, sizeof index);
        return true;
    }
    case THREE: {
        float numbers[3];
        if (!three(reader, place, key, value, numbers))
            return false;
        store(key, target, numbers, sizeof numbers);
        return true;
    }
    default:
        return read_number(reader, place, key, value, target);
    }
}

static bool unknown_key(const struct reader *reader, const struct place *place, const struct key *keys)
{
    char known[200] = "";
    for (size_t used = 0; keys->name && used + strlen(keys->name) + 3 < sizeof known; keys++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", keys->name);
    return WRONG(reader, place, "unknown key; known are %s", known);
}

/* Reads the value of a key whose row says OWN. */
typedef bool read_own(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target);

static bool read_section(struct reader *reader, const struct place *outer, const struct key *keys, json_t *object,
                         void *target, read_own *own)
{
    if (!json_is_object(object))
        return WRONG(reader, outer, "expected an object");
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        const struct place place = {.outer = outer, .key = name};
        if (strcmp(name, "$comment") == 0 && json_is_string(value))
            continue;
        const struct key *key = keys;
        while (key->name && strcmp(key->name, name) != 0)
            key++;
        if (!key->name)
            return unknown_key(reader, &place, keys);
        bool ok = key->type == OWN ? own(reader, &place, name, value, target)
                                   : read_value(reader, &place, key, value, target);
        if (!ok)
            return false;
    }
    return true;
}

/* The lines of a file beside the manifest; -1 on failure. */
static int read_lines(struct reader *reader, const struct place *place, json_t *value, const char *const **list)
{
    int n = lines_read(&reader->place, json_string_value(value), reader->arena, list, reader->err);
    if (n < 0) {
        char where[160];
        print_place(place, where, sizeof where);
        err_prefix(reader->err, "%s: %s: ", reader->path, where);
    }
    return n;
}

/* inputs.NAME */

static int by_token(const void *a, const void *b, void *tokens)
{
    const char *const *list = tokens;
    int i = *(const int *)a, j = *(const int *)b;
    int order = strcmp(list[i], list[j]);
    return order ? order : (i > j) - (i < j);
}

#define TOKENS_MOST (1 << 24)

/* {"token": id, ...}, where each id below their number is there once; or ["token", ...]. */
static int read_tokens(struct reader *reader, const struct place *place, json_t *root, const char *const **list)
{
    const size_t n = json_is_array(root) ? json_array_size(root) : json_object_size(root);
    if (n > TOKENS_MOST || (!json_is_array(root) && !json_is_object(root)))
        return WRONG(reader, place, "the file must have a list of tokens, or an object of tokens with their ids") - 1;
    const char **tokens = arena_array(reader->arena, n + 1, sizeof *tokens);
    if (!tokens)
        return err_memory(reader->err, "a vocabulary", n * sizeof *tokens) - 1;
    const char *token;
    json_t *id;
    for (size_t i = 0; i < n && json_is_array(root); i++) {
        if (!json_is_string(json_array_get(root, i)))
            return WRONG(reader, place, "token %zu is no string", i) - 1;
        tokens[i] = copy(reader, json_array_get(root, i));
    }
    json_object_foreach(root, token, id)
    {
        const json_int_t at = json_is_integer(id) ? json_integer_value(id) : -1;
        if (at < 0 || (size_t)at >= n || tokens[at])
            return WRONG(reader, place, "the id of token '%.40s' is not one of 0 to %zu, each once", token, n - 1) - 1;
        tokens[at] = arena_text(reader->arena, token, strlen(token));
    }
    for (size_t i = 0; i < n; i++)
        if (!tokens[i])
            return err_memory(reader->err, "a vocabulary", n * sizeof *tokens) - 1;
    *list = tokens;
    return (int)n;
}

static int read_json(struct reader *reader, const struct place *place, json_t *value, const char *const **list)
{
    struct bytes text;
    json_error_t error;
    if (!file_read_beneath(&reader->place, json_string_value(value), 0, SIZE_MAX, reader->arena, &text, NULL,
                           reader->err))
        return err_prefix(reader->err, "%s: ", reader->path) - 1;
    json_t *root = json_loadb((const char *)text.at, bytes_size(text), JSON_REJECT_DUPLICATES, &error);
    const int n =
        root ? read_tokens(reader, place, root, list)
             : WRONG(reader, place, "'%.80s', line %d: %.120s", json_string_value(value), error.line, error.text) - 1;
    json_decref(root);
    return n;
}

static bool is_json(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".json") == 0;
}

static bool read_vocabulary(struct reader *reader, const struct place *place, json_t *value, struct manifest_text *text)
{
    if (!json_is_string(value) && !json_is_array(value))
        return WRONG(reader, place, "expected an array of tokens, or the name of a file");
    text->n_tokens = json_is_array(value)                ? read_tokens(reader, place, value, &text->tokens)
                     : is_json(json_string_value(value)) ? read_json(reader, place, value, &text->tokens)
                                                         : read_lines(reader, place, value, &text->tokens);
    if (text->n_tokens < 0)
        return false;
    if (!text->n_tokens)
        return WRONG(reader, place, "'%s' is empty", json_is_string(value) ? json_string_value(value) : "vocabulary");
    int *sorted = arena_array(reader->arena, (size_t)text->n_tokens, sizeof *sorted);
    if (!sorted)
        return err_memory(reader->err, "a vocabulary", (size_t)text->n_tokens * sizeof *sorted);
    for (int i = 0; i < text->n_tokens; i++)
        sorted[i] = i;
    qsort_r(sorted, (size_t)text->n_tokens, sizeof *sorted, by_token, (void *)text->tokens);
    text->sorted = sorted;
    return true;
}

#define SIDE_MAX 16384

/* [height, width] */
static bool read_sides(const struct reader *reader, const struct place *place, json_t *value, int *height, int *width)
{
    int *const sides[] = {height, width};
    for (size_t i = 0; i < 2; i++) {
        const struct place inner = {.outer = place, .index = i};
        int64_t side;
        if (!whole(reader, &inner, json_array_get(value, i), 1, SIDE_MAX, &side))
            return false;
        *sides[i] = (int)side;
    }
    return true;
}

static bool is_word(json_t *value, const char *word)
{
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

static bool read_size(const struct reader *reader, const struct place *place, json_t *value,
                      struct manifest_image *image)
{
    const struct place first = {.outer = place, .index = 0};
    int64_t height;
    image->width = image->height = 0;
    if (is_word(value, "picture"))
        return true;
    if (!json_is_array(value) || json_array_size(value) != 2)
        return WRONG(reader, place, "expected [height, width] or \"picture\"");
    if (!is_word(json_array_get(value, 1), "aspect"))
        return read_sides(reader, place, value, &image->height, &image->width);
    if (!whole(reader, &first, json_array_get(value, 0), 1, SIDE_MAX, &height))
        return false;
    image->height = (int)height;
    return true;
}

/* What the picture is resized to before the cut: its shorter side, or [height, width]. */
static bool read_resize_size(const struct reader *reader, const struct place *place, json_t *value,
                             struct manifest_image *image)
{
    int64_t shorter;
    if (json_is_array(value) && json_array_size(value) == 2)
        return read_sides(reader, place, value, &image->resize_height, &image->resize_width);
    if (!json_is_integer(value))
        return WRONG(reader, place, "expected the shorter side or [height, width]");
    if (!whole(reader, place, value, 1, SIDE_MAX, &shorter))
        return false;
    image->resize_height = (int)shorter;
    image->resize_width = 0;
    return true;
}

static bool read_fill(const struct reader *reader, const struct place *place, json_t *value,
                      struct manifest_image *image)
{
    if (!json_is_number(value) && !(json_is_array(value) && json_array_size(value) == 3))
        return WRONG(reader, place, "expected a number from 0 to 255 or an array of three");
    for (size_t i = 0; i < 3; i++) {
        const struct place inner = {.outer = place, .index = i};
        bool one = json_is_number(value);
        double level;
        if (!real(reader, one ? place : &inner, one ? value : json_array_get(value, i), 0, 255, &level))
            return false;
        image->fill[i] = (float)level;
    }
    return true;
}

static bool read_constant(const struct reader *reader, const struct place *place, json_t *value,
                          struct manifest_constant *constant)
{
    const bool one = json_is_number(value);
    size_t n = one ? 1 : json_is_array(value) ? json_array_size(value) : 0;
    if (n < 1 || n > MANIFEST_VALUES_MAX)
        return WRONG(reader, place, "expected a number or an array of 1 to %d", MANIFEST_VALUES_MAX);
    double *values = arena_array(reader->arena, n, sizeof *values);
    if (!values)
        return err_memory(reader->err, "a constant", n * sizeof *values);
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = i};
        json_t *number = one ? value : json_array_get(value, i);
        if (!real(reader, one ? place : &inner, number, -1e300, 1e300, &values[i]))
            return false;
    }
    constant->values = values;
    constant->n_values = (int)n;
    return true;
}

static bool own_of_input(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target)
{
    struct manifest_input *input = target;
    if (strcmp(key, "size") == 0)
        return read_size(reader, place, value, &input->image);
    if (strcmp(key, "resize_size") == 0)
        return read_resize_size(reader, place, value, &input->image);
    if (strcmp(key, "fill") == 0)
        return read_fill(reader, place, value, &input->image);
    if (strcmp(key, "values") == 0)
        return read_constant(reader, place, value, &input->constant);
    if (strcmp(key, "vocabulary") == 0)
        return read_vocabulary(reader, place, value, &input->text);
    return true; /* kind: it was read first */
}

/* The step before a cut: what is cut out must be in it. */
static bool check_resize_size(const struct reader *reader, const struct place *place,
                              const struct manifest_image *image)
{
    const struct place at = {.outer = place, .key = "resize_size"};
    int height = image->resize_height, width = image->resize_width ? image->resize_width : height;
    if (!height)
        return true;
    if (image->resize != RESIZE_CROP || !image->width)
        return WRONG(reader, &at, "is for 'resize' crop and a 'size' of two numbers");
    return (height >= image->height && width >= image->width) ||
           WRONG(reader, &at, "must be at least 'size', which is cut out of it");
}

/* Keys that are about sides which the picture decides. */
static bool check_sides(const struct reader *reader, const struct place *place, const struct manifest_image *image)
{
    const struct place min = {.outer = place, .key = "min_width"}, max = {.outer = place, .key = "max_width"};
    const struct place multiple = {.outer = place, .key = "multiple_of"};
    bool by_aspect = image->height && !image->width;
    if (image->width && image->multiple_of > 1)
        return WRONG(reader, &multiple, "is for sides that the picture decides, and 'size' fixes both");
    if (!by_aspect && (image->min_width > 1 || image->max_width < SIDE_MAX))
        return WRONG(reader, image->min_width > 1 ? &min : &max, "is for a 'size' of [height, \"aspect\"]");
    if (image->min_width > image->max_width)
        return WRONG(reader, &min, "must be at most 'max_width'");
    if (by_aspect && image->max_width < SIDE_MAX && image->max_width % image->multiple_of)
        return WRONG(reader, &max, "must be a multiple of 'multiple_of'");
    return true;
}

static bool check_resizing(const struct reader *reader, const struct place *place, const struct manifest_image *image)
{
    const struct place enlarge = {.outer = place, .key = "enlarge"}, at = {.outer = place, .key = "placement"};
    const struct place antialias = {.outer = place, .key = "antialias"};
    if (!image->enlarge && image->resize != RESIZE_LETTERBOX)
        return WRONG(reader, &enlarge, "is for 'resize' letterbox");
    if (image->placement != PLACEMENT_CENTER && image->resize != RESIZE_LETTERBOX)
        return WRONG(reader, &at, "is for 'resize' letterbox");
    if (!image->antialias && (image->filter == FILTER_LANCZOS || image->filter == FILTER_AREA))
        return WRONG(reader, &antialias, "must be true for 'filter' lanczos and area");
    return check_resize_size(reader, place, image) && check_sides(reader, place, image);
}

static bool check_image(const struct reader *reader, const struct place *place, const struct manifest_image *image)
{
    const struct place std = {.outer = place, .key = "std"};
    const struct place ink = {.outer = place, .key = "ink"};
    const struct place ink_box = {.outer = place, .key = "ink_box"};
    for (int i = 0; i < 3; i++)
        if (image->std[i] == 0)
            return WRONG(reader, &std, "it divides, so it must not be 0");
    int least = image->width < image->height ? image->width : image->height;
    if (image->ink_box > least)
        return WRONG(reader, &ink_box, "it must fit in 'size', and needs one");
    if (image->ink != INK_AS_IS && image->channels != CHANNELS_GRAY)
        return WRONG(reader, &ink, "is for pictures whose 'channels' are gray");
    if (image->ink_box && image->channels != CHANNELS_GRAY)
        return WRONG(reader, &ink_box, "is for pictures whose 'channels' are gray");
    if (image->ink_box && image->ink == INK_AS_IS)
        return WRONG(reader, &ink_box, "needs 'ink', the strokes that the network expects: light or dark");
    return check_resizing(reader, place, image);
}

/* What tokenizer.json says; `start` and `end` of the manifest come before its own. */
static bool read_tokenizer_json(struct reader *reader, const struct place *place, struct manifest_text *text)
{
    const struct place here = {.outer = place, .key = "tokenizer_json"};
    struct percept_err err;
    struct bytes file;
    if (text->n_tokens || text->merges_file || text->tokenizer != TOKENIZER_WORDS || text->lowercase ||
        text->normalize != UNICODE_AS_IS || text->unknown >= 0)
        return WRONG(reader, &here,
                     "it says all of tokenizer, vocabulary, merges, normalize, lowercase and unknown, so these are "
                     "left out");
    if (!file_read_beneath(&reader->place, text->tokenizer_json, 0, SIZE_MAX, reader->arena, &file, NULL, reader->err))
        return err_prefix(reader->err, "%s: ", reader->path);
    if (bytes_size(file) > TOKENIZER_FILE_MOST)
        return WRONG(reader, &here, "the file has more than %zu MiB", TOKENIZER_FILE_MOST >> 20);
    text->model = tokenizer_json_read(file, reader->arena, &err);
    if (!text->model) {
        if (err.code != ERR_UNSUPPORTED)
            err_config(&err); /* what a body would be INVALID for */
        return refuse(reader, &here, (enum err_code)err.code, "%s", err.text);
    }
    text->start = text->start < 0 ? tokenizer_start(text->model) : text->start;
    text->end = text->end < 0 ? tokenizer_end(text->model) : text->end;
    return true;
}

/* What wordpiece and bpe make of their files, and normal forms need. */
static bool complete_text(struct reader *reader, const struct place *place, struct manifest_text *text)
{
    const bool bpe = text->tokenizer == TOKENIZER_BPE;
    const struct place merges = {.outer = place, .key = "merges"};
    struct percept_err err;
    if (text->tokenizer_json)
        return read_tokenizer_json(reader, place, text);
    if (bpe != (text->merges_file != NULL))
        return WRONG(reader, &merges, "belongs to the tokenizer bpe, which needs it");
    if (text->normalize != UNICODE_AS_IS && !unicode_open(&err))
        return refuse(reader, place, (enum err_code)err.code, "%s", err.text);
    if (!bpe && text->tokenizer != TOKENIZER_WORDPIECE)
        return true;
    if (!text->n_tokens)
        return WRONG(reader, place, "this tokenizer needs a vocabulary");
    const struct tokenizer_files files = {text->tokens,    text->n_tokens,  text->unknown,
                                          text->lowercase, text->normalize, text->merges_file};
    text->model = bpe ? tokenizer_files_bpe(&files, &reader->place, reader->arena, &err)
                      : tokenizer_files_wordpiece(&files, reader->arena, &err);
    return text->model || refuse(reader, place, (enum err_code)err.code, "%s", err.text);
}

static bool check_text(struct reader *reader, const struct place *place, struct manifest_text *text)
{
    static const char *const names[] = {"pad", "unknown", "start", "end"};
    if (!complete_text(reader, place, text))
        return false;
    const int64_t ids[] = {text->pad, text->unknown, text->start, text->end};
    const int64_t n_ids = text->model                                             ? tokenizer_size(text->model)
                          : text->tokenizer == TOKENIZER_BYTES && !text->n_tokens ? INT64_MAX
                                                                                  : text->n_tokens;
    if (!n_ids)
        return WRONG(reader, place, "this tokenizer needs a vocabulary");
    if (!text->max_length)
        return WRONG(reader, place, "max_length is missing");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= n_ids)
            return WRONG(reader, place, "%s is %" PRId64 ", but the vocabulary has %" PRId64 " tokens", names[i],
                         ids[i], n_ids);
    if ((text->margin || text->multiple_of > 1) && text->pad < 0)
        return WRONG(reader, place, "margin and multiple_of need 'pad', the id that they are made of");
    if ((text->start >= 0) + (text->end >= 0) + 2 * text->margin >= text->max_length)
        return WRONG(reader, place, "max_length leaves no room for the text");
    return true;
}

/* Which settings of features mean something for which kinds of them (1 << kind). */
#define ALL_FEATURES (1 << FEATURES_LOG_MEL | 1 << FEATURES_MFCC | 1 << FEATURES_FBANK | 1 << FEATURES_KALDI_MFCC)
#define CEPSTRA (1 << FEATURES_MFCC | 1 << FEATURES_KALDI_MFCC)
#define LIBROSAS (1 << FEATURES_LOG_MEL | 1 << FEATURES_MFCC)
#define KALDIS (1 << FEATURES_FBANK | 1 << FEATURES_KALDI_MFCC)

static bool check_feature_keys(const struct reader *reader, const struct place *place, json_t *object, int kind)
{
    static const struct {
        const char *key;
        int kinds;
    } rows[] = {{"n_fft", ALL_FEATURES},       {"win_length", ALL_FEATURES},  {"hop_length", ALL_FEATURES},
                {"n_mels", ALL_FEATURES},      {"n_mfcc", CEPSTRA},           {"fmin", ALL_FEATURES},
                {"fmax", ALL_FEATURES},        {"mel_scale", LIBROSAS},       {"norm", LIBROSAS},
                {"power", ALL_FEATURES},       {"window_type", ALL_FEATURES}, {"log", ALL_FEATURES},
                {"log_guard", ALL_FEATURES},   {"floor", ALL_FEATURES},       {"top_db", ALL_FEATURES},
                {"preemphasis", ALL_FEATURES}, {"center", LIBROSAS},          {"pad_mode", LIBROSAS},
                {"snip_edges", KALDIS},        {"lifter", CEPSTRA},           {"mean", ALL_FEATURES},
                {"std", ALL_FEATURES}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct place inner = {.outer = place, .key = rows[i].key};
        if (json_object_get(object, rows[i].key) && !(rows[i].kinds >> kind & 1))
            return WRONG(reader, &inner, "means nothing for these 'features'");
    }
    return true;
}

const char *manifest_audio_letters(enum manifest_audio_layout layout)
{
    static const char *const letters[] = {"NT", "NCT", "NTC", "NTF", "NFT", "NCTF", "NCFT", "NTFC"};
    return letters[layout];
}

static bool check_audio(const struct reader *reader, const struct place *place, json_t *object,
                        struct manifest_audio *audio)
{
    const struct place layout = {.outer = place, .key = "layout"};
    const bool features = audio->features.kind != FEATURES_NONE;
    struct percept_err err = {0};
    if (!audio->rate)
        return WRONG(reader, place, "rate is missing: how many samples a second does the network take?");
    if (!audio->window && (audio->hop || audio->context || audio->pad))
        return WRONG(reader, place, "hop, context and pad need a window");
    audio->hop = audio->hop ? audio->hop : audio->window;
    audio->features.rate = audio->rate;
    if (!check_feature_keys(reader, place, object, (int)audio->features.kind))
        return false;
    if (features && !features_complete(&audio->features, &err))
        return WRONG(reader, place, "%s", err.text);
    if (features && audio->window && !features_frames(&audio->features, audio->window + audio->context))
        return WRONG(reader, place, "a window of %d samples is too short for a frame", audio->window);
    if (audio->normalize == NORMALIZE_FEATURES && !features)
        return WRONG(reader, place, "normalize is of features, and there are none");
    if (audio->layout == AUDIO_LAYOUT_UNSAID)
        audio->layout = features ? AUDIO_NTF : AUDIO_NT;
    if (features != (strchr(manifest_audio_letters(audio->layout), 'F') != NULL))
        return WRONG(reader, &layout, features ? "it needs an F, where the features lie" : "F is for features");
    return true;
}

/* Their defaults come before the other settings are read. */
static bool begin_audio(const struct reader *reader, const struct place *place, json_t *object,
                        struct manifest_audio *audio)
{
    const struct place features = {.outer = place, .key = "features"};
    const struct key *key = audio_keys;
    json_t *word = json_object_get(object, "features");
    int kind = FEATURES_NONE;
    while (strcmp(key->name, "features") != 0)
        key++;
    if (word && !choice(reader, &features, key, word, &kind))
        return false;
    *audio = (struct manifest_audio){.range = 1, .std = 1, .layout = AUDIO_LAYOUT_UNSAID};
    if (kind != FEATURES_NONE)
        features_defaults(&audio->features, (enum features_kind)kind, 0);
    return true;
}

static const struct key kind_key = {"kind", CHOICE, NOWHERE, 0, 5, "tensor|image|text|audio|constant"};

static bool read_input(struct reader *reader, const struct place *place, json_t *value, struct manifest_input *input)
{
    *input = (struct manifest_input){.name = arena_text(reader->arena, place->key, strlen(place->key)),
                                     .image = {.min_width = 1,
                                               .max_width = SIDE_MAX,
                                               .multiple_of = 1,
                                               .enlarge = true,
                                               .antialias = true,
                                               .scale = 1,
                                               .std = {1, 1, 1}},
                                     .text = {.unknown = -1, .pad = -1, .start = -1, .end = -1}};
    if (!input->name)
        return err_memory(reader->err, "a manifest", strlen(place->key));
    if (!json_is_object(value))
        return WRONG(reader, place, "expected an object");
    const struct place kind_place = {.outer = place, .key = "kind"};
    int kind;
    if (!choice(reader, &kind_place, &kind_key, json_object_get(value, "kind"), &kind))
        return false;
    input->kind = (enum manifest_kind)kind;
    static const struct key *const keys[] = {tensor_keys, image_keys, text_keys, audio_keys, constant_keys};
    if (input->kind == MANIFEST_AUDIO && !begin_audio(reader, place, value, &input->audio))
        return false;
    if (!read_section(reader, place, keys[kind], value, input, own_of_input))
        return false;
    if (input->kind == MANIFEST_AUDIO)
        return check_audio(reader, place, value, &input->audio);
    if (input->kind == MANIFEST_CONSTANT)
        return (input->constant.fact != FACT_NONE) + (input->constant.tokens != TOKENS_NONE) +
                       (input->constant.n_values > 0) ==
                   1 ||
               WRONG(reader, place, "a constant has either 'values', 'picture' or 'text'");
    if (input->kind == MANIFEST_IMAGE)
        return check_image(reader, place, &input->image);
    return input->kind != MANIFEST_TEXT || check_text(reader, place, &input->text);
}

static bool read_inputs(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest *manifest = reader->manifest;
    if (!json_is_object(value))
        return WRONG(reader, place, "expected an object");
    size_t n = json_object_size(value);
    manifest->inputs = arena_array(reader->arena, n, sizeof *manifest->inputs);
    if (!manifest->inputs)
        return err_memory(reader->err, "a manifest", n * sizeof *manifest->inputs);
    const char *name;
    json_t *input;
    json_object_foreach(value, name, input)
    {
        const struct place inner = {.outer = place, .key = name};
        if (!read_input(reader, &inner, input, &manifest->inputs[manifest->n_inputs]))
            return false;
        manifest->n_inputs++;
    }
    return true;
}

/* The other sections */

static bool read_label(struct reader *reader, const struct place *place, json_t *value, const char **label)
{
    *label = json_is_string(value) ? copy(reader, value) : NULL;
    return json_is_string(value) ? *label != NULL : WRONG(reader, place, "expected a string");
}

/* "17" -> 17; -1: it is no class's number. */
static int class_of(const char *text)
{
    size_t n = strlen(text);
    if (n < 1 || n > 6 || strspn(text, "0123456789") != n || (n > 1 && text[0] == '0'))
        return -1;
    return (int)strtol(text, NULL, 10);
}

/* {"1": "person", "13": "stop sign"} */
static bool read_labels_by_class(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest *manifest = reader->manifest;
    const char *name;
    json_t *label;
    int n = 0;
    json_object_foreach(value, name, label)
    {
        const struct place inner = {.outer = place, .key = name};
        int number = class_of(name);
        if (number < 0)
            return WRONG(reader, &inner, "expected a class's number, 0 to 999999");
        n = number >= n ? number + 1 : n;
    }
    const char **labels = arena_array(reader->arena, (size_t)n + 1, sizeof *labels);
    if (!labels)
        return err_memory(reader->err, "labels", (size_t)n * sizeof *labels);
    json_object_foreach(value, name, label)
    {
        const struct place inner = {.outer = place, .key = name};
        if (!read_label(reader, &inner, label, &labels[class_of(name)]))
            return false;
    }
    manifest->labels = labels;
    manifest->n_labels = n;
    manifest->labels_have_gaps = true;
    return true;
}

static bool read_labels(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest *manifest = reader->manifest;
    if (json_is_object(value))
        return read_labels_by_class(reader, place, value);
    if (json_is_string(value)) {
        int n = read_lines(reader, place, value, &manifest->labels);
        manifest->n_labels = n < 0 ? 0 : n;
        return n >= 0;
    }
    if (!json_is_array(value))
        return WRONG(reader, place, "expected an array of names, an object of them by class, or the name of a file");
    size_t n = json_array_size(value);
    const char **labels = arena_array(reader->arena, n, sizeof *labels);
    if (!labels)
        return err_memory(reader->err, "labels", n * sizeof *labels);
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = i};
        if (!read_label(reader, &inner, json_array_get(value, i), &labels[i]))
            return false;
    }
    manifest->labels = labels;
    manifest->n_labels = (int)n;
    return true;
}

static bool own_of_warmup(struct reader *reader, const struct place *place, const char *key, json_t *value,
                          void *target)
{
    (void)key;
    struct manifest *manifest = target;
    size_t n = json_is_array(value) ? json_array_size(value) : SIZE_MAX;
    if (n > MANIFEST_WARMUP_MAX)
        return WRONG(reader, place, "expected an array of at most %d batch sizes", MANIFEST_WARMUP_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = i};
        int64_t size;
        if (!whole(reader, &inner, json_array_get(value, i), 1, 4096, &size))
            return false;
        manifest->warmup[i] = (int)size;
    }
    manifest->n_warmup = (int)n;
    return true;
}

/* --- texts that go on --------------------------------------------------------------------------------------------- */

static bool read_feeds(struct reader *reader, const struct place *place, json_t *value,
                       struct manifest_encoder *encoder)
{
    const size_t n = json_is_object(value) ? json_object_size(value) : SIZE_MAX;
    const char *input;
    json_t *from;
    if (n > MANIFEST_STATES_MAX)
        return WRONG(reader, place, "expected an object of at most %d names", MANIFEST_STATES_MAX);
    encoder->feeds = arena_array(reader->arena, n + 1, sizeof *encoder->feeds);
    if (!encoder->feeds)
        return err_memory(reader->err, "what feeds a model", n * sizeof *encoder->feeds);
    json_object_foreach(value, input, from)
    {
        const struct place inner = {.outer = place, .key = input};
        struct manifest_feed *feed = &encoder->feeds[encoder->n_feeds++];
        if (!json_is_string(from))
            return WRONG(reader, &inner, "expected the name of an output");
        feed->input = arena_text(reader->arena, input, strlen(input));
        feed->from = copy(reader, from);
        if (!feed->input || !feed->from)
            return err_memory(reader->err, "what feeds a model", strlen(input));
    }
    return true;
}

/* Inputs of another network, which has a manifest of its own for them. */
static bool own_of_encoder(struct reader *reader, const struct place *place, const char *key, json_t *value,
                           void *target)
{
    struct manifest_encoder *encoder = target;
    if (strcmp(key, "feeds") == 0)
        return read_feeds(reader, place, value, encoder);
    struct reader own = *reader;
    own.manifest = encoder->manifest;
    if (!read_inputs(&own, place, value))
        return false;
    for (int i = 0; i < encoder->manifest->n_inputs; i++)
        encoder->manifest->inputs[i].text.whole = true;
    return true;
}

static bool own_of_generate(struct reader *reader, const struct place *place, const char *key, json_t *value,
                            void *target)
{
    struct manifest_generate *generate = target;
    (void)key;
    struct manifest_encoder *encoder = generate->encoder = arena_alloc(reader->arena, sizeof *encoder);
    if (!encoder)
        return err_memory(reader->err, "a manifest", sizeof *encoder);
    encoder->file = "encoder.onnx";
    encoder->manifest = manifest_new(reader->arena, reader->err);
    if (!encoder->manifest || !read_section(reader, place, encoder_keys, value, encoder, own_of_encoder))
        return false;
    const struct place file = {.outer = place, .key = "file"};
    if (!*encoder->file || strchr(encoder->file, '/'))
        return WRONG(reader, &file, "expected the name of a file in the folder of the model's");
    return encoder->manifest->n_inputs || WRONG(reader, place, "'inputs' is needed, with the text");
}

/* --- sequences ---------------------------------------------------------------------------------------------------- */

static bool own_of_state(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target)
{
    struct manifest_state *state = target;
    (void)key;
    if (!json_is_string(value))
        return WRONG(reader, place, "expected the name of a file beside the manifest");
    struct bytes *initial = arena_alloc(reader->arena, sizeof *initial);
    if (!initial)
        return err_memory(reader->err, "a state", sizeof *initial);
    state->initial = initial;
    return file_read_beneath(&reader->place, json_string_value(value), 0, SIZE_MAX, reader->arena, initial, NULL,
                             reader->err);
}

/* Room for an array's elements; their number, or -1. */
static int reserve(struct reader *reader, const struct place *place, json_t *value, size_t size, void **list)
{
    const size_t n = json_is_array(value) ? json_array_size(value) : SIZE_MAX;
    if (n > MANIFEST_STATES_MAX) {
        WRONG(reader, place, "expected an array of at most %d objects", MANIFEST_STATES_MAX);
        return -1;
    }
    *list = arena_array(reader->arena, n + 1, size);
    if (!*list)
        err_memory(reader->err, "a sequence", n * size);
    return *list ? (int)n : -1;
}

static bool read_states(struct reader *reader, const struct place *place, json_t *value,
                        struct manifest_sequence *sequence)
{
    void *list;
    const int n = reserve(reader, place, value, sizeof *sequence->states, &list);
    sequence->states = n < 0 ? NULL : list;
    for (int i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = (size_t)i};
        struct manifest_state *state = &sequence->states[sequence->n_states++];
        if (!read_section(reader, &inner, state_keys, json_array_get(value, inner.index), state, own_of_state))
            return false;
        if (!state->input || !state->output)
            return WRONG(reader, &inner, "'input' and 'output' are needed");
    }
    return n >= 0;
}

static bool read_controls(struct reader *reader, const struct place *place, json_t *value,
                          struct manifest_sequence *sequence)
{
    void *list;
    const int n = reserve(reader, place, value, sizeof *sequence->controls, &list);
    sequence->controls = n < 0 ? NULL : list;
    for (int i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = (size_t)i};
        struct manifest_control *control = &sequence->controls[sequence->n_controls++];
        json_t *object = json_array_get(value, inner.index);
        control->on = 1;
        if (!read_section(reader, &inner, control_keys, object, control, NULL))
            return false;
        if (!control->input || !json_object_get(object, "kind"))
            return WRONG(reader, &inner, "'input' and 'kind' are needed");
    }
    return n >= 0;
}

static bool own_of_sequence(struct reader *reader, const struct place *place, const char *key, json_t *value,
                            void *target)
{
    return strcmp(key, "state") == 0 ? read_states(reader, place, value, target)
                                     : read_controls(reader, place, value, target);
}

static bool read_sequence(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest_sequence *sequence = &reader->manifest->sequence;
    *sequence = (struct manifest_sequence){.given = true};
    if (!read_section(reader, place, sequence_keys, value, sequence, own_of_sequence))
        return false;
    return sequence->n_states + sequence->n_controls > 0 ||
           WRONG(reader, place, "a sequence needs a 'state' or a 'control'");
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

/* The object's only member. */
static json_t *only_member(struct reader *reader, const struct place *place, json_t *value, const char **name)
{
    if (!json_is_object(value) || json_object_size(value) != 1) {
        WRONG(reader, place, "expected an object with one of latest, all, specific");
        return NULL;
    }
    void *at = json_object_iter(value);
    *name = json_object_iter_key(at);
    return json_object_iter_value(at);
}

/* An object with this key or, where it may be, with none: NULL then, which is no failure. */
static bool only_key(struct reader *reader, const struct place *place, json_t *value, const char *name, bool needed,
                     json_t **inner)
{
    *inner = json_object_get(value, name);
    bool good = json_is_object(value) && json_object_size(value) == (*inner ? 1 : 0) && (*inner || !needed);
    return good || (*name ? WRONG(reader, place, "expected an object with the key %s%s", name, needed ? "" : " or none")
                          : WRONG(reader, place, "expected {}"));
}

static bool read_latest(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest_version_policy *policy = &reader->manifest->version_policy;
    const struct place inner = {.outer = place, .key = "num_versions"};
    json_t *number;
    policy->n_latest = 1;
    return only_key(reader, place, value, "num_versions", false, &number) &&
           (!number || whole(reader, &inner, number, 1, VERSIONS_HIGHEST, &policy->n_latest));
}

static bool read_specific(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest_version_policy *policy = &reader->manifest->version_policy;
    const struct place list = {.outer = place, .key = "versions"};
    json_t *array;
    if (!only_key(reader, place, value, "versions", true, &array))
        return false;
    size_t n = json_is_array(array) ? json_array_size(array) : 0;
    if (n < 1 || n > VERSIONS_MOST)
        return WRONG(reader, &list, "expected an array of 1 to %d versions", VERSIONS_MOST);
    int64_t *versions = arena_array(reader->arena, n, sizeof *versions);
    if (!versions)
        return err_memory(reader->err, "a list of versions", n * sizeof *versions);
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = &list, .index = i};
        if (!whole(reader, &inner, json_array_get(array, i), 1, VERSIONS_HIGHEST, &versions[i]))
            return false;
    }
    policy->n_versions = (int)n;
    policy->versions = versions;
    return true;
}

static bool read_policy(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest_version_policy *policy = &reader->manifest->version_policy;
    const char *name;
    json_t *nothing, *inner = only_member(reader, place, value, &name);
    if (!inner)
        return false;
    const struct place at = {.outer = place, .key = name};
    if (strcmp(name, "latest") == 0) {
        policy->kind = VERSIONS_LATEST;
        return read_latest(reader, &at, inner);
    }
    if (strcmp(name, "specific") == 0) {
        policy->kind = VERSIONS_SPECIFIC;
        return read_specific(reader, &at, inner);
    }
    policy->kind = VERSIONS_ALL;
    return strcmp(name, "all") == 0 ? only_key(reader, &at, inner, "", false, &nothing)
                                    : WRONG(reader, &at, "unknown key; known are latest, all, specific");
}

static bool read_version_labels(struct reader *reader, const struct place *place, json_t *value)
{
    struct manifest *manifest = reader->manifest;
    size_t n = json_is_object(value) ? json_object_size(value) : SIZE_MAX, i = 0;
    if (n > LABELS_MOST)
        return WRONG(reader, place, "expected an object of at most %d names", LABELS_MOST);
    struct manifest_label *labels = arena_array(reader->arena, n + 1, sizeof *labels);
    if (!labels)
        return err_memory(reader->err, "names of versions", n * sizeof *labels);
    const char *name;
    json_t *number;
    json_object_foreach(value, name, number)
    {
        const struct place at = {.outer = place, .key = name};
        if (!labels_name(name))
            return WRONG(reader, &at, "expected a name of letters, digits, '.', '_' and '-', the first a letter");
        labels[i].name = arena_text(reader->arena, name, strlen(name));
        if (!labels[i].name)
            return err_memory(reader->err, "names of versions", strlen(name));
        if (!whole(reader, &at, number, 1, VERSIONS_HIGHEST, &labels[i++].version))
            return false;
    }
    manifest->version_labels = labels;
    manifest->n_version_labels = (int)n;
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool read_words(struct reader *reader, const struct place *place, json_t *value)
{
    const char *const *lines;
    if (!json_is_string(value))
        return WRONG(reader, place, "expected the name of a file");
    const int n = read_lines(reader, place, value, &lines);
    if (n < 0)
        return false;
    const char **words = arena_array(reader->arena, (size_t)n + 1, sizeof *words);
    if (!words)
        return err_memory(reader->err, "a list of words", (size_t)n * sizeof *words);
    for (int i = 0; i < n; i++)
        if (*lines[i])
            words[reader->manifest->n_words++] = lines[i];
    qsort(words, (size_t)reader->manifest->n_words, sizeof *words, by_text);
    reader->manifest->words = words;
    return reader->manifest->n_words || WRONG(reader, place, "'%s' is empty", json_string_value(value));
}

static bool read_skipped(struct reader *reader, const struct place *place, json_t *value)
{
    const size_t n = json_is_array(value) ? json_array_size(value) : SIZE_MAX;
    if (n > SKIPPED_MOST)
        return WRONG(reader, place, "expected an array of at most %d labels", SKIPPED_MOST);
    const char **labels = arena_array(reader->arena, n + 1, sizeof *labels);
    if (!labels)
        return err_memory(reader->err, "labels", n * sizeof *labels);
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = i};
        if (!json_is_string(json_array_get(value, i)))
            return WRONG(reader, &inner, "expected a string");
        labels[i] = copy(reader, json_array_get(value, i));
        if (!labels[i])
            return false;
    }
    reader->manifest->skipped = labels;
    reader->manifest->n_skipped = (int)n;
    return true;
}

/* --- the task ----------------------------------------------------------------------------------------------------- */

static bool read_kpt_shape(struct reader *reader, const struct place *place, json_t *value)
{
    int64_t shape[2];
    if (!json_is_array(value) || json_array_size(value) != 2)
        return WRONG(reader, place, "expected [points, numbers of each]");
    for (size_t i = 0; i < 2; i++) {
        const struct place inner = {.outer = place, .index = i};
        if (!whole(reader, &inner, json_array_get(value, i), i ? 2 : 1, i ? 3 : 1000, &shape[i]))
            return false;
    }
    reader->manifest->detect.n_points = (int)shape[0];
    reader->manifest->detect.point_size = (int)shape[1];
    return true;
}

static bool read_range(struct reader *reader, const struct place *place, json_t *value)
{
    double ends[2];
    if (json_is_number(value)) {
        if (!real(reader, place, value, 1e-9, 1e9, &ends[0]))
            return false;
        reader->manifest->sound_range = (float)ends[0];
        return true;
    }
    if (!json_is_array(value) || json_array_size(value) != 2)
        return WRONG(reader, place, "expected [black, white], such as [0, 1]");
    for (size_t i = 0; i < 2; i++) {
        const struct place inner = {.outer = place, .index = i};
        if (!real(reader, &inner, json_array_get(value, i), -1e9, 1e9, &ends[i]))
            return false;
    }
    reader->manifest->image.low = (float)ends[0];
    reader->manifest->image.high = (float)ends[1];
    return reader->manifest->image.low != reader->manifest->image.high ||
           WRONG(reader, place, "black and white are the same number");
}

static bool read_role(struct reader *reader, const struct place *place, json_t *value, struct manifest_names *names)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    if (n < 1 || n > MANIFEST_LEVELS)
        return WRONG(reader, place, "expected a name, or an array of 1 to %d", MANIFEST_LEVELS);
    for (size_t i = 0; i < n; i++) {
        json_t *name = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_string(name))
            return WRONG(reader, place, "expected the name of an output");
        names->at[i] = copy(reader, name);
        if (!names->at[i])
            return false;
    }
    names->n = (int)n;
    return true;
}

static bool read_roles(struct reader *reader, const struct place *place, json_t *value)
{
    if (!json_is_object(value))
        return WRONG(reader, place, "expected an object");
    const char *word;
    json_t *names;
    json_object_foreach(value, word, names)
    {
        const struct place inner = {.outer = place, .key = word};
        int role = choice_of(MANIFEST_ROLE_WORDS, word);
        if (role < 0)
            return WRONG(reader, &inner, "unknown key; known are %s", MANIFEST_ROLE_WORDS);
        if (!read_role(reader, &inner, names, &reader->manifest->detect.outputs[role]))
            return false;
    }
    return true;
}

static bool own_of_task(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target)
{
    (void)target;
    if (strcmp(key, "words") == 0)
        return read_words(reader, place, value);
    if (strcmp(key, "skip") == 0)
        return read_skipped(reader, place, value);
    if (strcmp(key, "range") == 0)
        return read_range(reader, place, value);
    return strcmp(key, "kpt_shape") == 0 ? read_kpt_shape(reader, place, value) : read_roles(reader, place, value);
}

/* What its decoder means by what the manifest does not say. */
static const struct decoder_defaults {
    float threshold, overlap;
    enum manifest_nms nms;
    int max_detections;
    enum manifest_boxes boxes;
    enum manifest_units units;
    enum manifest_activation activation;
    int class_offset;
    enum manifest_score score;
} decoder_defaults[] = {
#define D(id, threshold, overlap, nms, most, boxes, units, activation, offset, score, ...)                             \
    {threshold, overlap, NMS_##nms, most, BOXES_##boxes, UNITS_##units, ACTIVATION_##activation, offset, SCORE_##score},
#include "serve/decoders.def"
#undef D
};

#define OF(task) (1u << TASK_##task)

/* Keys that mean something for some tasks alone. */
static const struct {
    const char *name;
    unsigned tasks;
} keys_of_tasks[] = {
    {"top_k", OF(CLASSIFY) | OF(CTC)},
    {"outputs", OF(DETECT)},
    {"decoder", OF(DETECT)},
    {"boxes", OF(DETECT)},
    {"units", OF(DETECT) | OF(KEYPOINTS)},
    {"score", OF(DETECT)},
    {"overlap", OF(DETECT)},
    {"nms", OF(DETECT)},
    {"kpt_shape", OF(DETECT) | OF(KEYPOINTS)},
    {"prototypes", OF(DETECT)},
    {"obb", OF(DETECT)},
    {"max_detections", OF(DETECT)},
    {"range", OF(IMAGE) | OF(AUDIO)},
    {"channels", OF(IMAGE)},
    {"size", OF(IMAGE)},
    {"layout", OF(IMAGE) | OF(SEGMENT) | OF(KEYPOINTS)},
    {"threshold", OF(CLASSIFY) | OF(DETECT) | OF(SEGMENT) | OF(TEXT) | OF(VAD) | OF(KEYPOINTS)},
    {"class_offset", OF(CLASSIFY) | OF(DETECT) | OF(SEGMENT)},
    {"activation", OF(CLASSIFY) | OF(DETECT) | OF(SEGMENT) | OF(CTC) | OF(TEXT) | OF(VAD) | OF(KEYPOINTS)},
    {"neg_threshold", OF(VAD)},
    {"min_speech_duration_ms", OF(VAD)},
    {"min_silence_duration_ms", OF(VAD)},
    {"speech_pad_ms", OF(VAD)},
};

static bool keys_are_of_task(const struct reader *reader, const struct place *outer, json_t *object)
{
    const enum manifest_task task = reader->manifest->task;
    for (size_t i = 0; i < sizeof keys_of_tasks / sizeof *keys_of_tasks && task != TASK_NONE; i++) {
        const struct place place = {.outer = outer, .key = keys_of_tasks[i].name};
        if (!(keys_of_tasks[i].tasks >> task & 1) && json_object_get(object, place.key))
            return WRONG(reader, &place, "is for tasks of another kind");
    }
    return true;
}

/* A key of the task that the manifest leaves out gets its default. */
#define DEFAULT(key, field, value)                                                                                     \
    do {                                                                                                               \
        if (!json_object_get(object, key))                                                                             \
            (field) = (value);                                                                                         \
    } while (0)

static bool check_detect(const struct reader *reader, const struct place *outer, json_t *object)
{
    struct manifest *manifest = reader->manifest;
    struct manifest_detect *detect = &manifest->detect;
    const struct place place = {.outer = outer, .key = "decoder"};
    if (!json_object_get(object, "decoder"))
        return WRONG(reader, &place, "it is missing: how do boxes lie in the outputs?");
    const struct decoder_defaults *own = &decoder_defaults[detect->decoder];
    DEFAULT("threshold", manifest->threshold, own->threshold);
    DEFAULT("activation", manifest->task_activation, own->activation);
    DEFAULT("class_offset", manifest->class_offset, own->class_offset);
    DEFAULT("overlap", detect->overlap, own->overlap);
    DEFAULT("nms", detect->nms, own->nms);
    DEFAULT("max_detections", detect->max_detections, own->max_detections);
    DEFAULT("boxes", detect->boxes, own->boxes);
    DEFAULT("units", detect->units, own->units);
    DEFAULT("score", detect->score, own->score);
    if ((detect->n_points > 0) + (detect->prototypes != NULL) + detect->obb > 1)
        return WRONG(reader, outer, "a network has one of kpt_shape, prototypes and obb");
    return true;
}

/* Maps have scores as they are, or as logits. */
static bool check_keypoints(const struct reader *reader, const struct place *outer, json_t *object)
{
    struct manifest *manifest = reader->manifest;
    const struct place activation = {.outer = outer, .key = "activation"};
    DEFAULT("units", manifest->detect.units, UNITS_PIXELS);
    DEFAULT("threshold", manifest->threshold, 0.3f);
    if (manifest->task_activation != ACTIVATION_NONE && manifest->task_activation != ACTIVATION_SIGMOID)
        return WRONG(reader, &activation, "expected none or sigmoid for keypoints");
    return true;
}

static bool read_task(struct reader *reader, const struct place *place, json_t *value)
{
    const struct place kind = {.outer = place, .key = "kind"};
    json_t *word = json_object_get(value, "kind");
    int index;
    if (json_is_object(value) && !choice(reader, &kind, &task_keys[0], word, &index))
        return false; /* said before its other keys are judged */
    if (!read_section(reader, place, task_keys, value, reader->manifest, own_of_task) ||
        !keys_are_of_task(reader, place, value))
        return false;
    if (reader->manifest->n_words && !reader->manifest->beam)
        return WRONG(reader, place, "words need a beam, in which texts of them are looked for");
    const enum manifest_task task = reader->manifest->task;
    if ((task == TASK_TEXT || task == TASK_VAD) && !json_object_get(value, "threshold"))
        reader->manifest->threshold = 0.5f;
    reader->manifest->speech.threshold = reader->manifest->threshold;
    if (!json_object_get(value, "channels"))
        reader->manifest->image.channels = CHANNELS_RGB;
    const struct place range = {.outer = place, .key = "range"};
    const bool ends = json_is_array(json_object_get(value, "range"));
    if (reader->manifest->task == TASK_IMAGE && !ends)
        return WRONG(reader, &range, "expected [black, white]: [0, 1], [0, 255], [-1, 1]?");
    if (reader->manifest->task != TASK_IMAGE && ends)
        return WRONG(reader, &range, "expected a number; [black, white] is for the task image");
    if (reader->manifest->task == TASK_KEYPOINTS)
        return check_keypoints(reader, place, value);
    return reader->manifest->task != TASK_DETECT || check_detect(reader, place, value);
}

/* --- stages ------------------------------------------------------------------------------------------------------- */

static bool read_links(struct reader *reader, const struct place *place, json_t *value, struct stage_link **links,
                       int *n)
{
    const char *key;
    json_t *name;
    if (!json_is_object(value) || !json_object_size(value) || json_object_size(value) > STAGES_LINKS_MAX)
        return WRONG(reader, place, "expected an object of 1 to %d names", STAGES_LINKS_MAX);
    *links = arena_array(reader->arena, json_object_size(value), sizeof **links);
    if (!*links)
        return err_memory(reader->err, "a stage", json_object_size(value) * sizeof **links);
    json_object_foreach(value, key, name)
    {
        const struct place inner = {.outer = place, .key = key};
        struct stage_link *link = &(*links)[(*n)++];
        if (!json_is_string(name) || !json_string_length(name))
            return WRONG(reader, &inner, "expected a name");
        link->io = arena_text(reader->arena, key, strlen(key));
        link->value = arena_text(reader->arena, json_string_value(name), json_string_length(name));
        if (!link->io || !link->value)
            return err_memory(reader->err, "a stage", strlen(key));
    }
    return true;
}

static bool own_of_stage(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target)
{
    struct stage *stage = target;
    return strcmp(key, "inputs") == 0 ? read_links(reader, place, value, &stage->inputs, &stage->n_inputs)
                                      : read_links(reader, place, value, &stage->outputs, &stage->n_outputs);
}

/* It stands in a header. */
static bool is_plain_name(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

static bool read_stages(struct reader *reader, const struct place *place, json_t *value)
{
    const size_t n = json_is_array(value) ? json_array_size(value) : 0;
    if (n < 1 || n > STAGES_MAX)
        return WRONG(reader, place, "expected a list of 1 to %d stages", STAGES_MAX);
    struct stages *stages = arena_alloc(reader->arena, sizeof *stages);
    struct stage *list = arena_array(reader->arena, n, sizeof *list);
    if (!stages || !list)
        return err_memory(reader->err, "stages", n * sizeof *list);
    *stages = (struct stages){.n = (int)n, .at = list};
    reader->manifest->stages = stages;
    for (size_t i = 0; i < n; i++) {
        const struct place inner = {.outer = place, .index = i};
        if (!read_section(reader, &inner, stage_keys, json_array_get(value, i), &list[i], own_of_stage))
            return false;
        if (!list[i].model || !list[i].n_inputs || !list[i].n_outputs)
            return WRONG(reader, &inner, "'model', 'inputs' and 'outputs' are needed");
        if (list[i].name && !is_plain_name(list[i].name))
            return WRONG(reader, &inner, "a stage's name has letters, digits, '.', '_' and '-'");
    }
    return true;
}

static bool own_of_top(struct reader *reader, const struct place *place, const char *key, json_t *value, void *target)
{
    if (strcmp(key, "inputs") == 0)
        return read_inputs(reader, place, value);
    if (strcmp(key, "labels") == 0)
        return read_labels(reader, place, value);
    if (strcmp(key, "task") == 0)
        return read_task(reader, place, value);
    if (strcmp(key, "batching") == 0)
        return read_section(reader, place, batching_keys, value, target, NULL);
    if (strcmp(key, "accuracy") == 0)
        return read_section(reader, place, accuracy_keys, value, target, NULL);
    if (strcmp(key, "warmup") == 0)
        return read_section(reader, place, warmup_keys, value, target, own_of_warmup);
    if (strcmp(key, "sequence") == 0)
        return read_sequence(reader, place, value);
    if (strcmp(key, "stages") == 0)
        return read_stages(reader, place, value);
    if (strcmp(key, "generate") == 0) {
        reader->manifest->generate = (struct manifest_generate){
            .given = true, .max_new_tokens = GENERATE_MOST, .temperature = -1, .beams = 1, .length_penalty = 1};
        return read_section(reader, place, generate_keys, value, &reader->manifest->generate, own_of_generate);
    }
    if (strcmp(key, "version_policy") == 0)
        return read_policy(reader, place, value);
    if (strcmp(key, "version_labels") == 0)
        return read_version_labels(reader, place, value);
    return true; /* manifest: the schema's version was judged first */
}

struct manifest *manifest_new(struct arena *arena, struct percept_err *err)
{
    struct manifest *manifest = arena_alloc(arena, sizeof *manifest);
    if (!manifest)
        return err_null(err, ERR_MEMORY, "out of memory: a manifest");
    *manifest = (struct manifest){
        .path = "",
        .description = "",
        .license = "",
        .precision = -1,
        .top_k = 5,
        .threshold = -FLT_MAX,
        .splits = -1,
        .sound_range = 1,
        .speech = SPEECH_RULES_DEFAULT,
        .max_batch_size = -1,
        .max_queue_delay_us = -1,
        .max_queue_size = -1,
        .accuracy = {.value = -1, .low = -1, .high = -1, .macro = -1, .precision = -1, .recall = -1, .n = -1}};
    return manifest;
}

static bool read_root(struct reader *reader, json_t *root)
{
    const struct place version = {.key = "manifest"};
    if (!json_is_object(root))
        return WRONG(reader, NULL, "expected an object");
    json_t *number = json_object_get(root, "manifest");
    if (!json_is_integer(number) || json_integer_value(number) != 1)
        return WRONG(reader, &version, "expected 1, the version of the schema");
    return read_section(reader, NULL, top_keys, root, reader->manifest, own_of_top);
}

static json_t *parse(const char *path, struct file_stamp *stamp, struct percept_err *err)
{
    struct bytes text;
    if (!file_read(path, FILE_MAX_BYTES, &text, stamp, err))
        return NULL;
    struct bytes plain = utf8_past_mark(text);
    bool wide = utf8_is_wide(text);
    json_error_t where;
    json_t *root = json_loadb((const char *)plain.at, bytes_size(plain), JSON_REJECT_DUPLICATES, &where);
    arena_buffer_free((void *)text.at);
    if (wide) {
        json_decref(root);
        return err_null(err, ERR_CONFIG, "%s: it is UTF-16 or UTF-32; store it as UTF-8", path);
    }
    if (!root)
        err_set(err, ERR_CONFIG, "%s: line %d, column %d: %s", path, where.line, where.column, where.text);
    return root;
}

static bool read_file(struct manifest *manifest, const char *folder, struct arena *arena, struct percept_err *err)
{
    char *path = file_join(arena, folder, FILE_NAME);
    if (!path)
        return err_memory(err, "a manifest", strlen(folder));
    if (!file_exists(path))
        return true;
    manifest->path = path;
    struct reader reader = {.path = path, .arena = arena, .manifest = manifest, .err = err};
    struct file_stamp stamp;
    json_t *root = parse(path, &stamp, err);
    if (!root)
        return false;
    bool placed = file_place_open(&reader.place, path, &stamp, err);
    bool ok = placed && read_root(&reader, root);
    if (placed)
        file_place_close(&reader.place);
    json_decref(root);
    return ok;
}

/* jansson tells a failed allocation as an odd token, if at all: it takes its memory from us, so that
 * we know. Its setting is the process's and several threads read manifests, and what was made under
 * one setting cannot be freed under another: hence before anything else. */
__attribute__((constructor)) static void take_over_memory(void)
{
    json_set_alloc_funcs(arena_buffer, arena_buffer_free);
}

bool manifest_read_over(struct manifest *manifest, const char *folder, struct arena *arena, struct percept_err *err)
{
    size_t refusals = arena_refusals();
    bool ok = read_file(manifest, folder, arena, err);
    if (!ok && arena_refusals() != refusals)
        err_set(err, ERR_MEMORY, "out of memory while reading the manifest in %s", folder);
    return ok;
}

bool manifest_read_text(struct manifest *manifest, const char *text, const char *origin, struct arena *arena,
                        struct percept_err *err)
{
    const size_t refusals = arena_refusals();
    struct reader reader = {
        .path = origin, .arena = arena, .place = {.folder = -1, .real = -1}, .manifest = manifest, .err = err};
    json_error_t where;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    manifest->path = origin;
    bool ok =
        root ? read_root(&reader, root)
             : err_set(err, ERR_CONFIG, "%s: line %d, column %d: %s", origin, where.line, where.column, where.text);
    json_decref(root);
    if (!ok && arena_refusals() != refusals)
        err_set(err, ERR_MEMORY, "out of memory while reading the manifest %s", origin);
    return ok;
}

const struct manifest *manifest_read(const char *folder, struct arena *arena, struct percept_err *err)
{
    struct manifest *manifest = manifest_new(arena, err);
    return manifest && (!folder || manifest_read_over(manifest, folder, arena, err)) ? manifest : NULL;
}

const struct manifest_input *manifest_input(const struct manifest *manifest, const char *name)
{
    for (int i = 0; i < manifest->n_inputs; i++)
        if (strcmp(manifest->inputs[i].name, name) == 0)
            return &manifest->inputs[i];
    return NULL;
}
