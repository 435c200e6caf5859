/* shm_object.c - see shm_object.h. */
#include "shm_object.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

struct shm_object shm_object_new(char letter, const void *bytes, size_t n_bytes)
{
    struct shm_object object;
    snprintf(object.key, sizeof object.key, "/" SHM_OBJECT_PREFIX "%d-%c", (int)getpid(), letter);
    shm_unlink(object.key);
    object.fd = shm_open(object.key, O_RDWR | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(object.fd, 0);
    ck_assert_int_eq(pwrite(object.fd, bytes, n_bytes, 0), (ssize_t)n_bytes);
    return object;
}

void shm_object_resize(const struct shm_object *object, size_t n_bytes)
{
    ck_assert_int_eq(ftruncate(object->fd, (off_t)n_bytes), 0);
}

void shm_object_read(const struct shm_object *object, size_t offset, void *to, size_t n_bytes)
{
    ck_assert_int_eq(pread(object->fd, to, n_bytes, (off_t)offset), (ssize_t)n_bytes);
}

void shm_object_free(struct shm_object *object)
{
    shm_unlink(object->key);
    close(object->fd);
}
