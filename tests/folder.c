/*
 * folder.c - see folder.h. What a test leaves behind may hold links and pipes: it is removed by name,
 * and nothing is followed.
 */
#include "folder.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

char folder_root[64];
static struct arena paths;

void folder_begin(const char *name)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder_root, sizeof folder_root, "%s/perceptd-%s-XXXXXX", parent ? parent : "/tmp", name);
    ck_assert_msg(mkdtemp(folder_root) != NULL, "cannot make %s", folder_root);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    remove(path);
    return 0;
}

void folder_end(void)
{
    nftw(folder_root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_free(&paths);
}

char *folder_at(const char *name)
{
    return file_join(&paths, folder_root, name);
}

void folder_put(const char *name, const void *data, size_t n)
{
    char *path = folder_at(name);
    for (char *slash = path + strlen(folder_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    struct percept_err err = {0};
    ck_assert_msg(file_write(path, data, n, &err), "%s", err.text);
}

void folder_text(const char *name, const char *text)
{
    folder_put(name, text, strlen(text));
}

void folder_put_all(const char *const *names)
{
    for (; *names; names++)
        folder_put(*names, "x", 1);
}
