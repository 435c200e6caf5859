/*
 * options.c - command line, environment and configuration file -> struct options; --help and the
 * man page.
 *
 *     argv -> pairs (row, text)        so that --help works however wrong the rest of the world is
 *     rows' defaults -> file -> environment -> pairs      each writes over the one before
 *
 * Whoever writes a value goes through set(), so that a wrong one gets the same sentence wherever it
 * stood; only the beginning differs: "--workers 'x'", "PERCEPTD_WORKERS 'x'", "perceptd.conf:3:
 * workers 'x'".
 *
 * Environment and file are for what `perceptd serve` has. Other variables that begin with PERCEPTD_
 * are nobody's mistake: Kubernetes sets PERCEPTD_PORT and its kin for a service of that name. A
 * wrong key in the file is one. Runs once, at the start, on the only thread there is.
 */
#include "options.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"
#include "base/number.h"

enum kind { FLAG, INT, LONG, SIZE, MS, US, TEXT, WORD, CHOICE, NUMBERS, LIST, TEXTS, ACTION };

struct row {
    const char *name;
    enum kind kind;
    size_t offset, size; /* of the field */
    const char *fallback;
    int64_t least, most;
    unsigned commands; /* one bit each */
    const char *argument;
    const char *sentence;
};

#define IN(command) (1u << OPTIONS_##command)
#define ANY ((1u << OPTIONS_COMMANDS) - 1)

static const struct row rows[] = {
#define OPTION(name, kind, field, fallback, least, most, commands, argument, sentence)                                 \
    {name,                                                                                                             \
     kind,                                                                                                             \
     offsetof(struct options, field),                                                                                  \
     sizeof((struct options *)0)->field,                                                                               \
     fallback,                                                                                                         \
     least,                                                                                                            \
     most,                                                                                                             \
     commands,                                                                                                         \
     argument,                                                                                                         \
     sentence},
#include "options.def"
};

#define N_ROWS (sizeof rows / sizeof *rows)

static const struct {
    const char *name, *arguments, *sentence;
} commands[OPTIONS_COMMANDS] = {
#define COMMAND(id, name, arguments, sentence) [OPTIONS_##id] = {name, arguments, sentence},
#include "options.def"
};

/* --- one value ---------------------------------------------------------------------------------------------------- */

/* A value on its way, and where it stood. */
struct given {
    const struct row *row;
    const char *text;
    const char *where; /* "--workers" */
};

static bool refuse(const struct given *given, struct percept_err *err, const char *expected)
{
    return err_set(err, ERR_CONFIG, "%s '%s': expected %s", given->where, given->text, expected);
}

static bool in_range(const struct row *row, int64_t value)
{
    return value >= row->least && value <= row->most;
}

static bool read_whole(const char *text, int64_t *value)
{
    struct bytes bytes = bytes_of_text(text);
    return number_read_int64(bytes, value) == bytes.end;
}

static bool set_number(const struct given *given, void *field, struct percept_err *err)
{
    const struct row *row = given->row;
    char expected[80];
    int64_t value;
    if (!read_whole(given->text, &value) || !in_range(row, value)) {
        snprintf(expected, sizeof expected, "a whole number from %" PRId64 " to %" PRId64, row->least, row->most);
        return refuse(given, err, expected);
    }
    if (row->kind == INT)
        *(int *)field = (int)value;
    else
        *(int64_t *)field = value;
    return true;
}

static void size_text(char *text, size_t n, int64_t value)
{
    static const char units[] = "\0KMGT";
    int unit = 0;
    while (value >= 1024 && value % 1024 == 0 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(text, n, "%" PRId64 "%.1s", value, &units[unit]);
}

static bool set_size(const struct given *given, void *field, struct percept_err *err)
{
    size_t value;
    if (number_read_size(given->text, &value) && value <= INT64_MAX && in_range(given->row, (int64_t)value)) {
        *(size_t *)field = value;
        return true;
    }
    char least[24], most[24], expected[120];
    size_text(least, sizeof least, given->row->least);
    size_text(most, sizeof most, given->row->most);
    snprintf(expected, sizeof expected, "bytes from %s to %s, such as 65536, 64K, 64M or 1.5G", least, most);
    return refuse(given, err, expected);
}

/* "2m", "1.5s", "300ms", "200us"; a number alone is seconds. */
static bool read_us(const char *text, double *us)
{
    static const struct {
        const char *name;
        double us;
    } units[] = {{"", 1e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1}, {"m", 6e7}, {"h", 3.6e9}};
    double number;
    const char *unit = (const char *)number_read_double(bytes_of_text(text), &number);
    if (!unit || !(number >= 0) || number > 1e9)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(unit, units[i].name) == 0) {
            *us = number * units[i].us;
            return true;
        }
    }
    return false;
}

