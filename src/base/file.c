/*
 * file.c - the one place that opens files named by others.
 *
 * Opening: O_NONBLOCK, so that a FIFO without a writer does not hold us, O_NOCTTY, so that a terminal
 * does not become ours; what fstat then does not call a regular file is refused before a byte is read.
 *
 * Beneath a folder: names come out of model files and are not to be trusted. The name is judged as text
 * first (for a clear sentence) and the kernel enforces it: openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS. Kernels before 5.6 and some sandboxes have no openat2; there we walk the parts,
 * each opened with O_NOFOLLOW, which is as strict. A hard link is refused because it may be another's
 * file under a name of ours.
 *
 * Links: caches and volumes keep the files elsewhere and lay links to them. What a link leads to is read
 * where it lies beneath the folder, or beneath that of the file which the folder's owner named, links
 * followed (a cache's model and its data are links into one folder of blobs). A link is never followed
 * to read: it is followed with O_PATH, /proc tells where that descriptor lies, and what lies beneath is
 * opened again from the folder's descriptor, strictly, and must be the same file. So whoever swaps links
 * meanwhile gets nothing read that does not lie there. Without /proc no link is followed.
 *
 * A Git LFS pointer stands for the file that is meant, whatever that is: it is refused here, for all.
 *
 * Reading: pread in pieces, never a map (file.h says why). A file that changes while it is read is
 * refused: half of one model and half of another is worse than none.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/foreign.h"

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define PIECE ((size_t)1 << 30) /* of one pread; Linux stops at 2 GiB */

static enum err_code code_of(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case ENOMEM:
        return ERR_MEMORY;
    default:
        return ERR_SYSTEM;
    }
}

static bool refused(struct percept_err *err, const char *doing, const char *path, int number)
{
    return err_set(err, code_of(number), "cannot %s '%s': %s", doing, path, strerror(number));
}

/* What is made is readable to all and ours to write. */
static int open_retrying(int folder, const char *path, int flags)
{
    int fd;
    do
        fd = openat(folder, path, flags, 0644);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static struct file_stamp stamp_of(const struct stat *st)
{
    return (struct file_stamp){
        .device = st->st_dev,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .ctime_ns = st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
    };
}

/* Not the ctime: renaming another file over this one, as one should, changes that. */
bool file_look(const char *path, struct file_stamp *stamp)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *stamp = stamp_of(&st);
    return true;
}

static bool same_content(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static bool judge_kind(int fd, const char *path, struct file_stamp *stamp, nlink_t *links, struct percept_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return refused(err, "look at", path, errno);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "'%s' is %s; a regular file is needed", path,
                       S_ISDIR(st.st_mode) ? "a folder" : "a device, pipe or socket");
    *stamp = stamp_of(&st);
    *links = st.st_nlink;
    return true;
}

