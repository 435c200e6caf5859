/*
 * files.c - see files.h. A result that was cut short by a kill is a hidden file, which the next run writes over: so
 * what has its name is whole. Two runs with one folder of results at a time are not kept apart.
 */
#include "command/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"

#define SHOWN_OF_NAME 200 /* of a result's name in that of its draft: names end at 255 */

static bool add(struct files *files, const char *path, const char *name, struct percept_err *err)
{
    if (files->n == files->room) {
        const size_t n_bytes = (size_t)files->room * sizeof *files->at;
        struct files_item *at = arena_grow(&files->arena, files->at, n_bytes, 2 * n_bytes + 64 * sizeof *at);
        if (!at)
            return err_memory(err, "the list of files", n_bytes);
        files->at = at;
        files->room = 2 * files->room + 64;
    }
    files->at[files->n++] = (struct files_item){.path = path, .name = name};
    return true;
}

bool files_are_one(const char *path, const char *other)
{
    struct stat one, two;
    return stat(path, &one) == 0 && stat(other, &two) == 0 && one.st_dev == two.st_dev && one.st_ino == two.st_ino;
}

static bool add_folder(struct files *files, const char *path, const char *name, const char *output, int depth,
                       struct percept_err *err);

/* One entry of a folder; `name` is the folder's beneath the results, "" of the one that was named. */
static bool add_entry(struct files *files, const char *folder, const char *name, const char *entry, const char *output,
                      int depth, struct percept_err *err)
{
    struct stat link, target;
    const char *path = file_join(&files->arena, folder, entry);
    const char *own = *name ? file_join(&files->arena, name, entry) : entry;
    if (!path || !own)
        return err_memory(err, "a path", strlen(entry));
    if (*entry == '.' || lstat(path, &link) != 0)
        return true;
    if (S_ISDIR(link.st_mode))
        return (output && files_are_one(path, output)) || add_folder(files, path, own, output, depth + 1, err);
    const bool regular =
        S_ISREG(link.st_mode) || (S_ISLNK(link.st_mode) && stat(path, &target) == 0 && S_ISREG(target.st_mode));
    return !regular || add(files, path, own, err);
}

static bool add_folder(struct files *files, const char *path, const char *name, const char *output, int depth,
                       struct percept_err *err)
{
    char **entries;
    if (depth > FILES_DEPTH_MAX)
        return err_set(err, ERR_INVALID, "'%s': more than %d folders within each other", path, FILES_DEPTH_MAX);
    const int n = file_list(&files->arena, path, &entries, err);
    for (int i = 0; i < n; i++)
        if (!add_entry(files, path, name, entries[i], output, depth, err))
            return false;
    return n >= 0;
}

bool files_add(struct files *files, const char *path, const char *output, struct percept_err *err)
{
    if (file_is_folder(path)) {
        files->folder = true;
        return add_folder(files, path, "", output, 0, err);
    }
    const char *slash = strrchr(path, '/');
    return add(files, path, slash ? slash + 1 : path, err);
}

bool files_is_done(const char *path, const char *result)
{
    struct stat of, made;
    if (stat(result, &made) != 0 || !S_ISREG(made.st_mode) || made.st_size == 0 || stat(path, &of) != 0)
        return false;
    return made.st_mtim.tv_sec > of.st_mtim.tv_sec ||
           (made.st_mtim.tv_sec == of.st_mtim.tv_sec && made.st_mtim.tv_nsec >= of.st_mtim.tv_nsec);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* The folders around a path, from the outermost on. What is there already stays as it is. */
static bool make_folders(struct arena *arena, const char *path, struct percept_err *err)
{
    char *folder = arena_text(arena, path, strlen(path));
    if (!folder)
        return err_memory(err, "a path", strlen(path));
    for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(folder, 0777) != 0 && errno != EEXIST && !file_is_folder(folder))
            return err_set(err, ERR_SYSTEM, "cannot make the folder '%s': %s", folder, strerror(errno));
        *at = '/';
    }
    return true;
}

static bool write_draft(const char *path, const char *draft, struct bytes bytes, struct percept_err *err)
{
    unlink(draft); /* of a run that was killed; it may be a link */
    if (!file_write(draft, bytes.at, bytes_size(bytes), err)) {
        unlink(draft);
        return false;
    }
    if (rename(draft, path) == 0)
        return true;
    const int number = errno;
    unlink(draft);
    return err_set(err, ERR_SYSTEM, "cannot write '%s': %s", path, strerror(number));
}

bool files_write(const char *path, int number, struct bytes bytes, struct percept_err *err)
{
    struct stat there;
    struct arena arena = {0};
    bool good = make_folders(&arena, path, err);
    if (good && lstat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        good = file_write(path, bytes.at, bytes_size(bytes), err);
    } else if (good) {
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        const char *draft =
            arena_printf(&arena, "%.*s.%.*s.%d.part", (int)(name - path), path, SHOWN_OF_NAME, name, number);
        good = draft ? write_draft(path, draft, bytes, err) : err_memory(err, "a path", strlen(path));
    }
    arena_free(&arena);
    return good;
}