static bool set_time(const struct given *given, void *field, struct percept_err *err)
{
    double us;
    double unit = given->row->kind == MS ? 1e3 : 1;
    if (read_us(given->text, &us) && us / unit >= (double)given->row->least && us / unit <= (double)given->row->most) {
        *(int64_t *)field = (int64_t)(us / unit + 0.5);
        return true;
    }
    char expected[120];
    snprintf(expected, sizeof expected, "a time from %gs to %gs, such as 500ms, 10s or 2m",
             (double)given->row->least * unit / 1e6, (double)given->row->most * unit / 1e6);
    return refuse(given, err, expected);
}

static bool is_word(const char *text)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("._-", *text))
            return false;
    return true;
}

static bool set_text(const struct given *given, void *field, struct percept_err *err)
{
    const struct row *row = given->row;
    char expected[80];
    if (in_range(row, (int64_t)strlen(given->text)) && (row->kind == TEXT || is_word(given->text))) {
        *(const char **)field = given->text;
        return true;
    }
    snprintf(expected, sizeof expected, "%" PRId64 " to %" PRId64 " %s", row->least, row->most,
             row->kind == TEXT ? "characters" : "of: letters, digits, '.', '_', '-'");
    return refuse(given, err, expected);
}

/* The argument "text|json" is the list of choices. */
static bool set_choice(const struct given *given, void *field, struct percept_err *err)
{
    const char *at = given->row->argument;
    size_t n = strlen(given->text);
    for (int choice = 0; *at; choice++) {
        size_t length = strcspn(at, "|");
        if (length == n && memcmp(at, given->text, n) == 0) {
            *(int *)field = choice;
            return true;
        }
        at += length + (at[length] == '|');
    }
    char expected[80];
    snprintf(expected, sizeof expected, "one of %s", given->row->argument);
    return refuse(given, err, expected);
}

static bool set_flag(const struct given *given, void *field, struct percept_err *err)
{
    static const char *const words[2][4] = {{"no", "false", "0", "off"}, {"yes", "true", "1", "on"}};
    for (int value = 0; value < 2; value++) {
        for (int i = 0; i < 4; i++) {
            if (strcmp(given->text, words[value][i]) == 0) {
                *(bool *)field = value;
                return true;
            }
        }
    }
    return refuse(given, err, "yes or no");
}

static bool set_numbers(const struct given *given, void *field, struct percept_err *err)
{
    struct options_numbers numbers = {0};
    struct bytes rest = bytes_of_text(given->text);
    while (numbers.n < OPTIONS_NUMBERS_MAX) {
        int64_t value;
        const uint8_t *end = number_read_int64(rest, &value);
        if (!end || !in_range(given->row, value) || (end < rest.end && *end != ','))
            break;
        numbers.at[numbers.n++] = (int)value;
        if (end == rest.end) {
            *(struct options_numbers *)field = numbers;
            return true;
        }
        rest.at = end + 1;
    }
    char expected[120];
    snprintf(expected, sizeof expected, "up to %d whole numbers from %" PRId64 " to %" PRId64 " with commas between",
             OPTIONS_NUMBERS_MAX, given->row->least, given->row->most);
    return refuse(given, err, expected);
}

static bool append(struct options_list *list, const char *text, struct arena *arena, struct percept_err *err)
{
    size_t n = (size_t)list->n * sizeof *list->at;
    const char **at = arena_grow(arena, list->at, n, n + sizeof *list->at);
    if (!at)
        return err_memory(err, "the arguments", n);
    list->at = at;
    list->at[list->n++] = text;
    return true;
}

/* Texts with commas between. What an earlier source said gives way to the first of a later one, whose
 * own add up. */
