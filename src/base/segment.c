/*
 * segment.c - opening, reading and writing what others made in /dev/shm.
 *
 * A second name is refused because it may be one of an object that was not meant: our own packed weights, say, linked
 * under a name that clients may use.
 */
#include "base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define FOLDER "/dev/shm"
#define PIECE ((size_t)1 << 20) /* between two looks at the watch: 200 microseconds */

/* Is it what we take? Its size, then. */
static bool judge(int fd, uint64_t *n_bytes, struct percept_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_set(err, ERR_SYSTEM, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "it is no regular object");
    if (st.st_nlink != 1)
        return err_set(err, ERR_INVALID, "it has %s name", st.st_nlink ? "more than one" : "no");
    *n_bytes = (uint64_t)st.st_size;
    return true;
}

static int open_in(int folder, const char *name)
{
    int fd;
    do
        fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

int segment_open(const char *name, uint64_t *n_bytes, struct percept_err *err)
{
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        err_set(err, ERR_INVALID, "it is a name without slashes");
        return -1;
    }
    int folder = open(FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : open_in(folder, name);
    if (fd < 0)
        err_set(err, errno == EMFILE || errno == ENFILE || errno == ENOMEM ? ERR_SYSTEM : ERR_INVALID, "%s",
                strerror(errno));
    if (folder >= 0)
        close(folder);
    if (fd >= 0 && !judge(fd, n_bytes, err)) {
        close(fd);
        return -1;
    }
    return fd;
}

void segment_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

bool segment_read(int fd, uint64_t offset, void *to, size_t n_bytes, struct watch *watch, struct percept_err *err)
{
    for (uint8_t *at = to; n_bytes;) {
        size_t piece = n_bytes < PIECE ? n_bytes : PIECE;
        if (!watch_spend(watch, (int64_t)(piece / 16)))
            return watch_refuse(watch, err);
        ssize_t n = pread(fd, at, piece, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, ERR_SYSTEM, "shared memory cannot be read: %s", strerror(errno));
        if (n == 0)
            return err_set(err, ERR_INVALID, "shared memory ends at byte %llu: it was made smaller",
                           (unsigned long long)offset);
        at += n;
        offset += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return true;
}

bool segment_write(int fd, uint64_t offset, const void *from, size_t n_bytes, struct watch *watch,
                   struct percept_err *err)
{
    for (const uint8_t *at = from; n_bytes;) {
        size_t piece = n_bytes < PIECE ? n_bytes : PIECE;
        if (!watch_spend(watch, (int64_t)(piece / 16)))
            return watch_refuse(watch, err);
        ssize_t n = pwrite(fd, at, piece, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set(err, ERR_SYSTEM, "shared memory cannot be written: %s", strerror(errno));
        at += n;
        offset += (uint64_t)n;
        n_bytes -= (size_t)n;
    }
    return true;
}
