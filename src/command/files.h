/*
 * files.h - the files that `perceptd run` is to read, and writing those that it makes.
 *
 *     struct files files = {.arena = {0}};
 *     if (files_add(&files, "photos", "out", &err)) ... files.at[0 .. files.n - 1] ...
 *     arena_free(&files.arena);
 *
 * Threads: any; files_write may be called by several at a time for different files.
 */
#ifndef COMMAND_FILES_H
#define COMMAND_FILES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

#define FILES_DEPTH_MAX 64 /* folders within each other */

struct files_item {
    const char *path; /* to be read */
    const char *name; /* beneath the folder of results: as it lies in the folder that was named, or its own */
    bool clashes;     /* an earlier one has the name that its result would have */
};

struct files {
    struct arena arena;
    struct files_item *at;
    int n, room;
    bool folder; /* one was named */
};

/* Adds a file, or what lies in a folder and in those within it, sorted by name: not what begins with '.', is no regular
 * file, or lies in the folder of results, `output` (or NULL), nor what is in folders behind symbolic links. A name that
 * leads nowhere is added, so that who reads it says so. False with a sentence when a folder cannot be listed, is
 * nested too deeply, or memory is short. */
bool files_add(struct files *files, const char *path, const char *output, struct percept_err *err);

/* Is the result there and complete? It is written by rename, so one that is not empty is; one that is older than what
 * it was made of is not that one's. */
bool files_is_done(const char *path, const char *result);

/* Are both names of one file? */
bool files_are_one(const char *path, const char *other);

/* Writes a result whole: under a hidden name beside it, told apart by `number`, and then renamed; what is there and is
 * no regular file, such as /dev/stdout or a link, is written to. Makes the folders around it. */
bool files_write(const char *path, int number, struct bytes bytes, struct percept_err *err);

#endif