static bool add_texts(const struct given *given, struct options_list *list, struct arena *arena,
                      struct percept_err *err)
{
    const struct row *row = given->row;
    if (list->earlier)
        *list = (struct options_list){.n = 0};
    for (const char *at = given->text;; at++) {
        size_t n = strcspn(at, ",");
        if (!in_range(row, (int64_t)n)) {
            char expected[80];
            snprintf(expected, sizeof expected, "%" PRId64 " to %" PRId64 " characters, or several with commas between",
                     row->least, row->most);
            return refuse(given, err, expected);
        }
        const char *text = arena_text(arena, at, n);
        if (!text)
            return err_memory(err, "the arguments", n);
        if (!append(list, text, arena, err))
            return false;
        at += n;
        if (!*at)
            return true;
    }
}

/* What was set so far comes from an earlier source. */
static void next_source(struct options *options)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++)
        if (row->kind == TEXTS)
            ((struct options_list *)(void *)((char *)options + row->offset))->earlier = true;
}

static bool set(struct options *options, const struct given *given, struct arena *arena, struct percept_err *err)
{
    void *field = (char *)options + given->row->offset;
    switch (given->row->kind) {
    case FLAG:
        return set_flag(given, field, err);
    case INT:
    case LONG:
        return set_number(given, field, err);
    case SIZE:
        return set_size(given, field, err);
    case MS:
    case US:
        return set_time(given, field, err);
    case TEXT:
    case WORD:
        return set_text(given, field, err);
    case CHOICE:
        return set_choice(given, field, err);
    case NUMBERS:
        return set_numbers(given, field, err);
    case LIST:
        return append(field, given->text, arena, err);
    case TEXTS:
        return add_texts(given, field, arena, err);
    case ACTION:
        break;
    }
    *(int *)field = (int)given->row->least;
    return true;
}

/* --- finding rows ------------------------------------------------------------------------------------------------- */

static const struct row *find(const char *name, size_t n)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++)
        if (strlen(row->name) == n && memcmp(row->name, name, n) == 0)
            return row;
    return NULL;
}

#define DISTANCE_MAX 40

/* Edits (insert, delete, replace) that make one of the other. */
static int distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    int line[DISTANCE_MAX + 1];
    if (n_a > DISTANCE_MAX || n_b > DISTANCE_MAX)
        return DISTANCE_MAX;
    for (size_t j = 0; j <= n_b; j++)
        line[j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int corner = line[0];
        line[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            if (line[j] + 1 < best)
                best = line[j] + 1;
            if (line[j - 1] + 1 < best)
                best = line[j - 1] + 1;
            corner = line[j];
            line[j] = best;
        }
    }
    return line[n_b];
}

/* `where` is what comes before the name; `dashes` "--" or, in a file, where actions have no place,
 * "". */
static bool unknown(const char *where, const char *dashes, const char *name, size_t n, unsigned mask,
                    struct percept_err *err)
{
    const struct row *nearest = NULL;
    int least = n < 6 ? 2 : 4;
    for (const struct row *row = rows; row < rows + N_ROWS; row++) {
        bool fits = row->commands & mask && (*dashes || row->kind != ACTION);
        int edits = fits ? distance(name, n, row->name, strlen(row->name)) : DISTANCE_MAX;
        if (edits < least) {
            least = edits;
            nearest = row;
        }
    }
    int shown = n > 60 ? 60 : (int)n;
    if (nearest)
        return err_set(err, ERR_CONFIG, "%sunknown option '%s%.*s'; did you mean '%s%s'?", where, dashes, shown, name,
                       dashes, nearest->name);
    return err_set(err, ERR_CONFIG, "%sunknown option '%s%.*s'; perceptd --help lists those there are", where, dashes,
                   shown, name);
}

static bool misplaced(const struct row *row, enum options_command command, struct percept_err *err)
{
    char names[80] = "";
    size_t used = 0;
    for (int i = 0; i < OPTIONS_COMMANDS; i++)
        if (row->commands & 1u << i)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", commands[i].name);
    return err_set(err, ERR_CONFIG, "--%s is no option of 'perceptd %s'; it belongs to: %s", row->name,
                   commands[command].name, names);
}

/* --- the command line --------------------------------------------------------------------------------------------- */

struct pairs {
    int n;
    struct given *at;
};

