/*
 * routes.c - the table of routes.def and the matcher of its patterns.
 *
 * A pattern is walked beside the path; at '[' both readings are tried, the longer one first. There
 * are a dozen rows, so they are tried in turn: 100 ns. Names and versions are judged after a row
 * has fitted, so that a bad name gets a sentence of its own instead of "Not Found".
 *
 * Thread: any; nothing here is mutable.
 */
#include "http/routes.h"

#include "base/bytes.h"
#include "base/err.h"
#include "http/framing.h"
#include "serve/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct route routes[] = {
#define R(method, pattern, handle, judge, scope, flags) {#method, pattern, handle, judge, KEYS_##scope, flags},
#include "http/routes.def"
#undef R
};

#define REGION_NAME_MAX 255

#define N_ROUTES (sizeof routes / sizeof routes[0])

struct captured {
    struct bytes name;
    struct bytes version;
    struct bytes label;
    struct bytes item;
};

static bool fits(const char *pattern, const char *path, struct captured *captured);

/* No name has a colon: behind one is what a path of V1 asks for. */
static bool fits_name(const char *pattern, const char *path, struct captured *captured)
{
    size_t n = strcspn(path, "/:");
    captured->name = bytes_of(path, n);
    return n > 0 && fits(pattern, path + n, captured);
}

/* A part of the path that nobody asks for. */
static bool fits_any(const char *pattern, const char *path, struct captured *captured)
{
    size_t n = strcspn(path, "/");
    return n > 0 && fits(pattern, path + n, captured);
}

static bool fits_label(const char *pattern, const char *path, struct captured *captured)
{
    size_t n = strcspn(path, "/:");
    captured->label = bytes_of(path, n);
    return n > 0 && fits(pattern, path + n, captured);
}

static bool fits_item(const char *pattern, const char *path, struct captured *captured)
{
    size_t n = strcspn(path, "/");
    captured->item = bytes_of(path, n);
    return n > 0 && fits(pattern, path + n, captured);
}

/* Digits or, where a letter comes first, a label. */
static bool fits_version(const char *pattern, const char *path, struct captured *captured)
{
    size_t n = isalpha((unsigned char)*path) ? strcspn(path, "/:") : strspn(path, "0123456789");
    captured->version = bytes_of(path, n);
    return n > 0 && fits(pattern, path + n, captured);
}

/* With the bracketed part, or with one of several that '|' parts, then without it. */
static bool fits_option(const char *pattern, const char *path, struct captured *captured)
{
    struct captured before = *captured;
    for (; *pattern != ']'; pattern += strcspn(pattern, "|]")) {
        if (fits(++pattern, path, captured))
            return true;
        *captured = before;
    }
    return fits(pattern + 1, path, captured);
}

/* What a word of capitals stands for: NAME, REPO, LABEL, ID, FILE or N. */
static bool fits_word(const char *pattern, const char *path, struct captured *captured)
{
    if (strncmp(pattern, "NAME", 4) == 0)
        return fits_name(pattern + 4, path, captured);
    if (strncmp(pattern, "REPO", 4) == 0)
        return fits_any(pattern + 4, path, captured);
    if (strncmp(pattern, "LABEL", 5) == 0)
        return fits_label(pattern + 5, path, captured);
    if (strncmp(pattern, "FILE", 4) == 0)
        return fits_item(pattern + 4, path, captured);
    if (strncmp(pattern, "ID", 2) == 0)
        return fits_item(pattern + 2, path, captured);
    return fits_version(pattern + 1, path, captured);
}

/* Everything but words of capitals stands for itself. */
static bool fits(const char *pattern, const char *path, struct captured *captured)
{
    for (; *pattern; pattern++) {
        if (*pattern == '|') /* the end of the part that was taken */
            pattern = strchr(pattern, ']');
        if (*pattern == ']')
            continue;
        if (*pattern == '[')
            return fits_option(pattern, path, captured);
        if (*pattern >= 'A' && *pattern <= 'Z')
            return fits_word(pattern, path, captured);
        if (*pattern != *path++)
            return false;
    }
    return *path == '\0';
}

