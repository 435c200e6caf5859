/*
 * scan.c - what is on disk under a path that somebody wants served.
 *
 * Three layouts, tried in this order: a model's folder (model.onnx in it, or in folders named 1, 2,
 * ...), and else a folder of such folders and of .onnx files. Names that begin with a dot, versions
 * with leading zeros and folders without a model are passed over; a model whose name cannot stand
 * in a URL is an error, since its owner would look for it in vain. Nothing is opened but folders.
 *
 * Threads: the caller's. Everything found lies in the scan's arena.
 */
#include "serve/scan.h"

#include "base/err.h"
#include "base/file.h"

#include <ctype.h>
#include <string.h>

#define NAME_MAX_BYTES 128

bool scan_name(const char *name)
{
    size_t n = strlen(name);
    if (n < 1 || n > NAME_MAX_BYTES || !isalnum((unsigned char)name[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
            return false;
    return true;
}

/* "3" -> 3; 0 for what is not a version. */
static int64_t version_of(const char *name)
{
    int64_t version = 0;
    if (*name < '1' || *name > '9' || strlen(name) > 18)
        return 0;
    for (; *name; name++) {
        if (*name < '0' || *name > '9')
            return 0;
        version = version * 10 + (*name - '0');
    }
    return version;
}

static bool ends_in_onnx(const char *path)
{
    size_t n = strlen(path);
    return n > 5 && strcmp(path + n - 5, ".onnx") == 0;
}

static bool note(struct scan *scan, char *name, int64_t version, char *path, char *folder,
                 struct percept_err *err)
{
    struct found *found = arena_alloc(&scan->arena, sizeof *found);
    if (!found || !name || !path)
        return err_memory(err, "the list of models", sizeof *found);
    if (!scan_name(name))
        return err_set(
            err, ERR_INVALID,
            "'%s' (at %s) cannot be a model's name: letters, digits, '.', '_' and '-' can, "
            "at most %d, the first a letter or digit",
            name, path, NAME_MAX_BYTES);
    *found = (struct found){.name = name, .version = version, .path = path, .folder = folder};
    if (scan->first)
        scan->last->next = found;
    else
        scan->first = found;
    scan->last = found;
    return true;
}

static bool holds(struct scan *scan, const char *folder, const char *name)
{
    const char *path = file_join(&scan->arena, folder, name);
    return path && file_exists(path) && !file_is_folder(path);
}

/* The manifest's folder: the version's own, else the model's. */
static char *manifest_folder(struct scan *scan, char *own, char *outer)
{
    return outer && !holds(scan, own, "manifest.json") ? outer : own;
}

/* The manifest beside a file that is not called model.onnx is its own if the file is alone
 * there. */
static char *lone_folder(struct scan *scan, char *folder)
{
    char **names;
    int n_onnx = 0;
    int n = file_list(&scan->arena, folder, &names, NULL);
    for (int i = 0; i < n; i++)
        n_onnx += ends_in_onnx(names[i]);
    return n_onnx == 1 ? folder : NULL;
}

static bool scan_file(struct scan *scan, const char *path, struct percept_err *err)
{
    struct arena *arena = &scan->arena;
    char *file = file_absolute(arena, path);
    char *folder = file ? file_dirname(arena, file) : NULL;
    char *stem = file ? file_stem(arena, file) : NULL;
    if (!folder || !stem)
        return err_memory(err, "a path", strlen(path));
    if (strcmp(stem, "model") != 0)
        return note(scan, stem, 1, file, lone_folder(scan, folder), err);
    char *inner = file_stem(arena, folder);
    int64_t version = inner ? version_of(inner) : 0;
    if (!version)
        return note(scan, inner, 1, file, folder, err);
    char *outer = file_dirname(arena, folder);
    return note(scan, outer ? file_stem(arena, outer) : NULL, version, file,
                manifest_folder(scan, folder, outer), err);
}

/* A model's folder: model.onnx, or versions. Notes nothing when it is neither. */
static bool scan_model(struct scan *scan, const char *path, struct percept_err *err)
{
    struct arena *arena = &scan->arena;
    char *folder = file_absolute(arena, path);
    char *name = folder ? file_stem(arena, folder) : NULL;
    if (!name)
        return err_memory(err, "a path", strlen(path));
    if (holds(scan, folder, "model.onnx"))
        return note(scan, name, 1, file_join(arena, folder, "model.onnx"), folder, err);
    char **names;
    int n = file_list(arena, folder, &names, err);
    for (int i = 0; i < n; i++) {
        int64_t version = version_of(names[i]);
        char *inner = version ? file_join(arena, folder, names[i]) : NULL;
        if (inner && holds(scan, inner, "model.onnx") &&
            !note(scan, name, version, file_join(arena, inner, "model.onnx"),
                  manifest_folder(scan, inner, folder), err))
            return false;
    }
    return n >= 0;
}

static bool scan_repository(struct scan *scan, const char *path, struct percept_err *err)
{
    char **names;
    int n = file_list(&scan->arena, path, &names, err);
    for (int i = 0; i < n; i++) {
        const char *inner = names[i][0] != '.' ? file_join(&scan->arena, path, names[i]) : NULL;
        if (!inner)
            continue;
        bool ok = true;
        if (file_is_folder(inner))
            ok = scan_model(scan, inner, err);
        else if (ends_in_onnx(inner))
            ok = scan_file(scan, inner, err);
        if (!ok)
            return false;
    }
    return n >= 0;
}

bool scan_path(struct scan *scan, const char *path, struct percept_err *err)
{
    if (!file_exists(path))
        return err_set(err, ERR_NOT_FOUND, "there is nothing at '%s'", path);
    if (!file_is_folder(path))
        return ends_in_onnx(path)
                   ? scan_file(scan, path, err)
                   : err_set(err, ERR_INVALID, "'%s' is neither an .onnx file nor a folder", path);
    if (!scan_model(scan, path, err))
        return false;
    if (!scan->first && !scan_repository(scan, path, err))
        return false;
    return scan->first ||
           err_set(err, ERR_NOT_FOUND,
                   "there is no model in '%s': expected model.onnx, versions such as "
                   "1/model.onnx, or folders with these",
                   path);
}