static bool add_pair(struct pairs *pairs, const struct row *row, const char *text, struct arena *arena,
                     struct percept_err *err)
{
    size_t n = (size_t)pairs->n * sizeof *pairs->at;
    struct given *at = arena_grow(arena, pairs->at, n, n + sizeof *at);
    const char *where = arena_printf(arena, "--%s", row->name);
    if (!at || !where)
        return err_memory(err, "the arguments", n);
    pairs->at = at;
    pairs->at[pairs->n++] = (struct given){.row = row, .text = text, .where = where};
    return true;
}

/* The few that have one letter; NULL: any other. */
static const char *long_name(const char *letter)
{
    return strcmp(letter, "h") == 0 ? "help" : strcmp(letter, "o") == 0 ? "output" : NULL;
}

/* One option at argv[*i], which is left at its last word. */
static bool read_option(int argc, char *const *argv, int *i, struct options *options, struct pairs *pairs,
                        struct arena *arena, struct percept_err *err)
{
    const char *name = argv[*i][1] == '-' ? argv[*i] + 2 : argv[*i] + 1;
    if (argv[*i][1] != '-')
        name = long_name(name);
    if (!name)
        return err_set(err, ERR_CONFIG, "unknown option '%s'; options have long names: perceptd --help", argv[*i]);
    size_t n = strcspn(name, "=");
    const char *text = name[n] == '=' ? name + n + 1 : NULL;
    const struct row *row = find(name, n);
    if (!row)
        return unknown("", "--", name, n, 1u << options->command, err);
    if (!(row->commands & 1u << options->command))
        return misplaced(row, options->command, err);
    if (row->kind == ACTION && text)
        return err_set(err, ERR_CONFIG, "--%s takes no value", row->name);
    if (!text && row->kind == FLAG)
        text = "yes";
    if (!text && row->kind != ACTION) {
        if (*i + 1 >= argc)
            return err_set(err, ERR_CONFIG, "--%s needs a value: %s", row->name, row->argument);
        text = argv[++*i];
    }
    return add_pair(pairs, row, text ? text : "", arena, err);
}

static bool read_arguments(int argc, char *const *argv, int from, struct options *options, struct pairs *pairs,
                           struct arena *arena, struct percept_err *err)
{
    bool only_paths = false;
    for (int i = from; i < argc; i++) {
        if (!only_paths && strcmp(argv[i], "--") == 0) {
            only_paths = true;
            continue;
        }
        bool is_option = !only_paths && argv[i][0] == '-' && argv[i][1];
        if (is_option ? !read_option(argc, argv, &i, options, pairs, arena, err)
                      : !append(&options->paths, argv[i], arena, err))
            return false;
    }
    return true;
}

/* The subcommand is the first word, or serve. */
static bool read_command(int argc, char *const *argv, struct options *options, struct percept_err *err)
{
    options->command = OPTIONS_SERVE;
    const char *first = argc > 1 ? argv[1] : "-";
    for (int i = 0; i < OPTIONS_COMMANDS; i++) {
        if (strcmp(first, commands[i].name) == 0) {
            options->command = (enum options_command)i;
            options->command_named = true;
            return true;
        }
    }
    if (first[0] == '-' || file_exists(first))
        return true;
    if (strpbrk(first, "/."))
        return err_set(err, ERR_NOT_FOUND, "there is nothing at '%s'", first);
    char names[120] = "";
    size_t used = 0;
    for (int i = 0; i < OPTIONS_COMMANDS; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", commands[i].name);
    return err_set(err, ERR_CONFIG, "no such subcommand or file '%s'; subcommands are %s", first, names);
}

/* --- defaults, environment, file ---------------------------------------------------------------------------------- */

static bool set_defaults(struct options *options, struct arena *arena, struct percept_err *err)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++) {
        struct given given = {.row = row, .text = row->fallback, .where = row->name};
        if (row->fallback && !set(options, &given, arena, err))
            return false;
    }
    return true;
}

static bool wanted(const struct row *row, const struct options *options)
{
    return row->kind != ACTION && row->commands & IN(SERVE) && row->commands & 1u << options->command;
}

/* PERCEPTD_MAX_BODY for max-body. */
static void variable_of(const struct row *row, char *name, size_t n)
{
    snprintf(name, n, "PERCEPTD_%s", row->name);
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : (char)toupper((unsigned char)*at);
}