static bool method_fits(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static bool judge_name(const char *name, bool region, struct percept_err *err)
{
    if (region)
        return strlen(name) <= REGION_NAME_MAX ||
               err_set(err, ERR_INVALID, "a region's name has at most %d bytes", REGION_NAME_MAX);
    return scan_name(name) || err_set(err, ERR_INVALID,
                                      "a model's name has 1 to 128 letters, digits, '.', '_' or '-' and begins with a "
                                      "letter or digit");
}

/* Judges what was captured and copies it out. */
static bool take(const struct captured *captured, bool region, struct arena *arena, struct routes_found *found)
{
    struct percept_err *err = &found->err;
    if (captured->item.at && !(found->item = arena_text(arena, captured->item.at, bytes_size(captured->item))))
        return err_memory(err, "an id", bytes_size(captured->item));
    if (!captured->name.at)
        return true;
    char *name = arena_text(arena, captured->name.at, bytes_size(captured->name));
    if (!name)
        return err_memory(err, "a model's name", bytes_size(captured->name));
    if (!judge_name(name, region, err))
        return false;
    found->name = name;
    if (captured->label.at && !(found->label = arena_text(arena, captured->label.at, bytes_size(captured->label))))
        return err_memory(err, "a label", bytes_size(captured->label));
    struct bytes version = captured->version;
    if (version.at && isalpha(*version.at)) {
        const char *label = arena_text(arena, version.at, bytes_size(version));
        found->label = label ? label : "";
        return label || err_memory(err, "a label", bytes_size(version));
    }
    if (version.at && (!framing_number(version, &found->version) || found->version == 0))
        return err_set(err, ERR_NOT_FOUND, "Request for unknown model: '%s' version " BYTES_FMT " is not found", name,
                       BYTES_ARG(version));
    return true;
}

enum { GET = 1, POST = 2, PUT = 4, DELETE = 8 };

static unsigned bit_of(const char *method)
{
    return strcmp(method, "GET") == 0    ? GET
           : strcmp(method, "POST") == 0 ? POST
           : strcmp(method, "PUT") == 0  ? PUT
                                         : DELETE;
}

/* "GET, HEAD, POST" */
static const char *list_methods(unsigned methods, struct arena *arena)
{
    const char *text =
        arena_printf(arena, "%s%s%s%s", methods & GET ? ", GET, HEAD" : "", methods & POST ? ", POST" : "",
                     methods & PUT ? ", PUT" : "", methods & DELETE ? ", DELETE" : "");
    return text ? text + 2 : "GET, HEAD, POST, PUT, DELETE";
}

void routes_find(const char *method, const char *path, struct arena *arena, struct routes_found *found)
{
    unsigned methods = 0;
    *found = (struct routes_found){.name = "", .label = "", .item = ""};
    for (size_t i = 0; i < N_ROUTES; i++) {
        struct captured captured = {0};
        if (!fits(routes[i].pattern, path, &captured))
            continue;
        if (method_fits(&routes[i], method)) {
            if (take(&captured, routes[i].flags & ROUTE_REGION, arena, found))
                found->route = &routes[i];
            return;
        }
        methods |= bit_of(routes[i].method);
    }
    if (methods)
        found->allow = list_methods(methods, arena);
}

const struct route *routes_row(int i)
{
    return i >= 0 && (size_t)i < N_ROUTES ? &routes[i] : NULL;
}

void routes_print(void (*line)(void *user, const char *text), void *user)
{
    for (size_t i = 0; i < N_ROUTES; i++) {
        char text[160];
        snprintf(text, sizeof text, "%s %s", routes[i].method, routes[i].pattern);
        line(user, text);
    }
}
