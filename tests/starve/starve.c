/*
 * starve.c - a library to preload: lets one allocation of a whole process fail, or all from one on,
 * whoever asks (perceptd, libuv, libmicrohttpd, jansson, libjpeg, libspng, OpenBLAS, libc).
 *
 * The file that STARVE names is mapped and is a struct starve_order: a test writes which allocation
 * is to fail, before the start or while the process runs, and reads how many there were. After the
 * n-th has failed the order is over, unless it was for all that come. Only glibc has the __libc_
 * names that are called from here; they leave the allocator itself as it is.
 */
#include "starve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n_bytes);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *at, size_t n_bytes);
void *__libc_memalign(size_t to, size_t n_bytes);

static struct starve_order *order;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("STARVE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        __atomic_store_n(&order, (struct starve_order *)at, __ATOMIC_RELEASE);
}

static int refused(void)
{
    struct starve_order *mine = __atomic_load_n(&order, __ATOMIC_ACQUIRE);
    if (!mine)
        return 0;
    long nth = __atomic_load_n(&mine->nth, __ATOMIC_ACQUIRE);
    if (nth == 0)
        return 0;
    long seen = __atomic_add_fetch(&mine->seen, 1, __ATOMIC_ACQ_REL);
    if (seen != nth && !(seen > nth && mine->from_then_on))
        return 0;
    __atomic_add_fetch(&mine->failed, 1, __ATOMIC_ACQ_REL);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t n_bytes)
{
    return refused() ? NULL : __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t size)
{
    return refused() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *at, size_t n_bytes)
{
    return refused() ? NULL : __libc_realloc(at, n_bytes);
}

void *memalign(size_t to, size_t n_bytes)
{
    return refused() ? NULL : __libc_memalign(to, n_bytes);
}

void *aligned_alloc(size_t to, size_t n_bytes)
{
    return memalign(to, n_bytes);
}

int posix_memalign(void **at, size_t to, size_t n_bytes)
{
    void *made = memalign(to, n_bytes);
    if (made)
        *at = made;
    return made ? 0 : ENOMEM;
}