static bool read_exactly(int fd, const char *path, uint8_t *to, size_t offset, size_t n, struct percept_err *err)
{
    while (n) {
        ssize_t got = pread(fd, to, n < PIECE ? n : PIECE, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refused(err, "read", path, errno);
        if (got == 0)
            return err_set(err, ERR_SYSTEM, "'%s' shrank while it was read; replace files by renaming new ones", path);
        to += got;
        offset += (size_t)got;
        n -= (size_t)got;
    }
    return true;
}

static bool judge_unchanged(int fd, const char *path, const struct file_stamp *before, struct percept_err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return refused(err, "look at", path, errno);
    struct file_stamp after = stamp_of(&st);
    return same_content(before, &after) ||
           err_set(err, ERR_SYSTEM, "'%s' changed while it was read; replace files by renaming new ones", path);
}

/* Is it a pointer that Git LFS left in the file's place? */
static bool judge_head(const char *path, struct bytes head, struct percept_err *err)
{
    const struct foreign *pointer = foreign_pointer(head);
    return !pointer || err_set(err, ERR_INVALID, "'%s' is %s: %s", path, pointer->what, pointer->remedy);
}

#define HUGE_PAGE ((uintptr_t)2 << 20)

/* Fresh pages by the thousand cost more than what is read into them: large ones, where the system has them. */
void file_expect(const void *at, size_t n)
{
    const uintptr_t from = ((uintptr_t)at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    const uintptr_t to = ((uintptr_t)at + n) & ~(HUGE_PAGE - 1);
    if (from < to)
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
}

/* --- a file in parts ---------------------------------------------------------------------------------------------- */

bool file_open(struct file *file, const char *path, struct percept_err *err)
{
    nlink_t links;
    int fd = open_retrying(AT_FDCWD, path, OPEN_FLAGS);
    if (fd < 0)
        return refused(err, "open", path, errno);
    struct file opened = {.fd = fd, .path = path};
    if (!judge_kind(fd, path, &opened.stamp, &links, err)) {
        close(fd);
        return false;
    }
    *file = opened;
    return true;
}

bool file_read_at(const struct file *file, uint8_t *to, size_t offset, size_t n, struct percept_err *err)
{
    return read_exactly(file->fd, file->path, to, offset, n, err);
}

bool file_is_unchanged(const struct file *file, struct percept_err *err)
{
    return judge_unchanged(file->fd, file->path, &file->stamp, err);
}

bool file_judge_head(const struct file *file, struct bytes head, struct percept_err *err)
{
    return judge_head(file->path, head, err);
}

void file_close(struct file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* --- whole files -------------------------------------------------------------------------------------------------- */

static bool read_whole(const struct file *file, size_t max_bytes, struct bytes *bytes, struct percept_err *err)
{
    size_t n = (size_t)file->stamp.size;
    if (max_bytes && n > max_bytes)
        return err_set(err, ERR_TOO_LARGE, "'%s' has %zu bytes; the limit is %zu", file->path, n, max_bytes);
    uint8_t *data = arena_buffer(n);
    if (!data)
        return err_memory(err, file->path, n);
    file_expect(data, n);
    if (!file_read_at(file, data, 0, n, err) || !file_is_unchanged(file, err) ||
        !file_judge_head(file, bytes_of(data, n), err)) {
        arena_buffer_free(data);
        return false;
    }
    *bytes = bytes_of(data, n);
    return true;
}

bool file_read(const char *path, size_t max_bytes, struct bytes *bytes, struct file_stamp *stamp,
               struct percept_err *err)
{
    struct file file;
    if (!file_open(&file, path, err))
        return false;
    bool ok = read_whole(&file, max_bytes, bytes, err);
    if (ok && stamp)
        *stamp = file.stamp;
    file_close(&file);
    return ok;
}

/* --- beneath a folder --------------------------------------------------------------------------------------------- */

/* The path of what a descriptor is open on; false where /proc does not tell. */
static bool path_of(int fd, char path[PATH_MAX])
{
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0 || path[0] != '/')
        return false;
    path[n] = '\0';
    return true;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The folder in which the file of this descriptor lies, or -1. */
static int real_folder(int fd)
{
    char path[PATH_MAX];
    struct stat wanted, st;
    if (!path_of(fd, path))
        return -1;
    char *last = strrchr(path, '/');
    *last++ = '\0';
    int folder = open_retrying(AT_FDCWD, *path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return -1;
    if (fstat(fd, &wanted) == 0 && fstatat(folder, last, &st, AT_SYMLINK_NOFOLLOW) == 0 && same_file(&wanted, &st))
        return folder;
    close(folder); /* it was moved meanwhile */
    return -1;
}

static int open_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    return open_retrying(AT_FDCWD, n ? folder : slash ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool file_place_open(struct file_place *place, const char *path, const struct file_stamp *stamp,
                     struct percept_err *err)
{
    struct stat st;
    *place = (struct file_place){.folder = open_folder_of(path), .real = -1};
    int fd = place->folder < 0 ? -1 : open_retrying(AT_FDCWD, path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        refused(err, "open", path, errno);
    } else if (stamp && (st.st_dev != stamp->device || st.st_ino != stamp->inode)) {
        err_set(err, ERR_SYSTEM, "'%s' was replaced while it was read; try again", path);
    } else {
        place->real = real_folder(fd);
        close(fd);
        return true;
    }
    if (fd >= 0)
        close(fd);
    file_place_close(place);
    return false;
}

void file_place_close(struct file_place *place)
{
    if (place->folder >= 0)
        close(place->folder);
    if (place->real >= 0)
        close(place->real);
    *place = (struct file_place){.folder = -1, .real = -1};
}

static bool judge_name(const char *name, struct percept_err *err)
{
    if (!*name || strlen(name) >= PATH_MAX)
        return err_set(err, ERR_INVALID, "a file's name is %s", *name ? "too long" : "empty");
    if (*name == '/')
        return err_set(err, ERR_INVALID, "'%s' is an absolute path; files beside the model are read", name);
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t n = strcspn(part, "/");
        if (n == 2 && part[0] == '.' && part[1] == '.')
            return err_set(err, ERR_INVALID, "'%s' leads out of its folder by '..'", name);
    }
    return true;
}

/* Without openat2: part by part, following no link. -1 and errno on failure. */
static int walk_beneath(int folder_fd, const char *name)
{
    int folder = folder_fd;
    char part[NAME_MAX + 1];
    for (;;) {
        name += strspn(name, "/");
        size_t n = strcspn(name, "/");
        bool last = name[n] == 0;
        int fd = -1;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
        } else {
            memcpy(part, name, n);
            part[n] = 0;
            int flags = last ? OPEN_FLAGS : O_PATH | O_DIRECTORY | O_CLOEXEC;
            fd = open_retrying(folder, part, flags | O_NOFOLLOW);
        }
        int number = errno;
        if (folder != folder_fd)
            close(folder);
        errno = number;
        if (fd < 0 || last)
            return fd;
        folder = fd;
        name += n;
    }
}

static int open_strictly(int folder_fd, const char *name)
{
    struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    int attempts = 0;
    do /* EAGAIN: something was renamed meanwhile, the kernel is not sure and asks to be asked again */
        fd = syscall(SYS_openat2, folder_fd, name, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++attempts < 100)));
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return walk_beneath(folder_fd, name);
    return (int)fd;
}

/* What of a path lies beneath the folder's, or NULL; both without links. */
static const char *rest_beneath(const char *folder, const char *path)
{
    size_t n = strlen(folder);
    if (n == 1)
        return path + 1; /* the root of all */
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Opens what `found` is open on from the folder, if it lies beneath. */
static int open_found(int folder, int found, const char *path)
{
    char root[PATH_MAX];
    const char *rest = folder >= 0 && path_of(folder, root) ? rest_beneath(root, path) : NULL;
    int fd = rest ? open_strictly(folder, rest) : -1;
    struct stat wanted, st;
    if (fd < 0 || (fstat(found, &wanted) == 0 && fstat(fd, &st) == 0 && same_file(&wanted, &st)))
        return fd;
    close(fd);
    return -1;
}

/* Where the name is or passes a link. -1 and errno; EXDEV: it leads out. */
static int open_linked(const struct file_place *place, const char *name)
{
    int fd = -1;
    for (int attempt = 0; fd < 0 && attempt < 10; attempt++) { /* again when links changed meanwhile */
        char path[PATH_MAX];
        int found = open_retrying(place->folder, name, O_PATH | O_CLOEXEC);
        if (found < 0)
            return -1;
        if (path_of(found, path)) {
            fd = open_found(place->folder, found, path);
            if (fd < 0)
                fd = open_found(place->real, found, path);
        }
        close(found);
    }
    if (fd < 0)
        errno = EXDEV;
    return fd;
}

static int open_beneath(const struct file_place *place, const char *name, struct percept_err *err)
{
    int fd = open_strictly(place->folder, name);
    if (fd >= 0)
        return fd;
    bool linked = errno == ELOOP || errno == EXDEV || errno == ENOTDIR;
    if (linked)
        fd = open_linked(place, name);
    if (fd >= 0)
        return fd;
    if (linked && (errno == EXDEV || errno == ELOOP || errno == ENOENT))
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID,
                "'%s' is or passes a symbolic link that leads %s; put the file itself there", name,
                errno == EXDEV   ? "out of the folder, which is not followed"
                : errno == ELOOP ? "round in a circle"
                                 : "to nothing");
    else
        refused(err, "open", name, errno);
    return -1;
}

/* The file has not what is asked for: is it something else? */
static bool refuse_range(int fd, const char *name, size_t size, size_t offset, size_t n, struct percept_err *err)
{
    uint8_t head[512];
    size_t n_head = size < sizeof head ? size : sizeof head;
    const struct foreign *kind = NULL;
    if (read_exactly(fd, name, head, 0, n_head, NULL))
        kind = foreign_find(bytes_of(head, n_head));
    return err_set(err, ERR_INVALID, "'%s' has %zu bytes; %zu at offset %zu are asked for%s%s", name, size,
                   n == SIZE_MAX ? 0 : n, offset, kind ? "; it is " : "", kind ? kind->what : "");
}

/* A pointer is small; whatever part of it is asked for, it is not what is meant. */
static bool judge_pointer(int fd, const char *name, size_t size, struct percept_err *err)
{
    uint8_t head[FOREIGN_POINTER_MAX];
    return size > sizeof head || !read_exactly(fd, name, head, 0, size, NULL) ||
           judge_head(name, bytes_of(head, size), err);
}

static bool read_part(int fd, const char *name, size_t offset, size_t n, struct arena *arena, struct bytes *bytes,
                      struct file_stamp *stamp, struct percept_err *err)
{
    struct file_stamp state;
    nlink_t links;
    if (!judge_kind(fd, name, &state, &links, err))
        return false;
    if (links > 1)
        return err_set(err, ERR_INVALID, "'%s' has several names (hard links) and may be another's file; copy it",
                       name);
    size_t size = (size_t)state.size;
    if (!judge_pointer(fd, name, size, err))
        return false;
    if (offset > size || (n != SIZE_MAX && n > size - offset))
        return refuse_range(fd, name, size, offset, n, err);
    if (n == SIZE_MAX)
        n = size - offset;
    uint8_t *data = arena_alloc(arena, n);
    if (!data)
        return err_memory(err, name, n);
    file_expect(data, n);
    if (!read_exactly(fd, name, data, offset, n, err) || !judge_unchanged(fd, name, &state, err))
        return false;
    *bytes = bytes_of(data, n);
    if (stamp)
        *stamp = state;
    return true;
}

bool file_read_beneath(const struct file_place *place, const char *name, size_t offset, size_t n, struct arena *arena,
                       struct bytes *bytes, struct file_stamp *stamp, struct percept_err *err)
{
    int fd = judge_name(name, err) ? open_beneath(place, name, err) : -1;
    if (fd < 0)
        return false;
    bool ok = read_part(fd, name, offset, n, arena, bytes, stamp, err);
    close(fd);
    return ok;
}

/* --- paths -------------------------------------------------------------------------------------------------------- */

char *file_dirname(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return arena_text(arena, ".", 1);
    return arena_text(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

char *file_stem(struct arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
    size_t n = strlen(last);
    if (n > 5 && strcasecmp(last + n - 5, ".onnx") == 0)
        n -= 5;
    return arena_text(arena, last, n);
}

char *file_join(struct arena *arena, const char *a, const char *b)
{
    size_t n = strlen(a);
    const char *gap = n && a[n - 1] != '/' ? "/" : "";
    return arena_printf(arena, "%s%s%s", a, gap, b);
}

bool file_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_encloses(const char *folder, const char *path)
{
    char outer[PATH_MAX], inner[PATH_MAX];
    return realpath(folder, outer) && realpath(path, inner) &&
           (strcmp(inner, outer) == 0 || rest_beneath(outer, inner));
}

/* Bytes of the path without slashes at its end. */
static size_t trimmed(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

static bool is_dots(const char *part)
{
    return strcmp(part, "") == 0 || strcmp(part, ".") == 0 || strcmp(part, "..") == 0;
}

char *file_absolute(struct arena *arena, const char *path)
{
    char resolved[PATH_MAX];
    char *own = arena_text(arena, path, trimmed(path));
    char *folder = own ? file_dirname(arena, own) : NULL;
    if (!folder)
        return NULL;
    const char *slash = strrchr(own, '/'), *last = slash ? slash + 1 : own;
    if (is_dots(last))
        return realpath(own, resolved) ? arena_text(arena, resolved, strlen(resolved)) : own;
    return realpath(folder, resolved) ? file_join(arena, resolved, last) : own;
}

/* --- folders ------------------------------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The number of names, or -1 and errno. */
static int collect_names(DIR *dir, struct arena *arena, char ***names)
{
    size_t n = 0, cap = 0;
    char **list = NULL;
    const struct dirent *entry;
    while ((void)(errno = 0), (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (n == cap) {
            size_t bigger = cap ? cap * 2 : 16;
            list = arena_grow(arena, list, cap * sizeof *list, bigger * sizeof *list);
            cap = bigger;
        }
        char *name = arena_text(arena, entry->d_name, strlen(entry->d_name));
        if (!list || !name || n == INT_MAX) {
            errno = ENOMEM;
            return -1;
        }
        list[n++] = name;
    }
    if (errno)
        return -1;
    if (n)
        qsort(list, n, sizeof *list, compare_names);
    *names = list;
    return (int)n;
}

int file_list(struct arena *arena, const char *folder, char ***names, struct percept_err *err)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        refused(err, "open folder", folder, errno);
        return -1;
    }
    int n = collect_names(dir, arena, names);
    if (n < 0)
        refused(err, "list folder", folder, errno);
    closedir(dir);
    return n;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static bool write_all(int fd, const uint8_t *from, size_t n)
{
    while (n) {
        ssize_t put = write(fd, from, n < PIECE ? n : PIECE);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        from += put;
        n -= (size_t)put;
    }
    return true;
}

bool file_write(const char *path, const void *data, size_t n_bytes, struct percept_err *err)
{
    int fd = open_retrying(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return refused(err, "write", path, errno);
    bool ok = write_all(fd, data, n_bytes);
    int number = errno;
    if (close(fd) < 0 && ok) { /* a disk that is full or far away may say so only now */
        ok = false;
        number = errno;
    }
    return ok || refused(err, "write", path, number);
}
