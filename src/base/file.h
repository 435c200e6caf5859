/*
 * file.h - the one place that opens files named by others. Reads with pread into memory, never maps:
 * a file that shrinks while it is mapped kills the process (SIGBUS).
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "percept.h"

/* What identifies one state of a file on disk. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t mtime_ns, ctime_ns;
};

/* Reads a whole regular file of at most max_bytes (0: no limit), no Git LFS pointer, into an
 * arena_buffer (64-byte aligned): the caller frees bytes->at with arena_buffer_free. Links are
 * followed. `stamp` may be NULL. */
bool file_read(const char *path, size_t max_bytes, struct bytes *bytes, struct file_stamp *stamp,
               struct percept_err *err);

/* The state of what is at the path, links followed; false when nothing is. */
bool file_look(const char *path, struct file_stamp *stamp);

/* A regular file that is open for reading. */
struct file {
    int fd;
    const char *path; /* the caller's */
    struct file_stamp stamp;
};

/* For who reads a file in parts; closed with file_close. */
bool file_open(struct file *file, const char *path, struct percept_err *err);
bool file_read_at(const struct file *file, uint8_t *to, size_t offset, size_t n, struct percept_err *err);
/* Is what it holds still what it held when it was opened? */
bool file_is_unchanged(const struct file *file, struct percept_err *err);
/* Is it no pointer of Git LFS? head: what it begins with, FOREIGN_POINTER_MAX bytes or all. */
bool file_judge_head(const struct file *file, struct bytes head, struct percept_err *err);
void file_close(struct file *file);

/* These bytes of an arena_buffer or an arena, which nobody has touched yet, will all be filled. */
void file_expect(const void *at, size_t n);

/* Where the files lie that a file names: in its own folder and, where it is a symbolic link, in the
 * folder of the file that the link leads to. Descriptors, O_CLOEXEC, or -1. */
struct file_place {
    int folder, real;
};

/* The place of the file at `path`. With a stamp, the file must still be the one that was stamped.
 */
bool file_place_open(struct file_place *place, const char *path, const struct file_stamp *stamp,
                     struct percept_err *err);
void file_place_close(struct file_place *place);

/* Reads n bytes at offset (n = SIZE_MAX: to the end) of the regular file `name` that lies beneath
 * the place's folder: no "..", no absolute path, no hard link (st_nlink > 1), no device or FIFO, no
 * Git LFS pointer. A symbolic link is followed where the file that it leads to lies beneath the
 * place, too; the descriptor that is read is judged, not the name. Into an arena, aligned. */
bool file_read_beneath(const struct file_place *place, const char *name, size_t offset, size_t n, struct arena *arena,
                       struct bytes *bytes, struct file_stamp *stamp, struct percept_err *err);

/* Folder part of a path ("." when there is none), in the arena. */
char *file_dirname(struct arena *arena, const char *path);
/* Last part of a path without a trailing ".onnx", in whatever case. */
char *file_stem(struct arena *arena, const char *path);
/* a/b, in the arena. */
char *file_join(struct arena *arena, const char *a, const char *b);
bool file_is_folder(const char *path);
bool file_exists(const char *path);
/* Is the path the folder, or beneath it, links followed? */
bool file_encloses(const char *folder, const char *path);

/* Names in a folder without "." and "..", sorted; in the arena. -1 with a sentence on failure. */
int file_list(struct arena *arena, const char *folder, char ***names, struct percept_err *err);

/* Writes a file whole (for tools; mode 0644). */
bool file_write(const char *path, const void *data, size_t n_bytes, struct percept_err *err);

/* The path from the root, in the arena: links before its last part are followed, the last part is
 * named as it was given, unless that is "." or "..". The path itself where its folder does not
 * exist. */
char *file_absolute(struct arena *arena, const char *path);

#endif