static const char *look_up(char *const *environment, const char *name)
{
    size_t n = strlen(name);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return (*environment)[n + 1] ? *environment + n + 1 : NULL;
    return NULL;
}

static bool read_environment(char *const *environment, struct options *options, struct arena *arena,
                             struct percept_err *err)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++) {
        char name[80];
        variable_of(row, name, sizeof name);
        struct given given = {.row = row, .text = look_up(environment, name), .where = name};
        if (wanted(row, options) && given.text && !set(options, &given, arena, err))
            return false;
    }
    return true;
}

static struct bytes trim(struct bytes text)
{
    while (text.at < text.end && isspace(*text.at))
        text.at++;
    while (text.at < text.end && isspace(text.end[-1]))
        text.end--;
    return text;
}

static bool read_line(struct bytes line, const char *where, struct options *options, struct arena *arena,
                      struct percept_err *err)
{
    const uint8_t *equals = memchr(line.at, '=', bytes_size(line));
    if (!equals)
        return err_set(err, ERR_CONFIG, "%s: '" BYTES_FMT "': expected NAME = VALUE", where, BYTES_ARG(line));
    struct bytes name = trim((struct bytes){line.at, equals});
    struct bytes value = trim((struct bytes){equals + 1, line.end});
    const struct row *row = find((const char *)name.at, bytes_size(name));
    if (!row || row->kind == ACTION || !(row->commands & IN(SERVE))) {
        char before[512];
        snprintf(before, sizeof before, "%s: ", where);
        return unknown(before, "", (const char *)name.at, bytes_size(name), IN(SERVE), err);
    }
    if (memchr(value.at, '\0', bytes_size(value)))
        return err_set(err, ERR_CONFIG, "%s: the value holds a NUL byte", where);
    struct given given = {.row = row,
                          .text = arena_text(arena, value.at, bytes_size(value)),
                          .where = arena_printf(arena, "%s: %s", where, row->name)};
    if (!given.text || !given.where)
        return err_memory(err, "a configuration", bytes_size(value));
    return !wanted(row, options) || row->offset == offsetof(struct options, config) || set(options, &given, arena, err);
}

static bool read_lines(struct bytes rest, const char *path, struct options *options, struct arena *arena,
                       struct percept_err *err)
{
    for (int number = 1; rest.at < rest.end; number++) {
        const uint8_t *end = memchr(rest.at, '\n', bytes_size(rest));
        struct bytes line = trim((struct bytes){rest.at, end ? end : rest.end});
        rest.at = end ? end + 1 : rest.end;
        char where[300];
        snprintf(where, sizeof where, "%s:%d", path, number);
        if (bytes_size(line) && *line.at != '#' && !read_line(line, where, options, arena, err))
            return false;
    }
    return true;
}

static bool read_file(struct options *options, struct arena *arena, struct percept_err *err)
{
    struct bytes text;
    if (!file_read(options->config, 1 << 20, &text, NULL, err))
        return err_config(err);
    bool good = read_lines(text, options->config, options, arena, err);
    arena_buffer_free((void *)(uintptr_t)text.at);
    return good;
}

/* The file's name comes from the command line or the environment, before the file is read. */
static void find_file(struct options *options, const struct pairs *pairs, char *const *environment)
{
    options->config = look_up(environment, "PERCEPTD_CONFIG");
    for (int i = 0; i < pairs->n; i++)
        if (pairs->at[i].row->offset == offsetof(struct options, config))
            options->config = pairs->at[i].text;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* Actions that only print need no settings, and must not fail for wrong ones. */
static bool find_action(struct options *options, const struct pairs *pairs)
{
    for (int i = 0; i < pairs->n; i++)
        if (pairs->at[i].row->kind == ACTION && options->action == OPTIONS_NONE)
            options->action = (int)pairs->at[i].row->least;
    return options->action != OPTIONS_NONE && options->action != OPTIONS_CHECK && options->action != OPTIONS_HEALTH;
}

static bool count_is_right(const struct options *options, struct percept_err *err)
{
    enum options_command command = options->command;
    if (command == OPTIONS_REGIONS && options->paths.n)
        return err_set(err, ERR_CONFIG, "'perceptd regions' takes no argument, got '%s'", options->paths.at[0]);
    if (command == OPTIONS_SERVE || command == OPTIONS_REGIONS)
        return true;
    if (!options->paths.n)
        return err_set(err, ERR_CONFIG, "'perceptd %s' needs a model: perceptd %s %s", commands[command].name,
                       commands[command].name, commands[command].arguments);
    if (options->paths.n > 1 && command != OPTIONS_RUN)
        return err_set(err, ERR_CONFIG, "'perceptd %s' takes one model, got '%s' as well", commands[command].name,
                       options->paths.at[1]);
    return true;
}

bool options_read(int argc, char *const *argv, char *const *environment, struct arena *arena, struct options *options,
                  struct percept_err *err)
{
    *options = (struct options){.action = OPTIONS_NONE};
    struct pairs pairs = {0};
    if (argc <= 1) {
        options->action = OPTIONS_HINT;
        return true;
    }
    if (!read_command(argc, argv, options, err) ||
        !read_arguments(argc, argv, options->command_named ? 2 : 1, options, &pairs, arena, err))
        return false;
    if (find_action(options, &pairs))
        return true;
    find_file(options, &pairs, environment);
    const char *config = options->config;
    if (!set_defaults(options, arena, err))
        return false;
    next_source(options);
    if (config && !read_file(options, arena, err))
        return false;
    next_source(options);
    if (!read_environment(environment, options, arena, err))
        return false;
    next_source(options);
    for (int i = 0; i < pairs.n; i++)
        if (!set(options, &pairs.at[i], arena, err))
            return false;
    options->config = config;
    return options->action != OPTIONS_NONE || count_is_right(options, err);
}

/* --- help --------------------------------------------------------------------------------------------------------- */

#define HELP_COLUMN 30
#define HELP_WIDTH 96

static int shown_width(const struct row *row)
{
    return (int)strlen(row->name) + (row->argument ? 1 + (int)strlen(row->argument) : 0) + 4;
}

/* The sentence in lines that begin at HELP_COLUMN. */
static void print_wrapped(FILE *out, const char *text)
{
    int column = HELP_COLUMN;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (column > HELP_COLUMN) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", n, text);
        column += n;
        text += n + (text[n] == ' ');
    }
    fputc('\n', out);
}

static void print_row(FILE *out, const struct row *row)
{
    char text[400];
    bool tell = row->fallback && row->kind != FLAG;
    fprintf(out, "  --%s%s%s", row->name, row->argument ? " " : "", row->argument ? row->argument : "");
    if (shown_width(row) >= HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - shown_width(row), "");
    snprintf(text, sizeof text, tell ? "%s [%s]" : "%s", row->sentence, row->fallback);
    print_wrapped(out, text);
}

static void print_rows(FILE *out, unsigned mask, bool actions)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++)
        if (row->commands & mask && (row->kind == ACTION) == actions)
            print_row(out, row);
}

static void print_command_help(FILE *out, enum options_command command)
{
    fprintf(out, "perceptd %s %s\n  %s\n\noptions:\n", commands[command].name, commands[command].arguments,
            commands[command].sentence);
    print_rows(out, 1u << command, false);
    if (command == OPTIONS_SERVE) {
        fputs("\ninstead of serving:\n", out);
        print_rows(out, 1u << command, true);
        fputs("\nEach option of serve may also be an environment variable (PERCEPTD_MAX_BODY=64M) "
              "or a\n"
              "line of the file that --config names (max-body = 64M).\n",
              out);
    }
}

void options_print_help(FILE *out, enum options_command command)
{
    if (command != OPTIONS_COMMANDS) {
        print_command_help(out, command);
        return;
    }
    fputs("perceptd serves trained networks (ONNX) over HTTP.\n\n"
          "  perceptd model.onnx      serve that file at http://127.0.0.1:8080\n\n"
          "subcommands:\n",
          out);
    for (int i = 0; i < OPTIONS_COMMANDS; i++)
        fprintf(out, "  perceptd %-18s %s\n", commands[i].name, commands[i].sentence);
    fputs("\nalso:\n", out);
    print_rows(out, ANY, true);
    fputs("\nperceptd SUBCOMMAND --help lists its options.\n", out);
}

/* --- the manual page ---------------------------------------------------------------------------------------------- */

/* Text for troff: a line that begins with a dot or quote, backslashes and hyphens mean something
 * there. */
static void print_troff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void man_row(FILE *out, const struct row *row)
{
    fputs(".TP\n.B \\-\\-", out);
    print_troff(out, row->name);
    if (row->argument) {
        fputs(" \\fI", out);
        print_troff(out, row->argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    print_troff(out, row->sentence);
    fputs(".\n", out);
    if (row->fallback && row->kind != FLAG) {
        fputs("Default: \\fB", out); /* no full stop: it would look like a part of it */
        print_troff(out, row->fallback);
        fputs("\\fR\n", out);
    }
}

static void man_rows(FILE *out, unsigned mask, bool actions)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++)
        if (row->commands & mask && (row->kind == ACTION) == actions)
            man_row(out, row);
}

static void man_commands(FILE *out)
{
    for (int i = 0; i < OPTIONS_COMMANDS; i++) {
        fputs(".TP\n.B perceptd ", out);
        print_troff(out, commands[i].name);
        fputs(" \\fI", out);
        print_troff(out, commands[i].arguments);
        fputs("\\fR\n", out);
        print_troff(out, commands[i].sentence);
        fputs(".\n", out);
    }
}

static void man_variables(FILE *out)
{
    for (const struct row *row = rows; row < rows + N_ROWS; row++) {
        char name[80];
        variable_of(row, name, sizeof name);
        if (row->commands & IN(SERVE) && row->kind != ACTION)
            fprintf(out, ".TP\n.B %s\n\\-\\-%s\n", name, row->name);
    }
}

void options_print_man(FILE *out)
{
    fprintf(out, ".TH PERCEPTD 1 \"\" \"perceptd %s\" \"User Commands\"\n", percept_version());
    fputs(".SH NAME\nperceptd \\- serve trained networks over HTTP\n.SH SYNOPSIS\n", out);
    man_commands(out);
    fputs(".SH DESCRIPTION\n"
          "perceptd opens networks in ONNX format and answers inference requests over HTTP with the\n"
          "Open Inference Protocol (V2), from pictures and texts as well as from tensors.\n"
          "A model is a .onnx file, a folder with model.onnx (or versions 1/model.onnx, "
          "2/model.onnx, ...) and\n"
          "perhaps manifest.json, or a folder of such folders.\n"
          "Without a subcommand, arguments are models to serve.\n",
          out);
    for (int i = 0; i < OPTIONS_COMMANDS; i++) {
        fprintf(out, ".SH OPTIONS OF %s\n", commands[i].name);
        man_rows(out, 1u << i, false);
    }
    fputs(".SH INSTEAD OF A SUBCOMMAND\n", out);
    man_rows(out, ANY, true);
    fputs(".SH TIMES AND SIZES\nA time is a number with us, ms, s, m or h; a number alone is "
          "seconds.\n"
          "Bytes may have K, M or G, which are powers of 1024.\n"
          ".SH CONFIGURATION FILE\nLines NAME = VALUE with the names of serve's options, without "
          "dashes;\n"
          "blank lines and lines that begin with # are skipped. Flags are yes or no.\n"
          "The command line comes before the environment, the environment before the file.\n"
          ".SH ENVIRONMENT\n",
          out);
    man_variables(out);
    fputs(".TP\n.B NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS\nas systemd sets them: readiness, "
          "status and signs "
          "of life are told, passed sockets are served instead of --listen.\n"
          ".SH SIGNALS\n.TP\n.B SIGTERM, SIGINT\nend in good order: say that we are not ready, "
          "serve on for\n"
          "\\-\\-drain\\-delay, answer what was accepted, exit with 0. A second one ends at once.\n"
          ".TP\n.B SIGHUP\nthe same, where the terminal is gone that it was started from; else all models "
          "and API keys are read again: what is new or has changed is loaded, what is gone is unloaded.\n"
          ".SH EXIT STATUS\n0: done, 1: it was understood and went wrong, 2: the command line or the "
          "configuration is wrong, and trying again does not help. \\-\\-health never gives 2.\n"
          ".SH FILES\n.TP\n.B /dev/shm/perceptd\\-*\npacked weights, shared by all processes of a "
          "user; "
          "perceptd regions lists them.\n",
          out);
}
